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
// with its newest text, so the erasure of an event removes its row. Of a message that
// has files or was edited, that seq and the words of its files' names are also kept
// under its own seq.
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
}

type revised struct {
	Seq   uint64 `json:"seq"`
	Files string `json:"files,omitempty"` // the words of their names, as the index has them
}

// Reader returns the reader that keeps the index.
func Reader(codec *store.Codec) reader.Reader {
	return reader.Reader{
		Name: Name, Collections: []string{Messages, newest},
		Needs: func(c reader.Commit) (keys []gotong.Key) {
			for i := range c.Events {
				if e := &c.Events[i]; concerns(e) && e.Type != thread.EvPosted {
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
	case gotong.Erased:
		return d.Seq, nil
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
		own := revised{Seq: e.Seq, Files: namesOf(text.Files)}
		changes, err := put(e, text.Body, own.Files, row{Text: store.Text{ID: e.ID}, Seq: e.Seq})
		if own.Files == "" || err != nil {
			return changes, err
		}
		return keep(changes, e.Stream, e.Seq, own)
	case thread.Edited:
		old, _, err := newestOf(docs, e.Stream, d.TargetSeq)
		if err != nil {
			return nil, err
		}
		text, _ := e.Content.(thread.NewText)
		changes, err := put(e, text.Body, old.Files, row{Text: store.Text{ID: d.MessageID}, Seq: d.TargetSeq, Revision: d.Revision})
		if err != nil {
			return nil, err
		}
		changes = append(changes, store.Change{Key: keyOf(Messages, e.Stream, old.Seq)})
		return keep(changes, e.Stream, d.TargetSeq, revised{e.Seq, old.Files})
	case thread.Deleted:
		old, _, err := newestOf(docs, e.Stream, d.TargetSeq)
		return []store.Change{
			{Key: keyOf(Messages, e.Stream, old.Seq)}, {Key: keyOf(newest, e.Stream, d.TargetSeq)},
		}, err
	case gotong.Erased:
		return erased(docs, e.Stream, d.Seq)
	}
	return nil, nil
}

// erased returns what the erasure of an event removes: its own row and, with the
// names of its files, the row of its newest text, which has their words.
func erased(docs map[gotong.Key][]byte, s gotong.Stream, seq uint64) ([]store.Change, error) {
	changes := []store.Change{{Key: keyOf(Messages, s, seq)}}
	old, known, err := newestOf(docs, s, seq)
	switch {
	case err != nil || !known:
		return changes, err
	case old.Seq == seq:
		return append(changes, store.Change{Key: keyOf(newest, s, seq)}), nil
	}
	changes = append(changes, store.Change{Key: keyOf(Messages, s, old.Seq)})
	return keep(changes, s, seq, revised{Seq: old.Seq})
}

func keep(changes []store.Change, s gotong.Stream, seq uint64, r revised) ([]store.Change, error) {
	body, err := json.Marshal(r)
	return append(changes, store.Change{Key: keyOf(newest, s, seq), Body: body}), err
}

// newestOf returns what is known of the newest text of a message: by default, it is
// that of the message itself.
func newestOf(docs map[gotong.Key][]byte, s gotong.Stream, seq uint64) (r revised, known bool, err error) {
	body := docs[keyOf(newest, s, seq)]
	if body == nil {
		return revised{Seq: seq}, false, nil
	}
	err = json.Unmarshal(body, &r)
	return r, true, err
}

// put returns the change that adds the row of an event with a text. A message whose
// text was erased, and that has no files, has none.
func put(e gotong.Event, text, files string, r row) ([]store.Change, error) {
	if text == "" && files == "" {
		return nil, nil
	}
	r.Rev, r.Audience, r.Words = e.Seq, e.Audience, indexed(e.Actor.UserID, text, files)
	body, err := json.Marshal(r)
	return []store.Change{{Key: keyOf(Messages, e.Stream, e.Seq), Body: body}}, err
}

// namesOf returns the words under which a message is found by its files.
func namesOf(files []thread.Attachment) string {
	if len(files) == 0 {
		return ""
	}
	words := []string{withA + hasFile}
	for _, f := range files {
		words = append(words, formsIn(f.Name)...)
	}
	return joined(hashedAll(words))
}

// indexed returns the words under which a message is found.
func indexed(author, text, files string) string {
	words := append(formsIn(text), byUser+author)
	if linked(text) {
		words = append(words, withA+hasLink)
	}
	return joined(append(hashedAll(words), strings.Fields(files)...))
}

// formsIn returns all forms of the words of a text.
func formsIn(text string) (words []string) {
	for _, t := range tokens(text) {
		words = append(words, roots(t.word)...)
	}
	return words
}

func joined(words []string) string {
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " ")
}

// linked reports whether a text has a web address.
func linked(text string) bool {
	return strings.Contains(text, "https://") || strings.Contains(text, "http://")
}
