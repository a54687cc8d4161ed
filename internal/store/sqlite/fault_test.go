package sqlite

import (
	"errors"
	"path/filepath"
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
		if _, err := store.CommitAll(t.Context(), s, []store.Commit{small, big}); !errors.Is(err, store.ErrFull) {
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
	out, err := store.CommitAll(t.Context(), s, []store.Commit{small, big})
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
	if _, err := store.CommitAll(t.Context(), s, next); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("fault: %v", err)
	}
	check(t, s.writer.conn.once("PRAGMA query_only = OFF"))
	if _, err := store.CommitAll(t.Context(), s, next); !errors.Is(err, store.ErrFailed) {
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
	if out, err := store.CommitAll(t.Context(), s, next); err != nil || out[0].Status != store.Committed {
		t.Fatalf("after a new start: %v %v", out, err)
	}
}

// TestLockedByAnotherProgram: a write that waits for the lock of another program for
// too long was not written, and can be repeated.
func TestLockedByAnotherProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	next := []store.Commit{m.Next(storetest.Draft{Stream: "thread/a", Events: 1})}
	other, err := openConn(path)
	check(t, err)
	defer func() { check(t, other.db.Close()) }()
	check(t, other.once("BEGIN IMMEDIATE"))
	s.writer.conn.db.SetBusyTimeout(0)
	if _, err := store.CommitAll(t.Context(), s, next); !errors.Is(err, store.ErrBusy) {
		t.Fatalf("locked: %v", err)
	}
	if err := s.Advance(t.Context(), store.Step{Reader: "r", To: 1}); !errors.Is(err, store.ErrBusy) {
		t.Fatalf("a step while locked: %v", err)
	}
	check(t, other.once("ROLLBACK"))
	if out, err := store.CommitAll(t.Context(), s, next); err != nil || out[0].Status != store.Committed {
		t.Fatalf("after the lock: %v %v", out, err)
	}
}

// TestSharedSync: many registers that are set at once share transactions.
func TestSharedSync(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	const n = 50
	done := make(chan error, n+1)
	set := func(i int) store.Work[op] {
		return store.Work[op]{What: func(w *writer) error {
			return w.conn.exec("INSERT INTO registers VALUES ('', '', ?, 1, x'00', 0)", gotong.SeqName(uint64(i)))
		}, Done: func(err error) { done <- err }}
	}
	before, release := 0, make(chan struct{})
	busy := store.Work[op]{What: func(w *writer) error {
		before = w.transactions
		<-release // while somebody writes, others gather
		return nil
	}, Done: func(err error) { done <- err }}
	s.queue.Submit(t.Context(), &busy)
	for i := range n {
		k := set(i)
		s.queue.Submit(t.Context(), &k)
	}
	close(release)
	for range n + 1 {
		check(t, <-done)
	}
	if got := s.writer.transactions - before; got > 1 {
		t.Errorf("%d registers took %d transactions", n, got)
	}
}
