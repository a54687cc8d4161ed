package live_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/view"
)

// Run returns when nothing of the hub runs any more: it waits for a read and
// for a cut under way, but not for what is only to be tried later.
func TestRunJoinsAll(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *world, *faulty, *live.Hub) (release func()){
		"nothing": func(*testing.T, *world, *faulty, *live.Hub) func() { return nil },
		"a read": func(t *testing.T, _ *world, f *faulty, h *live.Hub) func() {
			t.Helper()
			release := f.hold(1, true)
			open(t, h, "ann", live.SessionOptions{}).subscribe(r1, at(0))
			return release
		},
		"a read that is tried again": func(t *testing.T, _ *world, f *faulty, h *live.Hub) func() {
			t.Helper()
			f.set(errors.New("no store"))
			open(t, h, "ann", live.SessionOptions{}).subscribe(r1, at(0))
			return nil
		},
		"a cut": func(t *testing.T, w *world, _ *faulty, h *live.Hub) func() {
			t.Helper()
			gate := make(chan struct{})
			c := open(t, h, "ann", live.SessionOptions{Kill: func() { <-gate }})
			c.subscribe(r1, at(0))
			synctest.Wait()
			c.s.Take(nil, 1<<20) // a write that does not end
			w.commit(h, r1, remove("ann"))
			pass(time.Second)
			return func() { close(gate) }
		},
		"a cut that is due": func(t *testing.T, w *world, _ *faulty, h *live.Hub) func() {
			t.Helper()
			gate := make(chan struct{})
			c := open(t, h, "ann", live.SessionOptions{Kill: func() { <-gate }})
			c.subscribe(r1, at(0))
			synctest.Wait()
			c.s.Take(nil, 1<<20)
			w.commit(h, r1, remove("ann"))
			return func() { close(gate) }
		},
		"a cut of a drain": func(t *testing.T, _ *world, _ *faulty, h *live.Hub) func() {
			t.Helper()
			gate := make(chan struct{})
			open(t, h, "ann", live.SessionOptions{Kill: func() { <-gate }})
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := h.Drain(ctx); err == nil {
				t.Error("drained with a session")
			}
			return func() { close(gate) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.commit(nil, r1, add("ann"))
				f := &faulty{world: w}
				h := live.New(live.Options{Store: f, Codec: w.codec, Views: view.New(view.Options{Store: f, Codec: w.codec})})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- h.Run(ctx) }()
				synctest.Wait()
				release := prepare(t, w, f, h)
				synctest.Wait()
				cancel()
				synctest.Wait()
				if release != nil {
					if len(done) > 0 {
						t.Error("Run has returned while something is under way")
					}
					release()
					synctest.Wait()
				}
				if len(done) == 0 {
					t.Error("Run has not returned")
				}
			})
		})
	}
}
