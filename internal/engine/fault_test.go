package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
)

// panicky is a store whose calls panic on demand.
type panicky struct {
	engine.Store
	commit, load atomic.Bool
}

func (p *panicky) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	if p.commit.Load() {
		panic("a fault in Submit")
	}
	p.Store.Submit(ctx, batch, announce, done)
}

func (p *panicky) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	if p.load.Load() {
		panic("a fault in Load")
	}
	return p.Store.Load(ctx, need)
}

// A fault in the store, in the hook or in a caller's callback is reported, and
// the commands that come after it are answered.
func TestFaultsEndNothingElse(t *testing.T) {
	s := &panicky{Store: newMemory(t)}
	var hook atomic.Bool
	var faults atomic.Value
	e := engine.New(engine.Options{
		Store: s, Codec: store.NewCodec([]gotong.Kind{tally()}), Clock: clocktest.Showing(clock()),
		Committed: func(context.Context, []store.Event) {
			if hook.Load() {
				panic("a fault in the hook")
			}
		},
		Fault: func(_ context.Context, cause any) { faults.Store(fmt.Sprint(cause)) },
	})
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	n := 0
	run := func() (gotong.Receipt, error) {
		n++
		return e.Execute(t.Context(), command(one, "ani", fmt.Sprint(n), add{N: 1}))
	}
	for what, tc := range map[string]struct {
		broken *atomic.Bool
		want   gotong.Code
	}{
		"Submit": {&s.commit, gotong.CodeBusy}, "Load": {&s.load, gotong.CodeInternal}, "the hook": {&hook, ""},
	} {
		if what == "Load" { // so that the lane knows nothing
			s.commit.Store(true)
			_, _ = run()
			s.commit.Store(false)
		}
		faults.Store("")
		tc.broken.Store(true)
		if _, err := run(); gotong.CodeOf(err) != tc.want {
			t.Errorf("%s: %v, want %q", what, err, tc.want)
		}
		tc.broken.Store(false)
		if cause := faults.Load().(string); !strings.Contains(cause, "a fault in "+what) {
			t.Errorf("%s: reported %q", what, cause)
		}
		if _, err := run(); err != nil {
			t.Errorf("after a fault in %s: %v", what, err)
		}
	}
	answered := make(chan struct{})
	e.Submit(t.Context(), command(one, "ani", "callback", add{N: 1}), func(gotong.Receipt, error) {
		close(answered)
		panic("a fault in a callback")
	})
	<-answered
	if _, err := run(); err != nil {
		t.Errorf("after a fault in a callback: %v", err)
	}
}
