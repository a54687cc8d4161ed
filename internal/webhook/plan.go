// Package webhook sends events to webhooks. A reader, the planner, marks which
// streams have something for which webhook; a job per webhook, the sender, reads,
// authorises and sends it.
//
// DESIGN.md shows why nothing is lost, and what the documents and registers are.
//
// # Caveats
//
// Delivery is at least once: a receiver must compare the webhook-id. The marks of
// the planner authorise nothing; each attempt reads the access of the webhook anew.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// Queue is the queue of the senders' jobs; the id of a job is that of its webhook.
const Queue = "webhook"

// The collections of the planner.
const (
	plans   = "webhook_plans"   // (partition, "") → plan
	streams = "webhook_streams" // (stream, "") → marked
	dues    = "webhook_dues"    // (webhook id, gotong.SeqName of a position) → due
)

// plan is the webhooks of a partition, by id.
type plan map[string]webhook.Webhook

// marked is what the planner knows of a stream: its home, if that is another, and
// the last position that it marked for each webhook.
type marked struct {
	Home gotong.Stream     `json:"home,omitempty"`
	Last map[string]uint64 `json:"last,omitempty"`

	changed bool
}

// due marks a stream that has an event for a webhook. There is one per stream, under
// the position of its newest such event.
type due struct {
	Stream gotong.Stream `json:"stream"`
}

// Planned returns the webhooks of a store by id, except those that were removed.
func Planned(ctx context.Context, from store.Loader) (map[string]webhook.Webhook, error) {
	var need store.Need
	for p := range gotong.Partition(gotong.Partitions) {
		need.Documents = append(need.Documents, planKey(p))
	}
	snap, err := from.Load(ctx, need)
	all := plan{}
	for _, body := range snap.Documents {
		err = errors.Join(err, json.Unmarshal(body, &all)) // adds to the map
	}
	return all, err
}

func planKey(p gotong.Partition) gotong.Key {
	return gotong.Key{Collection: plans, Owner: strconv.Itoa(int(p))}
}

func streamKey(s gotong.Stream) gotong.Key { return gotong.Key{Collection: streams, Owner: string(s)} }

func dueKey(id string, position uint64) gotong.Key {
	return gotong.Key{Collection: dues, Owner: id, Name: gotong.SeqName(position)}
}

// Planner returns the reader that marks what is due.
func Planner(codec *store.Codec) reader.Reader {
	return reader.Reader{
		Name: "webhook", Collections: []string{plans, streams, dues},
		Needs: func(c reader.Commit) []gotong.Key {
			return []gotong.Key{planKey(c.Partition), streamKey(c.Events[0].Stream)}
		},
		Read: func(docs map[gotong.Key][]byte, run []reader.Commit) (reader.Step, error) {
			p := &planner{
				codec: codec, docs: docs, plan: plan{}, known: map[gotong.Stream]*marked{}, jobs: map[string]bool{},
				from: run[0].Position, changes: map[gotong.Key][]byte{},
			}
			if err := p.get(planKey(run[0].Partition), &p.plan); err != nil {
				return reader.Step{}, err
			}
			for i := range run {
				if err := p.read(&run[i]); err != nil {
					return reader.Step{}, err
				}
			}
			return p.finish()
		},
	}
}

// planner makes the step of one run.
type planner struct {
	codec *store.Codec
	docs  map[gotong.Key][]byte
	plan  plan
	known map[gotong.Stream]*marked
	jobs  map[string]bool
	step  reader.Step

	from    uint64                // the first position of the run
	changes map[gotong.Key][]byte // what the run leaves of each document; nil: nothing
}

func (p *planner) get(key gotong.Key, into any) error {
	body, ok := p.docs[key]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("webhook: %s of %s: %w", key.Collection, key.Owner, err)
	}
	return nil
}

func (p *planner) put(key gotong.Key, doc any) error {
	body, err := json.Marshal(doc)
	p.changes[key] = body
	return err
}

