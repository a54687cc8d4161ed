package surreal

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// TestUnsafeEngineIsRejectedUnlessAllowed: an engine that loses writes is rejected.
func TestUnsafeEngineIsRejectedUnlessAllowed(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.LaunchMemory(t, e).Fresh()
		if _, err := Open(t.Context(), cfg, Options{}); !errors.Is(err, ErrEngine) {
			t.Errorf("opened on mem: %v", err)
		}
		check(t, opened(t, cfg, Options{UnsafeEngine: true}).Close())
	})
}

func TestOnlyTestedVersionsAreSupported(t *testing.T) {
	for text, want := range map[[3]int]bool{
		{3, 0, 2}: true, {3, 0, 5}: true, {2, 6, 0}: true, {2, 6, 5}: true,
		{3, 1, 0}: false, {2, 5, 9}: false, {4, 0, 0}: false, {0, 0, 0}: false,
	} {
		if got := supported(surreal.Version{Major: text[0], Minor: text[1], Patch: text[2]}); got != want {
			t.Errorf("%v: %v", text, got)
		}
	}
}

// TestNoWritesWhileTheClockIsWrong: a node whose clock is wrong does not start. One
// whose clock becomes wrong accepts no writes until it is right again, and reads
// continue.
func TestNoWritesWhileTheClockIsWrong(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		var off atomic.Int64
		clock := func() gotong.Instant { return gotong.InstantOf(time.Now().Add(time.Duration(off.Load()))) }
		s := opened(t, cfg, Options{Clock: clock})
		m := storetest.NewMaker(s.Epoch())
		for _, wrong := range []time.Duration{3 * time.Second, -3 * time.Second, time.Hour} {
			off.Store(int64(wrong))
			if _, err := Open(t.Context(), cfg, Options{Clock: clock}); !errors.Is(err, store.ErrClock) {
				t.Errorf("opened, %s off: %v", wrong, err)
			}
			if err := s.checkClock(t.Context()); !errors.Is(err, store.ErrClock) {
				t.Errorf("checked, %s off: %v", wrong, err)
			}
			_, err := store.CommitAll(t.Context(), s, []store.Commit{m.Peek(storetest.Draft{Stream: "thread/a", Events: 1})})
			if !errors.Is(err, store.ErrClock) {
				t.Errorf("committed, %s off: %v", wrong, err)
			}
			headOf(t, s, "thread/a")
			off.Store(int64(wrong / 10000))
			check(t, s.checkClock(t.Context()))
			commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
		}
	})
}

// TestExpiredRegistersLeaveTheTable: exactly the registers that have expired leave the
// table.
func TestExpiredRegistersLeaveTheTable(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		var now atomic.Int64
		now.Store(1000)
		s := opened(t, cfg, Options{Now: func() gotong.Instant { return gotong.Instant(now.Load()) }})
		for name, expires := range map[string]gotong.Instant{"soon": 1005, "later": 5000, "never": 0} {
			key := gotong.Key{Collection: "session", Owner: "u", Name: name}
			check(t, s.SetRegister(t.Context(), key, 0, []byte("x"), expires))
		}
		now.Store(1005)
		check(t, s.clear(t.Context()))
		var names []string
		check(t, operator(t, cfg).Select(t.Context(), "SELECT VALUE record::id(id)[2] FROM register", nil, &names))
		if len(names) != 2 || names[0] != "later" || names[1] != "never" {
			t.Errorf("registers %v", names)
		}
	})
}
