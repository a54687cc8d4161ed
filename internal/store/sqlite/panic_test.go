package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// within fails a test that would hang: whatever it waits for comes at once, or
// never.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestPanicInAWrite: a fault in an op fails those that shared its transaction
// and every later write, at once, and says so to those who watch. Nothing of
// the transaction is there, reads go on, and a new start takes writes.
func TestPanicInAWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
	if err := s.Failed(); err != nil {
		t.Fatalf("failed before: %v", err)
	}
	release, shared := make(chan struct{}), make(chan error, 1)
	s.queue.Submit(t.Context(), &store.Work[op]{
		What: func(*writer) error { <-release; return nil }, Done: func(error) {},
	})
	s.queue.Submit(t.Context(), &store.Work[op]{
		What: func(w *writer) error { return w.conn.exec("INSERT INTO meta VALUES ('sealed', 'half')") },
		Done: func(err error) { shared <- err },
	})
	faulty := make(chan error, 1)
	s.queue.Submit(t.Context(), &store.Work[op]{
		What: func(*writer) error { panic("a fault in an op") }, Done: func(err error) { faulty <- err },
	})
	close(release)
	if err := <-faulty; !errors.Is(err, store.ErrFailed) || !errors.Is(err, store.ErrFault) {
		t.Errorf("the op itself: %v", err)
	}
	key := gotong.Key{Collection: "c", Owner: "o", Name: "n"}
	for what, err := range map[string]error{
		"the shared op": <-shared, "a later write": s.SetRegister(within(t), key, 0, []byte("{}"), 0), "health": s.Failed(),
	} {
		if !errors.Is(err, store.ErrFailed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if state, err := s.State(within(t)); err != nil || state.Sealed != "" || len(s.events(t, "thread/a")) != 1 {
		t.Errorf("reading after the fault: %+v %v", state, err)
	}
	check(t, s.Close())
	s = opened(t, path)
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
}

// TestPanicInARead: a fault in a read fails that read; no connection is left
// within its transaction, which would show an old state for ever.
func TestPanicInARead(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	m := storetest.NewMaker(s.Epoch())
	for range 2 * s.count {
		err := s.read(within(t), func(r *reading) error {
			if _, err := readEnds(r.conn); err != nil {
				return err
			}
			panic("a fault in a read")
		})
		if !errors.Is(err, store.ErrFault) {
			t.Fatalf("the read: %v", err)
		}
	}
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
	for range 2 * s.count {
		if all, err := s.Positions(within(t)); err != nil || all[gotong.PartitionOf("thread/a")] != 1 {
			t.Errorf("a read after it: %v %v", all, err)
		}
	}
	if err := s.Failed(); err != nil {
		t.Errorf("a read made writing fail: %v", err)
	}
}

// TestNothingAfterAFailure: SQLite can end a transaction when a statement fails. Documents
// that were written after it would stay, each by itself.
func TestNothingAfterAFailure(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "gotong.db"), Options{Collections: []string{"things"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	key := gotong.Key{Collection: "things", Owner: "a", Name: "1"}
	failed := &batch{conn: s.writer.conn, err: store.ErrFull}
	err = s.db().Project(failed, []store.Step{{Reader: "r", To: 1, Changes: []store.Change{{Key: key, Body: []byte("{}")}}}}, nil)
	if !errors.Is(err, store.ErrFull) {
		t.Error(err)
	}
	if snap, err := s.Load(t.Context(), store.Need{Documents: []gotong.Key{key}}); len(snap.Documents) > 0 || err != nil {
		t.Error(snap.Documents, err)
	}
}
