package store

import (
	"context"
	"encoding/json"
	"fmt"

	"gotong.dev/gotong"
)

// Logged is a commit as it is in the log: its record and its events.
type Logged struct {
	Record Record
	Events []Event
}

// Head is the head that the commit left, in a stream of this home.
func (l *Logged) Head(home gotong.Stream) gotong.Head {
	e := &l.Events[len(l.Events)-1]
	return gotong.Head{Seq: e.Seq, Chain: e.Chain, At: e.At, Count: e.Count, Home: home}
}

// Check fails with [ErrCorrupt] where the record does not name these events, or
// an event does not match its commitments in the log of these eras.
func (l *Logged) Check(eras Eras) error {
	r := &l.Record
	if r.Position == 0 || r.Partition >= gotong.Partitions || r.First == 0 || len(l.Events) == 0 {
		return fmt.Errorf("%w: a commit to %s has no place in the log", ErrCorrupt, r.Request.Stream)
	}
	if request, err := l.Events[0].Request(); err != nil || request != r.Request {
		return fmt.Errorf("%w: the record of commit %d of partition %d is of another request", ErrCorrupt, r.Position, r.Partition)
	}
	page := NewPartitionPage(r.Partition, r.Position-1, r.Position, r.Position, 0, eras)
	page.Add(l.Events, *r)
	_, err := page.Events()
	return err
}

// Follows returns [ErrMalformed] unless the commit is the next one of a stream of this
// home, which ends at seq, and of its partition, which ends at position.
func (l *Logged) Follows(home gotong.Stream, seq, position uint64) error {
	r := &l.Record
	if home == "" {
		return fmt.Errorf("%w: commit %d of partition %d is of no stream that was written", ErrMalformed, r.Position, r.Partition)
	}
	if r.Partition != gotong.PartitionOf(home) || r.First != seq+1 || r.Position != position+1 {
		return fmt.Errorf("%w: commit %d of partition %d, from event %d of %s, does not follow", ErrMalformed,
			r.Position, r.Partition, r.First, r.Request.Stream)
	}
	return nil
}

// LoggedEvents is how many events these commits have.
func LoggedEvents(list []Logged) (n int) {
	for i := range list {
		n += len(list[i].Events)
	}
	return n
}

// Request is the request whose commit brought the event, as its data names it.
func (e *Event) Request() (gotong.RequestKey, error) {
	var env Envelope[json.RawMessage]
	err := json.Unmarshal(e.Data, &env)
	return gotong.RequestKey{Stream: e.Stream, Actor: env.Actor.UserID, RequestID: env.RequestID}, err
}

// Commits returns what [Log.ReadPartition] does, with the record of each
// commit: [ErrCorrupt] where one is missing or names other events.
func Commits(
	ctx context.Context, from interface {
		Loader
		Log
	}, p gotong.Partition, after, to uint64, limit int,
) ([]Logged, error) {
	events, err := from.ReadPartition(ctx, p, after, to, limit)
	if err != nil {
		return nil, err
	}
	var list []Logged
	var need Need
	for i := range events {
		if i > 0 && events[i].Position == events[i-1].Position {
			last := &list[len(list)-1]
			last.Events = append(last.Events, events[i])
			continue
		}
		request, err := events[i].Request()
		if err != nil {
			return nil, fmt.Errorf("%w: event %d of %s names no request", ErrCorrupt, events[i].Seq, events[i].Stream)
		}
		list = append(list, Logged{Record: Record{Request: request}, Events: []Event{events[i]}})
		need.Records = append(need.Records, request)
	}
	snap, err := from.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	for i := range list {
		l := &list[i]
		request := l.Record.Request
		l.Record = snap.Records[request]
		if l.Record.Partition != p || l.Record.Position != l.Events[0].Position || l.Record.First != l.Events[0].Seq ||
			l.Record.Last != l.Events[len(l.Events)-1].Seq {
			return nil, fmt.Errorf("%w: the record of request %q in %s does not name its events", ErrCorrupt,
				request.RequestID, request.Stream)
		}
	}
	return list, nil
}
