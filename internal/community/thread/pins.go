package thread

import (
	"fmt"
	"slices"
	"strconv"

	"gotong.dev/gotong"
)

// The collections of replies and of pinned messages.
const (
	Replies   = "thread_replies" // (thread id, seqs of the message and of the reply) → gotong.Entry
	Pinboards = "thread_pins"    // (thread id, "") → Pins
)

// MaxPins is how many messages of one thread can be pinned.
const MaxPins = 50

// Pins is the document of a thread's pinned messages, if it has any. Held ones are
// among them.
type Pins struct {
	Seqs []uint64 `json:"seqs"` // of the messages, in the order of pinning
}

// PinsKey is the key of a thread's pinned messages.
func PinsKey(id string) gotong.Key { return gotong.Key{Collection: Pinboards, Owner: id} }

// ReplyKey is the key of the line of a reply to the message seq. The lines of a
// stretch of messages lie together. A reply that is deleted keeps its line.
func ReplyKey(id string, seq, reply uint64) gotong.Key {
	return gotong.Key{Collection: Replies, Owner: id, Name: gotong.SeqName(seq) + gotong.SeqName(reply)}
}

// pin pins a message, or unpins it. One whose pinning the actor could not see is
// pinned anew.
func (r ruling) pin(id gotong.EventID, on bool) (gotong.Decision, error) {
	if !r.thread.Direct() && !r.moderates() {
		return gotong.Reject(gotong.CodeForbidden, "Only owners, admins and moderators can pin messages.")
	}
	if err := r.maySend(); err != nil {
		return gotong.Decision{}, err
	}
	e, o, err := r.message(id)
	if err != nil {
		return gotong.Decision{}, err
	}
	data := Pinned{MessageID: e.ID, TargetSeq: e.Seq, N: e.Count, Now: r.sentAt()}
	list, _ := gotong.Doc[Pins](r.state, PinsKey(r.state.Stream.ID()))
	switch {
	case o.Deleted():
		return gotong.Reject(gotong.CodeTargetDeleted, "The message was deleted.")
	case !on && o.Pinned == 0:
		return gotong.Accept()
	case !on:
		return gotong.Accept(gotong.Fact{Type: EvUnpinned, Data: Unpinned(data)})
	case o.Held != 0:
		return gotong.Reject(gotong.CodeConflict, "The message is held for review.")
	case o.Pinned != 0 && r.state.Sees(gotong.Event{Stream: e.Stream, Seq: o.Pinned, Type: EvPinned, Data: data}):
		return gotong.Accept()
	case o.Pinned == 0 && len(list.Seqs) >= MaxPins:
		return gotong.Reject(gotong.CodeConflict, "The thread already has 50 pinned messages.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvPinned, Data: data})
	}
}

// pinned lays over a message the event that pinned it, or none: 0.
func pinned(s gotong.State, e gotong.Event, d Pinned, by uint64) []gotong.Change {
	id := e.Stream.ID()
	key := OverlayKey(id, d.TargetSeq)
	o, _ := gotong.Doc[Overlay](s, key)
	o.Pinned = by
	changes := []gotong.Change{repinned(s, id, d.TargetSeq, by != 0)}
	if o.empty() {
		return append(changes, gotong.Change{Key: key})
	}
	o.MessageID, o.N = d.MessageID, d.N
	return append(changes, gotong.Change{Key: key, Doc: o})
}

// repinned puts a message at the end of the pinned ones, or takes it off.
func repinned(s gotong.State, id string, seq uint64, on bool) gotong.Change {
	key := PinsKey(id)
	list, _ := gotong.Doc[Pins](s, key)
	list.Seqs = slices.DeleteFunc(slices.Clone(list.Seqs), func(other uint64) bool { return other == seq })
	if on {
		list.Seqs = append(list.Seqs, seq)
	}
	if len(list.Seqs) == 0 {
		return gotong.Change{Key: key}
	}
	return gotong.Change{Key: key, Doc: list}
}

// ReplyOf returns the seqs of the message and of the reply that a key of [ReplyKey]
// names.
func ReplyOf(k gotong.Key) (seq, reply uint64, err error) {
	half := min(len(k.Name), len(gotong.SeqName(0)))
	seq, err = strconv.ParseUint(k.Name[:half], 10, 64)
	if err == nil {
		reply, err = strconv.ParseUint(k.Name[half:], 10, 64)
	}
	if err != nil || ReplyKey("", seq, reply).Name != k.Name {
		return 0, 0, fmt.Errorf("thread: %q does not name a reply", k.Name)
	}
	return seq, reply, nil
}
