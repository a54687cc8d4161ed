package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"unique"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/store"
)

// counted is how many of a thread's newest messages can count as unread. Reading
// their authors from the log leaves out a user's own without a row per post.
const counted = 1000

// authors are those of the newest messages of one thread: of all that have an
// ordinal above base and were posted up to the event seq, with whom the texts up to
// there mention. They never change.
type authors struct {
	seq, base uint64
	list      []authored // in order
	texts     []wording  // in order
}

type authored struct {
	n     uint64
	user  string
	siaga bool
}

// wording is a text: of a message that mentions somebody, or of an edit. If it was
// erased, n is 0.
type wording struct {
	n, seq   uint64
	mentions []thread.Mention
}

// with returns the authors after newer messages and texts, up to the event seq.
func (a authors) with(newer []authored, texts []wording, seq uint64) authors {
	a.seq = max(a.seq, seq)
	if len(texts) > 0 {
		a.texts = slices.Concat(a.texts, texts)
	}
	if len(newer) == 0 {
		return a
	}
	a.list = slices.Concat(a.list, newer) // a copy: others may read the old list
	if over := len(a.list) - counted; over > 0 {
		a.base, a.list = a.list[over-1].n, a.list[over:]
		a.texts = slices.DeleteFunc(slices.Clone(a.texts), func(t wording) bool { return t.n != 0 && t.n <= a.base })
	}
	return a
}

// newest returns, by ordinal, the newest text of each message that was edited or
// mentions somebody, without those that were erased.
func (a authors) newest() map[uint64]wording {
	list, erased := map[uint64]wording{}, map[uint64]bool{}
	for _, t := range a.texts {
		if t.n == 0 {
			erased[t.seq] = true
		} else {
			list[t.n] = t
		}
	}
	maps.DeleteFunc(list, func(_ uint64, t wording) bool { return erased[t.seq] })
	return list
}

// blocked returns the ordinals of the messages whose mentions a block stops.
func (a authors) blocked(set user.Settings, lender gotong.Stream) map[uint64]bool {
	list := map[uint64]bool{}
	for _, m := range a.list {
		if set.Stops(m.user, m.siaga, lender) {
			list[m.n] = true
		}
	}
	return list
}

// of returns the ordinals in (floor, last] of a user's messages, in order.
func (a authors) of(userID string, floor, last uint64) (own []uint64) {
	for _, m := range a.list {
		if m.user == userID && m.n > floor && m.n <= last {
			own = append(own, m.n)
		}
	}
	return own
}

func authorOf(e *store.Event) (authored, error) {
	var env store.Envelope[json.RawMessage]
	if err := json.Unmarshal(e.Data, &env); err != nil {
		return authored{}, fmt.Errorf("chat: author of event %d: %w", e.Seq, err)
	}
	siaga := bytes.Contains(env.Payload, []byte(`"siaga":true`))
	return authored{e.Count, unique.Make(env.Actor.UserID).Value(), siaga}, nil // one string for all messages of a user
}

// wordingOf returns what an event says of the mentions of a message; false if nothing.
func wordingOf(e *store.Event) (wording, bool, error) {
	switch e.Type {
	case thread.EvPosted:
		if !bytes.Contains(e.Data, []byte(`"mentions"`)) {
			return wording{}, false, nil
		}
	case thread.EvEdited, gotong.EvErased:
	default:
		return wording{}, false, nil
	}
	var env store.Envelope[struct {
		N        uint64           `json:"n"`
		Seq      uint64           `json:"seq"`
		Mentions []thread.Mention `json:"mentions"`
	}]
	if err := json.Unmarshal(e.Data, &env); err != nil {
		return wording{}, false, fmt.Errorf("chat: mentions of event %d: %w", e.Seq, err)
	}
	if e.Type == gotong.EvErased {
		return wording{seq: env.Payload.Seq}, true, nil
	}
	w := wording{n: env.Payload.N, seq: e.Seq, mentions: env.Payload.Mentions}
	if e.Erased {
		w.mentions = nil
	}
	return w, true, nil
}

// maxKept bounds the threads whose authors are kept, and maxTexts the texts and
// mentions of one that are: a thread with more is read again for each count.
const maxKept, maxTexts = 2048, 500

// keep holds the authors of threads for the next count.
type keep struct {
	mu      sync.Mutex
	authors map[gotong.Stream]authors
}

// of returns the authors of a thread as far as they are known.
func (k *keep) of(s gotong.Stream) authors {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.authors[s]
}

// put drops any other thread where there is no room: it can be read again.
func (k *keep) put(s gotong.Stream, a authors) {
	texts := len(a.texts)
	for _, t := range a.texts {
		texts += len(t.mentions)
	}
	if texts > maxTexts {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	kept, ok := k.authors[s]
	if k.authors == nil {
		k.authors = map[gotong.Stream]authors{}
	}
	for other := range k.authors {
		if ok || len(k.authors) < maxKept {
			break
		}
		delete(k.authors, other)
	}
	if kept.seq <= a.seq {
		k.authors[s] = a
	}
}
