package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/importer"
)

// comparison shows how much of an export a thread already has.
type comparison struct {
	Present int              `json:"present"`
	New     int              `json:"new"`
	Changed int              `json:"changed"`           // of Present: messages with another text than the thread, which keeps its own
	Changes []importer.Fault `json:"changes,omitempty"` // the first of Changed
	Media   int              `json:"media"`             // files to upload
	Bytes   int64            `json:"bytes"`             // of these
	Bare    int              `json:"bare"`              // of Present: messages without their files, which stay so

	filed map[uint64]bool           // messages by the hash of their request id: true with files, false without those of the export
	texts map[uint64]uint64         // hashes of the texts in the thread, by the hash of the request id; 0: no text to compare
	said  map[uint64]int            // how many messages the thread has of a person and time, for exports without ids
	edits importer.Set              // request ids of Changed that would be new messages
	ids   map[uint64]gotong.EventID // of the messages that the export answers or pins, by [importer.Hash] of their request id
}

// change notes a message with another text.
func (c *comparison) change(s importer.Step) {
	why := "its reactions or its files changed"
	if s.Edited {
		why = "its text was edited"
	}
	if c.Changed++; len(c.Changes) < importer.MaxFaults {
		c.Changes = append(c.Changes, importer.Fault{Line: s.Line, Why: why})
	}
}

// without leaves out the steps that would bring an edited message a second time, and the
// files of messages that the thread has, because messages do not change. It gives upload
// to all steps.
func (c *comparison) without(steps iter.Seq2[importer.Step, error], upload importer.Upload) iter.Seq2[importer.Step, error] {
	return func(yield func(importer.Step, error) bool) {
		for s, err := range steps {
			s.Upload = upload
			if filed, there := c.filed[importer.Hash(s.RequestID)]; there && len(s.Media) > 0 {
				s.Media, s.Filed = nil, filed
			}
			if !c.edits.Has(s.RequestID) && !yield(s, err) {
				return
			}
		}
	}
}

// said returns a hash of the time of a message and of its text or its author. That of the
// text serves where the author has another name in another export.
func said(at int64, text string) uint64 { return importer.Hash(strconv.FormatInt(at, 10) + " " + text) }

// compare counts the steps that the thread already has. It rejects an export that would
// bring messages a second time because it has another name for a person.
func (in importing) compare(ctx context.Context, thread string) error {
	c := in.known
	if thread == "" {
		c.New, c.Media, c.Bytes = in.survey.Steps, in.survey.Media, in.survey.Bytes
		return nil
	}
	c.filed = map[uint64]bool{}
	c.texts, c.said, c.ids, c.edits = map[uint64]uint64{}, map[uint64]int{}, map[uint64]gotong.EventID{}, importer.Set{}
	if err := in.read(ctx, thread, in.there); err != nil {
		return err
	}
	known := map[string]bool{} // people with a post, and whether the thread has one
	late := map[uint64][]importer.Step{}
	for s, err := range in.steps(thread) {
		if err != nil {
			return err
		}
		text, there := c.texts[importer.Hash(s.RequestID)]
		if c.New++; there {
			c.New--
			c.Present++
		}
		if s.Op != importer.Post {
			continue
		}
		known[s.Name] = known[s.Name] || there
		c.media(s, there)
		switch key := said(s.SentAt.Milli(), s.Name); {
		case there:
			if c.said[key]--; text != 0 && text != importer.Hash(s.Text) {
				c.change(s)
			}
		case s.Edited:
			late[key] = append(late[key], s)
		}
	}
	c.sameEdited(late)
	c.texts, c.said = nil, nil // as large as the thread
	maps.DeleteFunc(known, func(name string, there bool) bool {
		_, confirmed := in.Alias[name]
		return there || confirmed
	})
	if len(known) == 0 {
		return nil
	}
	return in.doubled(ctx, thread, slices.Sorted(maps.Keys(known)))
}

// media counts the files of a message: there says that the thread has it.
func (c *comparison) media(s importer.Step, there bool) {
	id := importer.Hash(s.RequestID)
	switch {
	case len(s.Media) == 0:
	case !there:
		for _, m := range s.Media {
			c.Media++
			c.Bytes += m.Size
		}
	case !c.filed[id]:
		c.filed[id] = false
		c.Bare++
	}
}

// sameEdited finds edited messages that the thread has with their first text, in exports
// without ids. Such a message counts as the same if the thread has one of that person and
// time that the export no longer has.
func (c *comparison) sameEdited(late map[uint64][]importer.Step) {
	for key, list := range late {
		if len(list) > c.said[key] {
			continue
		}
		for _, s := range list {
			c.change(s)
			c.edits.Add(s.RequestID)
			c.New--
			c.Present++
		}
	}
	slices.SortFunc(c.Changes, func(a, b importer.Fault) int { return a.Line - b.Line })
}

// there notes an event of the thread.
func (in importing) there(e client.Event) {
	c, id := in.known, importer.Hash(e.RequestID)
	c.texts[id] = 0
	var d eventData
	if e.Type != "message.posted" || e.Decode(&d) != nil || d.Body == "" && len(d.Attachments) == 0 {
		return
	}
	if len(d.Attachments) > 0 { // its text does not name them
		c.filed[id] = true
	} else {
		c.texts[id] = importer.Hash(d.Body)
	}
	if in.survey.Format == importer.WhatsApp {
		c.said[said(d.SentAtMS, d.SentBy)]++
	}
	if in.survey.Targets.Has(e.RequestID) {
		c.ids[id] = e.ID
	}
}

// doubled returns an error if the thread has messages of strangers under other names.
func (in importing) doubled(ctx context.Context, thread string, strangers []string) error {
	ours := map[uint64]string{} // the author
	for s, err := range in.steps(thread) {
		if err != nil {
			return err
		}
		if s.Op == importer.Post && slices.Contains(strangers, s.Name) {
			ours[said(s.SentAt.Milli(), s.Text)] = s.Name
		}
	}
	twice := map[[2]string]int{} // by the names there and here
	err := in.read(ctx, thread, func(e client.Event) {
		var d eventData
		if e.Type != "message.posted" || e.Decode(&d) != nil || d.SentBy == "" {
			return
		}
		if name := ours[said(d.SentAtMS, d.Body)]; name != "" && name != d.SentBy {
			twice[[2]string{name, d.SentBy}]++
		}
	})
	for pair, n := range twice {
		return &failure{
			err: fmt.Errorf("the thread has %s of %q already, under the name %q; nothing is imported",
				count(n, "message"), pair[0], pair[1]),
			code: 1,
			hint: fmt.Sprintf("--alias %q if they are one person, or --alias %q", pair[0]+"="+pair[1], pair[0]+"="+pair[0]),
		}
	}
	return err
}

// read reads the events of a thread up to the present.
func (in importing) read(ctx context.Context, thread string, each func(client.Event)) error {
	t, err := in.remote.Thread(ctx, thread)
	if err != nil {
		return err
	}
	for e, err := range in.remote.Events(ctx, map[gotong.Stream]client.From{t.Stream(): client.Start}) {
		if err != nil {
			return err
		}
		if each(e); e.Seq >= t.Seq {
			return nil
		}
	}
	return nil
}
