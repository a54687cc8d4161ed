// Package memory is the reference store: it keeps every promise of the port in
// the simplest code, with maps under one lock. Other adapters are compared with
// it, and tests of the layers above run on it.
//
// # Caveats
//
// Nothing outlives the process. Every read copies its rows, and a range of
// documents sorts them. It is for tests and short demonstrations.
package memory

import (
	"context"
	"fmt"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Options are the settings of a [Store].
type Options struct {
	// Now is the clock by which registers expire; nil: they never expire.
	Now func() gotong.Instant
}

// Store implements [store.Whole]. It is safe for concurrent use.
type Store struct {
	now func() gotong.Instant

	queue *store.Writer[func() error]

	mu         sync.RWMutex
	closed     bool
	eras       store.Eras
	sealed     string
	progress   string
	heads      map[gotong.Stream]gotong.Head
	events     map[gotong.Stream][]store.Event   // by seq-1
	partitions [gotong.Partitions][]store.Record // by position-1
	records    map[gotong.RequestKey]store.Record
	claims     map[gotong.Claim]gotong.Stream
	documents  map[shelf]map[string][]byte
	registers  map[shelf]map[string]store.Register
	cursors    map[store.CursorKey]uint64
	jobs       map[jobKey]store.Job
	again      map[jobKey]gotong.Instant // of leased jobs: when they were put again
}

var _ store.Whole = (*Store)(nil)

// shelf is what one owner has in one collection, by name.
type shelf struct{ collection, owner string }

type jobKey struct{ queue, id string }

// New returns an empty store. If epoch is empty, the store gets a random one.
func New(epoch gotong.Epoch, o Options) *Store {
	if epoch == "" {
		epoch = store.NewEpoch()
	}
	if o.Now == nil {
		o.Now = func() gotong.Instant { return 0 }
	}
	s := &Store{
		eras: store.FirstEra(epoch), now: o.Now,
		heads:     map[gotong.Stream]gotong.Head{},
		events:    map[gotong.Stream][]store.Event{},
		records:   map[gotong.RequestKey]store.Record{},
		claims:    map[gotong.Claim]gotong.Stream{},
		documents: map[shelf]map[string][]byte{},
		registers: map[shelf]map[string]store.Register{},
		cursors:   map[store.CursorKey]uint64{},
		jobs:      map[jobKey]store.Job{}, again: map[jobKey]gotong.Instant{},
	}
	s.queue = store.NewWriter(store.WriterOptions[func() error]{Write: s.writeAll})
	return s
}

// Epoch implements [store.Log].
func (s *Store) Epoch() gotong.Epoch {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.eras.Epoch()
}

// Close implements [store.Whole]; every later call fails with
// [store.ErrClosed].
func (s *Store) Close() error {
	s.queue.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// write runs f alone, unless the store is closed, sealed or unfinished, or ctx
// ends before f has begun.
func (s *Store) write(ctx context.Context, f func() error) error {
	return s.move(ctx, s.open(f))
}

// open lets f run only while the store is neither sealed nor unfinished.
func (s *Store) open(f func() error) func() error {
	return func() error {
		if err := s.gate(); err != nil {
			return err
		}
		return f()
	}
}

// move runs f alone, unless the store is closed or has failed, or ctx ends
// before f has begun.
func (s *Store) move(ctx context.Context, f func() error) error { return s.queue.Do(ctx, f, 0) }

// writeAll runs the writes of a batch. After a fault half of them may be done, so
// the store accepts no more writes.
func (s *Store) writeAll(batch []*store.Work[func() error]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := store.Guard(func() error {
		for _, k := range batch {
			k.Err = k.What()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrFailed, err)
	}
	return nil
}

// Failed implements [store.Health].
func (s *Store) Failed() error { return s.queue.Failed() }

// read runs f beside other reads, unless the store is closed or ctx is done.
func (s *Store) read(ctx context.Context, f func() error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return store.Guard(f)
}

// Properties are what a [Store] promises where stores differ.
var Properties = store.Properties{
	Durable:  store.Property{Holds: false, Why: "everything ends with the process"},
	Synced:   store.Property{Holds: false, Why: "nothing is on a disk"},
	Shared:   store.Property{Holds: false, Why: "only its own process can reach it"},
	Definite: store.Property{Holds: true, Why: "no connection can lose an answer"},
	Undoes:   store.Property{Holds: false, Why: "rows are changed in place, one after the other"},
	Resumes:  store.Property{Holds: false, Why: "half of the batch may be there"},
	Forgets:  store.Property{Holds: true, Why: "there are no files"},
}
