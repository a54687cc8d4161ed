package sqlite

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// TestPowerCut cuts the power again and again while commits are made, and opens
// what is left each time: every commit that was acknowledged before the cut is
// there, once, and every chain holds (contract D2).
//
// The cut is simulated below SQLite and above the kernel: a file keeps what was
// synced, and of what was written since nothing, all, or sectors by chance, as
// a disk leaves it that keeps its word about a sync. That a disk and a file
// system do, and that a file made or deleted stays so, is taken for granted.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	d := watched(t, dir)
	s := opened(t, filepath.Join(dir, "gotong.db"))
	load := &load{s: s, acked: map[gotong.RequestKey]uint64{}, tick: make(chan struct{}, 64)}
	stop := make(chan struct{})
	for i := range 8 {
		load.running.Go(func() { load.commit(t, gotong.Stream(fmt.Sprint("thread/", i)), stop) })
	}
	type left struct {
		acked map[gotong.RequestKey]uint64
		files map[string][]byte
	}
	var cuts []left
	for i := range 24 {
		for range 1 + i%5 {
			<-load.tick
		}
		acked := load.known() // before the cut: what is acknowledged later may be lost
		cuts = append(cuts, left{acked, d.cut([]float64{0, 0, 0.5, 0.9, 1}[i%5])})
		if i == 12 { // also after the log was written back into the database
			s.keeper.finish.Store(true) // the writer does it, between two transactions
		}
	}
	close(stop)
	load.running.Wait()
	for i, c := range cuts {
		t.Run(fmt.Sprint(i), func(t *testing.T) { recovered(t, s.Epoch(), c.files, c.acked) })
	}
	if n := len(cuts[len(cuts)-1].acked); n < 24 {
		t.Errorf("only %d commits were acknowledged", n)
	}
}

// Steps of readers and jobs cause no sync of their own. A power loss takes back
// those after the last commit, and a commit keeps those before it.
func TestPowerCutTakesStepsBack(t *testing.T) {
	dir := t.TempDir()
	d := watched(t, dir)
	s := opened(t, filepath.Join(dir, "gotong.db"))
	m := storetest.NewMaker(s.Epoch())
	commit := func() {
		_, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(storetest.Draft{Stream: "thread/a", Events: 1})})
		check(t, err)
	}
	left := func(when string, want uint64, jobs int) {
		dir := t.TempDir()
		for path, b := range d.cut(0) {
			check(t, os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o600))
		}
		s := opened(t, filepath.Join(dir, "gotong.db"))
		at := store.CursorKey{Reader: "r"}
		snap, err := s.Load(t.Context(), store.Need{Cursors: []store.CursorKey{at}})
		check(t, err)
		rows, err := s.Rows(t.Context(), store.AllJobs, "", 9)
		check(t, err)
		if snap.Cursors[at] != want || len(rows.Jobs) != jobs {
			t.Errorf("%s: the cursor is %d and there are %d jobs, want %d and %d", when, snap.Cursors[at], len(rows.Jobs), want, jobs)
		}
		check(t, s.Close())
	}
	commit()
	check(t, s.Advance(t.Context(), store.Step{Reader: "r", To: 1, Jobs: []store.Job{{Queue: "q", ID: "a"}, {Queue: "q", ID: "b"}}}))
	left("after the step", 0, 0)
	commit()
	left("after a commit", 1, 2)
	jobs, err := s.ClaimJobs(t.Context(), "q", 1, 9, 1)
	check(t, err)
	check(t, s.SettleJob(t.Context(), jobs[0], nil))
	check(t, s.Advance(t.Context(), store.Step{Reader: "r", From: 1, To: 2}))
	left("after a job ended", 1, 2)
	check(t, s.SetRegister(t.Context(), gotong.Key{Collection: "c"}, 0, []byte("x"), 0))
	left("after a register", 2, 1)
	check(t, s.Advance(t.Context(), store.Step{Reader: "r", From: 2, To: 3}))
	s.keeper.finish.Store(true)
	check(t, s.Advance(t.Context(), store.Step{Reader: "r", From: 3, To: 4})) // its transaction ends with a checkpoint
	left("after a checkpoint", 4, 1)
}

// load makes commits and remembers which were acknowledged.
type load struct {
	s       *Store
	running sync.WaitGroup
	tick    chan struct{}

	mu    sync.Mutex
	acked map[gotong.RequestKey]uint64 // the seq
}

func (l *load) commit(t *testing.T, stream gotong.Stream, stop chan struct{}) {
	t.Helper()
	m := storetest.NewMaker(l.s.Epoch())
	for {
		c := m.Peek(storetest.Draft{Stream: stream, Events: 1})
		out, err := store.CommitAll(t.Context(), l.s, []store.Commit{c})
		if err != nil || out[0].Status != store.Committed {
			t.Errorf("commit: %+v %v", out, err)
			return
		}
		m.Took(c)
		l.mu.Lock()
		l.acked[c.Request] = c.Events[0].Seq
		l.mu.Unlock()
		select {
		case <-stop:
			return
		case l.tick <- struct{}{}:
		default:
		}
	}
}

func (l *load) known() map[gotong.RequestKey]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acked)
}

// recovered opens what a power cut left, and holds it against what was
// acknowledged.
func recovered(t *testing.T, epoch gotong.Epoch, files map[string][]byte, acked map[gotong.RequestKey]uint64) {
	t.Helper()
	dir := t.TempDir()
	for path, b := range files {
		check(t, os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o600))
	}
	s := opened(t, filepath.Join(dir, "gotong.db"))
	if s.Epoch() != epoch {
		t.Fatalf("the epoch is %s, was %s", s.Epoch(), epoch)
	}
	for key, seq := range acked {
		snap, err := s.Load(t.Context(), store.Need{Records: []gotong.RequestKey{key}})
		check(t, err)
		if snap.Records[key].First != seq {
			t.Errorf("%+v was acknowledged as event %d and is %+v", key, seq, snap.Records[key])
		}
	}
	for i := range 8 {
		chained(t, s, gotong.Stream(fmt.Sprint("thread/", i)))
	}
}

// chained follows a stream from its first event to its head.
func chained(t *testing.T, s *Store, stream gotong.Stream) {
	t.Helper()
	var prev gotong.Hash
	seen := uint64(0)
	for {
		snap, err := s.Load(t.Context(), store.Need{
			Heads: []gotong.Stream{stream}, Events: []store.EventRange{{Stream: stream, From: seen, To: seen + 100}},
		})
		check(t, err)
		for _, e := range snap.Events[0] {
			if seen++; e.Seq != seen || e.Prev != prev || e.Header(s.Epoch()).Chain() != e.Chain {
				t.Fatalf("%s: event %d does not follow event %d", stream, e.Seq, seen-1)
			}
			prev = e.Chain
		}
		if len(snap.Events[0]) == 0 {
			if head := snap.Heads[stream]; head.Seq != seen || head.Chain != prev && seen > 0 {
				t.Errorf("%s ends at %d, its head is %+v", stream, seen, head)
			}
			return
		}
	}
}
