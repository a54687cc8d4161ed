package memory

import (
	"context"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Submit implements [store.Committer].
func (s *Store) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	for i := range batch {
		if err := batch[i].Check(); err != nil {
			done(nil, err)
			return
		}
	}
	out := make([]store.Outcome, len(batch))
	write := func() error {
		for i := range batch {
			if out[i] = s.fate(&batch[i]); out[i].Status == store.Committed {
				out[i].Record = s.apply(&batch[i])
			}
		}
		return nil
	}
	s.queue.Submit(ctx, store.CommitWork(s.open(write), batch, out, announce, done))
}

// fate returns the outcome of a commit, checked in the order of the port.
func (s *Store) fate(c *store.Commit) store.Outcome {
	if r, ok := s.records[c.Request]; ok {
		return store.Outcome{Status: store.Replayed, Record: cloneRecord(r)}
	}
	if !c.Follows(s.heads[c.Request.Stream]) {
		return store.Outcome{Status: store.Moved, Stream: c.Request.Stream}
	}
	for _, o := range c.Others {
		if s.heads[o.Stream].Seq != o.Seq {
			return store.Outcome{Status: store.Moved, Stream: o.Stream}
		}
	}
	for _, claim := range c.Claims {
		if _, ok := s.claims[claim]; ok {
			return store.Outcome{Status: store.Taken, Claim: claim}
		}
	}
	for _, r := range c.Registers {
		if s.register(r.Key).Version != r.Expect {
			return store.Outcome{Status: store.Stale, Register: r.Key}
		}
	}
	return store.Outcome{Status: store.Committed}
}

func (s *Store) apply(c *store.Commit) store.Record {
	p := c.Partition()
	record := cloneRecord(c.Record(uint64(len(s.partitions[p])) + 1))
	for i := range c.Events {
		e := cloneEvent(&c.Events[i])
		e.Partition, e.Position = p, record.Position
		s.events[e.Stream] = append(s.events[e.Stream], e)
	}
	if len(c.Events) > 0 {
		s.partitions[p] = append(s.partitions[p], record)
		s.heads[c.Request.Stream] = c.Head()
	}
	s.records[c.Request] = record
	for _, claim := range c.Claims {
		s.claims[claim] = c.Request.Stream
	}
	s.change(c.Changes)
	for _, r := range c.Registers {
		s.setRegister(r)
	}
	for _, seq := range c.Erase {
		s.erase(c.Request.Stream, seq)
	}
	return cloneRecord(record)
}

// erase removes the content of one event, and the fingerprint of its request,
// with which the content could be guessed.
func (s *Store) erase(stream gotong.Stream, seq uint64) {
	e := &s.events[stream][seq-1]
	e.Content, e.ContentSalt, e.Erased = nil, gotong.Salt{}, true
	for key, r := range s.records {
		if key.Stream == stream && r.First <= seq && seq <= r.Last {
			r.Salt, r.Fingerprint = nil, nil
			s.records[key] = r
		}
	}
}

func (s *Store) change(changes []store.Change) {
	for _, ch := range changes {
		at := shelf{ch.Key.Collection, ch.Key.Owner}
		if ch.Body == nil {
			delete(s.documents[at], ch.Key.Name)
			continue
		}
		if s.documents[at] == nil {
			s.documents[at] = map[string][]byte{}
		}
		s.documents[at][ch.Key.Name] = slices.Clone(ch.Body)
	}
}

func cloneEvent(e *store.Event) store.Event {
	c := *e
	c.Data, c.Content = slices.Clone(e.Data), slices.Clone(e.Content)
	return c
}

func cloneRecord(r store.Record) store.Record {
	r.Salt, r.Fingerprint = slices.Clone(r.Salt), slices.Clone(r.Fingerprint)
	return r
}
