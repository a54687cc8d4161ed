package live_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/view"
)

// stepped runs a test once for each way in which the time of day is set. set
// does so, step by step, and calls f after each.
func stepped(t *testing.T, test func(t *testing.T, w *world, clocked func(*live.Options), set func(f func()))) {
	t.Helper()
	for name, steps := range clocktest.Steps() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := clocktest.Running()
				test(t, newWorld(t), func(o *live.Options) { o.Clock = clock }, func(f func()) {
					for _, d := range steps {
						clock.Step(d)
						f()
					}
				})
			})
		})
	}
}

// Delivery goes on at once, whatever was done to the time of day: what was read
// completely stays so for as long as it would have.
func TestStepsHoldUpNoEvent(t *testing.T) {
	stepped(t, func(t *testing.T, w *world, clocked func(*live.Options), set func(func())) {
		t.Helper()
		h := w.start(clocked)
		w.commit(h, r1, add("ann"), add("bob"))
		ann, bob := open(t, h, "ann", live.SessionOptions{}), open(t, h, "bob", live.SessionOptions{})
		for _, c := range []*client{ann, bob} {
			c.subscribe(r1, live.Now())
		}
		synctest.Wait()
		last := uint64(2)
		set(func() {
			last = w.commit(h, r1, say("x")).Seq
			synctest.Wait()
			bob.drain()
			bob.sees(r1, seqs(3, last)...)
			if n := h.Stats().Silent; n != 0 {
				t.Errorf("%d partitions are silent", n)
			}
			if err := ann.s.Signal(r1, "typing"); err != nil {
				t.Errorf("a signal: %v", err)
			}
		})
	})
}

// A node that cannot read the log falls silent after 5 s and stays so, also
// where the time of day goes back to when it could.
func TestStepsEndNoSilence(t *testing.T) {
	stepped(t, func(t *testing.T, w *world, clocked func(*live.Options), set func(func())) {
		t.Helper()
		f := &faulty{world: w}
		h := w.start(clocked, func(o *live.Options) { o.Store = f })
		w.commit(h, r1, add("ann"))
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, live.Now())
		synctest.Wait()
		c.drain()
		f.set(errors.New("no store"))
		pass(4 * time.Second)
		w.commit(h, r1, say("2"))
		synctest.Wait()
		c.drain()
		c.sees(r1, 2)
		pass(2 * time.Second)
		w.commit(h, r1, say("3"))
		set(func() {
			synctest.Wait()
			c.drain()
			c.sees(r1, 2)
		})
		f.set(nil)
		pass(2 * time.Second)
		synctest.Wait()
		c.drain()
		c.sees(r1, 2, 3)
	})
}

// A read that waits for an event gives up after 5 s.
func TestStepsProlongNoWait(t *testing.T) {
	stepped(t, func(t *testing.T, w *world, clocked func(*live.Options), set func(func())) {
		t.Helper()
		h := w.start(clocked)
		w.commit(h, r1, add("ann"))
		time.AfterFunc(time.Second, func() { set(func() {}) })
		began := time.Now()
		_, err := w.view(h).Read(t.Context(), reader("ann"), view.Query{Stream: r1, MinSeq: 2})
		if took := time.Since(began); gotong.CodeOf(err) != gotong.CodeNotYet || took != 5*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// A kept page is handed out for as long as it would have been, and no longer.
func TestStepsKeepNoPage(t *testing.T) {
	stepped(t, func(t *testing.T, w *world, clocked func(*live.Options), set func(func())) {
		t.Helper()
		c := &counting{world: w}
		h := w.start(clocked, func(o *live.Options) { o.Store = c })
		w.commit(h, r1, add("ann"), add("bob"), say("3"))
		back := func(reads int64) {
			t.Helper()
			before := c.pages.Load()
			s := open(t, h, "ann", live.SessionOptions{})
			s.subscribe(r1, at(0))
			synctest.Wait()
			s.drain()
			s.sees(r1, 1, 2, 3)
			if got := c.pages.Load() - before; got != reads {
				t.Errorf("came back with %d pages read, want %d", got, reads)
			}
		}
		back(1)
		back(1)
		set(func() { back(0) })
		pass(20 * time.Second)
		back(1)
	})
}