// finish returns the step, with one change for each document.
func (p *planner) finish() (reader.Step, error) {
	for s, m := range p.known {
		if m.changed {
			if err := p.put(streamKey(s), m); err != nil {
				return reader.Step{}, err
			}
		}
	}
	for key, body := range p.changes {
		p.step.Changes = append(p.step.Changes, store.Change{Key: key, Body: body})
	}
	return p.step, nil
}

// mark puts the mark of a stream for a webhook at a position, in place of the one
// before it.
func (p *planner) mark(id string, s gotong.Stream, m *marked, position uint64) error {
	switch last := m.Last[id]; {
	case last >= p.from: // of this run, so it was never written
		delete(p.changes, dueKey(id, last))
	case last > 0:
		p.changes[dueKey(id, last)] = nil
	}
	if m.Last == nil {
		m.Last = map[string]uint64{}
	}
	m.Last[id], m.changed = position, true
	return p.put(dueKey(id, position), due{s})
}

// wake makes the job of a webhook, or makes it due.
func (p *planner) wake(id string) {
	if !p.jobs[id] {
		p.jobs[id] = true
		p.step.Jobs = append(p.step.Jobs, store.Job{Queue: Queue, ID: id, Due: 1})
	}
}

func (p *planner) read(c *reader.Commit) error {
	s := c.Events[0].Stream
	if s.Kind() == webhook.Name {
		return p.change(c)
	}
	if len(p.plan) == 0 && c.Events[0].Seq > 1 {
		return nil
	}
	m, err := p.stream(s)
	if err != nil {
		return err
	}
	if c.Events[0].Seq == 1 {
		if m.Home, err = homeOf(&c.Events[0]); err != nil {
			return err
		}
		m.changed = m.Home != ""
	}
	home := m.Home
	if home == "" {
		home = s
	}
	for id, w := range p.plan {
		switch {
		case w.Home != home || !w.Active(): // a disabled one is marked too: it continues where it stopped
			continue
		case s == home: // perhaps the registrant has lost their right
			p.wake(id)
		}
		if !slices.ContainsFunc(c.Events, func(e store.Event) bool { return e.Audience == "" && w.Wants(s, e.Type) }) {
			continue
		}
		p.wake(id)
		if err := p.mark(id, s, m, c.Position); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) stream(s gotong.Stream) (*marked, error) {
	if m := p.known[s]; m != nil {
		return m, nil
	}
	m := &marked{}
	p.known[s] = m
	return m, p.get(streamKey(s), m)
}

// homeOf returns the home that the first event of a stream names; empty if the
// stream is its own home.
func homeOf(e *store.Event) (gotong.Stream, error) {
	var named store.Envelope[struct {
		Home gotong.Stream `json:"home"`
	}]
	err := json.Unmarshal(e.Data, &named)
	return named.Payload.Home, err
}

// change keeps the webhook in the plan as its own events leave it.
func (p *planner) change(c *reader.Commit) error {
	kind, err := p.codec.Kind(c.Events[0].Stream)
	if err != nil {
		return err
	}
	id := c.Events[0].Stream.ID()
	for i := range c.Events {
		e, err := p.codec.Event(&c.Events[i])
		if err != nil {
			return err
		}
		s := gotong.NewState(e.Stream, gotong.Head{Seq: e.Seq})
		if w, ok := p.plan[id]; ok {
			s.SetDoc(webhook.Key(id), w)
		}
		for _, ch := range kind.Project(s, e) {
			if w, ok := ch.Doc.(webhook.Webhook); ok {
				p.plan[id] = w
			}
		}
	}
	if _, ok := p.plan[id]; !ok {
		return errors.New("webhook: " + id + " begins without being registered")
	}
	if p.plan[id].Ended == webhook.ByAdmin { // for good
		delete(p.plan, id)
	}
	p.wake(id)
	return p.put(planKey(c.Partition), p.plan)
}
