// Package search finds messages by their words. A reader keeps an index of them, and
// a search asks it for messages of streams that the caller names, each with the
// access that the visibility function gave. It looks at nothing else.
//
// The index only proposes. What is shown is read from the log, with the access, what
// later events made of the message, and its newest text in one snapshot, and it is
// compared with the query again. So a message that was edited, deleted, held or erased
// since the index was written is left out.
//
// # Caveats
//
// The index follows the log with a delay. The answer has the position up to which it
// was complete, for each partition.
package search

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// Name is that of the reader.
const Name = "search"

// The collections of the reader. A message has one row, under the seq of the event
// with its newest text, so the erasure of an event removes its row. After an edit
// the newest seq is also kept under that of the message.
const (
	Messages = store.TextPrefix + "messages" // (thread id, SeqName(revision's seq)) → row
	newest   = "search_newest"               // (thread id, SeqName(message's seq)) → revised
)

// row is a message in the index. Its id is the message's.
type row struct {
	store.Text
	Seq      uint64          `json:"seq"`     // of the message
	Rev      uint64          `json:"rev_seq"` // of the event with its newest text
	Revision uint64          `json:"revision"`
	Audience gotong.Audience `json:"audience,omitempty"`
	Has      []string        `json:"has,omitempty"` // what does not follow from the text
}

type revised struct {
	Seq uint64   `json:"seq"`
	Has []string `json:"has,omitempty"`
}

// Reader returns the reader that keeps the index.
func Reader(codec *store.Codec) reader.Reader {
	return reader.Reader{
		Name: Name, Collections: []string{Messages, newest},
		Needs: func(c reader.Commit) (keys []gotong.Key) {
			for i := range c.Events {
				if e := &c.Events[i]; concerns(e) && e.Type != thread.EvPosted && e.Type != gotong.EvErased {
					if seq, err := targetOf(codec, e); err == nil {
						keys = append(keys, keyOf(newest, e.Stream, seq))
					}
				}
			}
			return keys
		},
		Read: func(docs map[gotong.Key][]byte, run []reader.Commit) (step reader.Step, err error) {
			docs = maps.Clone(docs)
			for _, c := range run {
				for i := range c.Events {
					if !concerns(&c.Events[i]) {
						continue
					}
					changes, err := read(codec, docs, &c.Events[i])
					if err != nil {
						return step, err
					}
					for _, ch := range changes {
						docs[ch.Key] = ch.Body
					}
					step.Changes = append(step.Changes, changes...)
				}
			}
			return step, nil
		},
	}
}

// concerns reports whether an event changes the index, without decoding it.
func concerns(e *store.Event) bool {
	switch e.Type {
	case thread.EvPosted, thread.EvEdited, thread.EvDeleted, gotong.EvErased:
		return e.Stream.Kind() == thread.Name
	}
	return false
}

func keyOf(collection string, s gotong.Stream, seq uint64) gotong.Key {
	return gotong.Key{Collection: collection, Owner: s.ID(), Name: gotong.SeqName(seq)}
}

func targetOf(codec *store.Codec, row *store.Event) (uint64, error) {
	e, err := codec.Event(row)
	if err != nil {
		return 0, err
	}
	switch d := e.Data.(type) {
	case thread.Edited:
		return d.TargetSeq, nil
	case thread.Deleted:
		return d.TargetSeq, nil
	}
	return row.Seq, nil
}

// read returns what one event changes. docs holds the rows of newest.
func read(codec *store.Codec, docs map[gotong.Key][]byte, stored *store.Event) ([]store.Change, error) {
	e, err := codec.Event(stored)
	if err != nil {
		return nil, err
	}
	switch d := e.Data.(type) {
	case thread.Posted:
		text, _ := e.Content.(thread.Text)
		return put(e, text.Body, row{Text: store.Text{ID: e.ID}, Seq: e.Seq})
	case thread.Edited:
		old, err := newestOf(docs, e.Stream, d.TargetSeq)
		if err != nil {
			return nil, err
		}
		text, _ := e.Content.(thread.NewText)
		changes, err := put(e, text.Body, row{
			Text: store.Text{ID: d.MessageID}, Seq: d.TargetSeq, Revision: d.Revision, Has: old.Has,
		})
		if err != nil {
			return nil, err
		}
		body, err := json.Marshal(revised{e.Seq, old.Has})
		return append(changes, store.Change{Key: keyOf(Messages, e.Stream, old.Seq)},
			store.Change{Key: keyOf(newest, e.Stream, d.TargetSeq), Body: body}), err
	case thread.Deleted:
		old, err := newestOf(docs, e.Stream, d.TargetSeq)
		return []store.Change{
			{Key: keyOf(Messages, e.Stream, old.Seq)}, {Key: keyOf(newest, e.Stream, d.TargetSeq)},
		}, err
	case gotong.Erased:
		return []store.Change{{Key: keyOf(Messages, e.Stream, d.Seq)}}, nil
	}
	return nil, nil
}

// newestOf returns the seq of the event with the newest text of a message.
func newestOf(docs map[gotong.Key][]byte, s gotong.Stream, seq uint64) (revised, error) {
	known := revised{Seq: seq}
	body := docs[keyOf(newest, s, seq)]
	if body == nil {
		return known, nil
	}
	err := json.Unmarshal(body, &known)
	return known, err
}

// put returns the change that adds the row of an event with a text. A text that was
// erased has none.
func put(e gotong.Event, text string, r row) ([]store.Change, error) {
	if text == "" && len(r.Has) == 0 {
		return nil, nil
	}
	r.Rev, r.Audience, r.Words = e.Seq, e.Audience, strings.Join(indexed(e.Actor.UserID, text, r.Has), " ")
	body, err := json.Marshal(r)
	return []store.Change{{Key: keyOf(Messages, e.Stream, e.Seq), Body: body}}, err
}

// indexed returns the words under which a message is found.
func indexed(author, text string, has []string) (words []string) {
	for _, t := range tokens(text) {
		words = append(words, roots(t.word)...)
	}
	if linked(text) {
		has = append(slices.Clone(has), hasLink)
	}
	for _, what := range has {
		words = append(words, withA+what)
	}
	words = hashedAll(append(words, byUser+author))
	slices.Sort(words)
	return slices.Compact(words)
}

// linked reports whether a text has a web address.
func linked(text string) bool {
	return strings.Contains(text, "https://") || strings.Contains(text, "http://")
}
