package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// TestFull: without room nothing of a batch is written, reads go on, and
// writing resumes by itself once there is room.
func TestFull(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Home: "group/g", Events: 1})
	check(t, s.writer.conn.once("PRAGMA max_page_count = 60"))
	big := m.Peek(storetest.Draft{Stream: "thread/a", Events: 200, Body: strings.Repeat("x", 3000)})
	small := m.Next(storetest.Draft{Stream: "thread/b", Home: "group/g", Events: 1})
	for range 3 {
		if _, err := s.Commit(t.Context(), []store.Commit{small, big}); !errors.Is(err, store.ErrFull) {
			t.Fatalf("full: %v", err)
		}
	}
	snap, err := s.Load(t.Context(), store.Need{
		Heads: []gotong.Stream{"thread/a", "thread/b"}, Events: []store.EventRange{{Stream: "thread/a", To: 9}},
	})
	if err != nil || len(snap.Heads) != 1 || snap.Heads["thread/a"].Seq != 1 || len(snap.Events[0]) != 1 {
		t.Fatalf("reading while full: %+v %v", snap, err)
	}
	check(t, s.writer.conn.once("PRAGMA max_page_count = 1000000"))
	out, err := s.Commit(t.Context(), []store.Commit{small, big})
	if err != nil || out[0].Status != store.Committed || out[1].Status != store.Committed {
		t.Fatalf("after room was made: %+v %v", out, err)
	}
	if out[0].Record.Position != 2 || out[1].Record.Position != 3 {
		t.Errorf("what was taken back left a gap: %+v", out)
	}
}

// TestFailed: after a storage fault no write is taken any more, reads go on
// where they can, and a new start goes on from what was acknowledged.
func TestFailed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
	next := []store.Commit{m.Next(storetest.Draft{Stream: "thread/a", Events: 1})}
	check(t, s.writer.conn.once("PRAGMA query_only = ON")) // as a file system that has turned read-only
	if _, err := s.Commit(t.Context(), next); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("fault: %v", err)
	}
	check(t, s.writer.conn.once("PRAGMA query_only = OFF"))
	if _, err := s.Commit(t.Context(), next); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("after the fault: %v", err)
	}
	if err := s.SetRegister(t.Context(), gotong.Key{}, 0, []byte("x"), 0); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("a register after the fault: %v", err)
	}
	snap, err := s.Load(t.Context(), store.Need{Heads: []gotong.Stream{"thread/a"}})
	if err != nil || snap.Heads["thread/a"].Seq != 1 {
		t.Fatalf("reading after the fault: %v", err)
	}
	check(t, s.Close())
	s = opened(t, path)
	if out, err := s.Commit(t.Context(), next); err != nil || out[0].Status != store.Committed {
		t.Fatalf("after a new start: %v %v", out, err)
	}
}

// TestBegunRunsToItsEnd: a context that ends takes back what nobody has begun,
// and nothing else.
func TestBegunRunsToItsEnd(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	s.queue.turn <- struct{}{} // somebody writes
	set := func(name string) (cancel func(), done chan error) {
		ctx, cancel := context.WithCancel(t.Context())
		done = make(chan error, 1)
		go func() { done <- s.SetRegister(ctx, gotong.Key{Name: name}, 0, []byte("x"), 0) }()
		for len(s.queue.waiting()) == 0 {
			runtime.Gosched()
		}
		return cancel, done
	}
	cancel, done := set("waits")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: %v", err)
	}
	cancel, done = set("begun")
	ops := s.queue.take()
	cancel()
	s.writer.write(ops, s.keeper)
	<-s.queue.turn
	if err := <-done; err != nil {
		t.Errorf("begun: %v", err)
	}
	for name, want := range map[string]uint64{"waits": 0, "begun": 1} {
		r, err := store.ReadRegister(t.Context(), s, gotong.Key{Name: name})
		if err != nil || r.Version != want {
			t.Errorf("register %s has version %d, %v", name, r.Version, err)
		}
	}
}

// waiting is what nobody has begun.
func (q queue) waiting() []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(*q.ops)
}

// TestSharedSync: many registers that are set at once share transactions.
func TestSharedSync(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	s.queue.turn <- struct{}{} // while somebody writes, others gather
	const n = 50
	done := make(chan error, n)
	for i := range n {
		go func() {
			done <- s.SetRegister(t.Context(), gotong.Key{Name: gotong.SeqName(uint64(i))}, 0, []byte("x"), 0)
		}()
	}
	for len(s.queue.waiting()) < n {
		runtime.Gosched()
	}
	before := s.writer.transactions
	<-s.queue.turn
	for range n {
		check(t, <-done)
	}
	if got := s.writer.transactions - before; got != 1 {
		t.Errorf("%d registers took %d transactions", n, got)
	}
}
