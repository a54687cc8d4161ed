package storetest_test

import (
	"context"
	"errors"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
)

func TestFaultyFailsThePlannedCalls(t *testing.T) {
	broken := errors.New("broken")
	f := storetest.NewFaulty(memory.New("k3f9", memory.Options{}))
	t.Cleanup(func() { _ = f.Close() })
	m := storetest.NewMaker("k3f9")
	commit := func() error {
		c := m.Peek(storetest.Draft{Stream: "thread/a", Events: 1})
		_, err := store.CommitAll(t.Context(), f, []store.Commit{c})
		if h := head(t, f); h == c.Head() {
			m.Took(c)
		}
		return err
	}
	f.Fail(storetest.OpCommit, 2, broken)
	f.FailAfter(storetest.OpCommit, 3, broken)
	for i, want := range []struct {
		err error
		seq uint64
	}{{nil, 1}, {broken, 1}, {broken, 2}, {nil, 3}} {
		if err := commit(); !errors.Is(err, want.err) || head(t, f).Seq != want.seq {
			t.Errorf("call %d: %v, head %d, want %v, %d", i+1, err, head(t, f).Seq, want.err, want.seq)
		}
	}
	if f.Calls(storetest.OpCommit) != 4 {
		t.Errorf("%d calls", f.Calls(storetest.OpCommit))
	}
	f.Fail(storetest.OpSetRegister, 1, broken)
	f.Fail(storetest.OpAdvance, 1, broken)
	f.Fail(storetest.OpLoad, 1, broken)
	f.Fail(storetest.OpRead, 1, broken)
	_, load := f.Load(t.Context(), store.Need{})
	_, read := f.ReadPartition(t.Context(), 0, 0, 1, 1)
	for name, err := range map[string]error{
		"Load": load, "ReadPartition": read, "Advance": f.Advance(t.Context(), store.Step{To: 1}),
		"SetRegister": f.SetRegister(t.Context(), gotong.Key{}, 0, []byte("x"), 0),
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFaultyHoldsAndReleases(t *testing.T) {
	f := storetest.NewFaulty(memory.New("k3f9", memory.Options{}))
	t.Cleanup(func() { _ = f.Close() })
	m := storetest.NewMaker("k3f9")
	hold, after := f.Hold(storetest.OpCommit, 1), f.HoldAfter(storetest.OpCommit, 2)
	done := make(chan error)
	call := func(ctx context.Context) {
		_, err := store.CommitAll(ctx, f, []store.Commit{m.Next(storetest.Draft{Stream: "thread/a", Events: 1})})
		done <- err
	}
	go call(t.Context())
	<-hold.Entered()
	if seq := head(t, f).Seq; seq != 0 {
		t.Errorf("held before it took effect, the head is %d", seq)
	}
	hold.Release()
	if err := <-done; err != nil || head(t, f).Seq != 1 {
		t.Errorf("released: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go call(ctx)
	<-after.Entered()
	if seq := head(t, f).Seq; seq != 2 {
		t.Errorf("held after it took effect, the head is %d", seq)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func head(t *testing.T, s store.Whole) gotong.Head {
	t.Helper()
	snap, err := s.(*storetest.Faulty).Whole.Load(t.Context(), store.Need{Heads: []gotong.Stream{"thread/a"}})
	if err != nil {
		t.Fatal(err)
	}
	return snap.Heads["thread/a"]
}
