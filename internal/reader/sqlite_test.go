package reader

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/storetest"
)

// On a real database, beside commits and through restarts: each job of a reader
// runs once and has its effect once, and the documents are those of the log.
func TestReadersOnSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	readers := []Reader{tally("a", "as", nil), tally("b", "bs", nil)}
	open := func() *sqlite.Store {
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{Collections: Collections(readers), Now: clock.System().Now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	var mu sync.Mutex
	ran := map[string]int{}
	s := open()
	m := storetest.NewMaker(s.Epoch())
	for round := range 3 {
		wanted := make(chan struct{})
		handler := Handler{Queue: "a", Run: func(_ context.Context, job store.Job) (Result, error) {
			mu.Lock()
			defer mu.Unlock()
			if ran[job.ID]++; len(ran) == 4*25*(round+1) {
				close(wanted)
			}
			return Done, nil
		}}
		r, err := New(Options{Store: s, Clock: clock.System(), Log: slog.New(slog.DiscardHandler)}, readers, []Handler{handler})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _ = r.Run(ctx) })
		for i := range 4 { // one stream in each of four partitions
			group.Go(func() {
				for range 50 {
					c := m.Next(storetest.Draft{Stream: gotong.Stream(fmt.Sprint("thread/", i)), Home: homeIn(i), Events: 1})
					out, err := store.CommitAll(context.Background(), s, []store.Commit{c})
					if err != nil {
						t.Error(err)
						return
					}
					c.Events[0].Position = out[0].Record.Position
					r.Committed(c.Events)
				}
			})
		}
		<-wanted
		cancel()
		group.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open()
	}
	defer func() { _ = s.Close() }()
	for id, n := range ran {
		if n != 1 {
			t.Errorf("job %s ran %d times", id, n)
		}
	}
	w := &world{T: t, s: storetest.NewFaulty(s), m: m, clock: clocktest.Running()}
	for id := range ran { // for the comparison of jobs
		w.check(s.Advance(t.Context(), store.Step{Reader: "x", Jobs: []store.Job{{Queue: "a", ID: id}}}))
	}
	w.tallied("a", "as", nil)
	w.tallied("b", "bs", nil)
}

// homeIn returns a home in partition i.
func homeIn(i int) gotong.Stream {
	for n := 0; ; n++ {
		if home := gotong.Stream(fmt.Sprint("group/", n)); gotong.PartitionOf(home) == gotong.Partition(i) {
			return home
		}
	}
}
