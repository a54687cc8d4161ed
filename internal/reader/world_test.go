package reader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/logtest"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
)

var errBroken = errors.New("broken by the test")

// world is a store with commits in a bubble of testing/synctest.
type world struct {
	*testing.T
	s     *storetest.Faulty
	m     *storetest.Maker
	clock *clocktest.Clock
	log   logtest.Lines
}

// inWorld runs f in a bubble with an empty store.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		clock := clocktest.Running()
		s := storetest.NewFaulty(memory.New("", memory.Options{Now: clock.Now}))
		w := &world{T: t, s: s, m: storetest.NewMaker(s.Epoch()), clock: clock}
		defer func() { w.check(s.Close()) }()
		f(w)
	})
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// commit commits one event in the partition of stream n, and returns it.
func (w *world) commit(n int, to *Runner) store.Event {
	w.Helper()
	c := w.m.Next(storetest.Draft{Stream: gotong.Stream(fmt.Sprint("thread/", n)), Events: 1})
	var event store.Event
	w.s.Submit(w.Context(), []store.Commit{c}, func(out []store.Outcome) {
		event = c.Events[0]
		event.Position = out[0].Record.Position
		if to != nil {
			to.Committed([]store.Event{event})
		}
	}, func(_ []store.Outcome, err error) {
		if err != nil {
			w.Error(err)
		}
	})
	synctest.Wait()
	return event
}

func (w *world) runner(readers []Reader, handlers ...Handler) *Runner {
	return w.runnerWith(Options{}, readers, handlers...)
}

func (w *world) runnerWith(o Options, readers []Reader, handlers ...Handler) *Runner {
	w.Helper()
	o.Store, o.Clock, o.Log = cmpStore(o.Store, w.s), w.clock, slog.New(slog.NewJSONHandler(&w.log, nil))
	r, err := New(o, readers, handlers)
	w.check(err)
	return r
}

func cmpStore(a, b Store) Store {
	if a != nil {
		return a
	}
	return b
}

// start runs a runner until stop is called.
func (w *world) start(r *Runner) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	var group sync.WaitGroup
	group.Go(func() { ended <- r.Run(ctx) })
	synctest.Wait()
	return func() {
		cancel()
		group.Wait()
		w.check(<-ended)
	}
}

// tally counts the commits of each partition in a document, and makes a job for
// every second one. It fails at the positions that bad returns true for.
func tally(name, collection string, bad func(c Commit) bool) Reader {
	key := func(c Commit) gotong.Key {
		return gotong.Key{Collection: collection, Owner: fmt.Sprintf("p%02d", c.Partition), Name: "tally"}
	}
	return Reader{
		Name: name, Collections: []string{collection},
		Needs: func(c Commit) []gotong.Key { return []gotong.Key{key(c)} },
		Read: func(docs map[gotong.Key][]byte, run []Commit) (s Step, err error) {
			for _, c := range run {
				if bad != nil && bad(c) {
					return s, errBroken
				}
				var n counted
				if body := docs[key(c)]; body != nil {
					err = json.Unmarshal(body, &n)
				}
				n = counted{N: n.N + 1, Last: c.Position}
				docs[key(c)], _ = json.Marshal(n)
				s.Changes = append(s.Changes, store.Change{Key: key(c), Body: docs[key(c)]})
				if c.Position%2 == 0 {
					s.Jobs = append(s.Jobs, store.Job{Queue: name, ID: fmt.Sprintf("%02d/%d", c.Partition, c.Position)})
				}
			}
			return s, err
		},
	}
}

type counted struct {
	N    int    `json:"n"`
	Last uint64 `json:"last"`
}

// tallied compares a tally's documents, jobs and cursors with the log. Positions
// in without were passed.
func (w *world) tallied(name, collection string, without map[gotong.Partition][]uint64) {
	w.Helper()
	ends, err := w.s.Positions(w.Context())
	w.check(err)
	docs := map[string]counted{}
	for after, more := "", true; more; more = after != "" {
		rows, err := w.s.Rows(w.Context(), store.AllDocuments, after, 0)
		w.check(err)
		for _, d := range rows.Documents {
			var n counted
			w.check(json.Unmarshal(d.Body, &n))
			if d.Key.Collection == collection {
				docs[d.Key.Owner] = n
			}
		}
		after = rows.Next
	}
	jobs, err := Jobs(w.Context(), w.s, false, 0)
	w.check(err)
	var ids, want []string
	for _, j := range jobs {
		if j.Queue == name {
			ids = append(ids, j.ID)
		}
	}
	wantDocs := map[string]counted{}
	for p := range gotong.Partition(gotong.Partitions) {
		n := counted{}
		for at := uint64(1); at <= ends[p]; at++ {
			if slices.Contains(without[p], at) {
				continue
			}
			n = counted{n.N + 1, at}
			if at%2 == 0 {
				want = append(want, fmt.Sprintf("%02d/%d", p, at))
			}
		}
		if n.N > 0 {
			wantDocs[fmt.Sprintf("p%02d", p)] = n
		}
		key := store.CursorKey{Reader: name, Partition: p}
		snap, err := w.s.Load(w.Context(), store.Need{Cursors: []store.CursorKey{key}})
		w.check(err)
		if snap.Cursors[key] != ends[p] {
			w.Errorf("%s: the cursor of partition %d is at %d of %d", name, p, snap.Cursors[key], ends[p])
		}
	}
	slices.Sort(ids)
	slices.Sort(want)
	if !maps.Equal(docs, wantDocs) {
		w.Errorf("%s: documents %v, want %v", name, docs, wantDocs)
	}
	if !slices.Equal(ids, want) {
		w.Errorf("%s: jobs %v, want %v", name, ids, want)
	}
}

// wait lets time pass in the bubble.
func wait(d time.Duration) {
	pause(context.Background(), d, nil)
	synctest.Wait()
}

// logged checks how often a reader stopped and went on, by the lines of the log.
func (w *world) logged(stopped, on int) {
	w.Helper()
	if w.log.Count("a reader stopped in a partition") != stopped || w.log.Count("the reader goes on") != on {
		w.Errorf("logged:\n%s", w.log.String())
	}
}
