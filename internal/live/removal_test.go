package live_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/live"
)

func TestRemoval(t *testing.T) {
	for _, test := range []struct{ s, g gotong.Stream }{
		{"room/1", "room/1"}, {"room/c-x-1", "club/x"}, {"room/t-x-1", "club/x"}, {"room/t-x-1", "team/x"}, {"team/x", "club/x"},
	} {
		s, g := test.s, test.g
		t.Run(string(s)+" by "+string(g), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				h := w.start()
				for _, of := range chain(s) {
					w.commit(h, of, add("ann"), add("bob"))
				}
				w.commit(h, s, say("first"))
				bob, ann := open(t, h, "bob", live.SessionOptions{}), open(t, h, "ann", live.SessionOptions{})
				bob.subscribe(s, live.Now())
				ann.subscribe(s, live.Now())
				synctest.Wait()
				bob.drain()
				ann.drain()
				before := w.commit(h, s, say("untaken"))
				removal := w.commit(h, g, remove("bob"))
				after := w.commit(h, s, say("after"))
				if err := h.Await(t.Context(), removal.Partition, removal.Position); err != nil {
					t.Fatal(err)
				}
				bob.drain()
				bob.heard("subscribed", "access_revoked")
				bob.sees(s)
				if n := h.Stats(); n.Subscriptions != 1 || n.Stale != 0 {
					t.Errorf("%+v", n)
				}
				for range 3 {
					synctest.Wait()
					ann.drain()
				}
				want := []uint64{before.Seq, after.Seq}
				if g == s {
					want = []uint64{before.Seq, removal.Seq, after.Seq}
				}
				ann.sees(s, want...)

				w.commit(h, g, add("bob"))
				w.commit(h, s, say("again"))
				bob.subscribe(s, at(0))
				for range 4 {
					synctest.Wait()
					bob.drain()
				}
				bob.sees(s, w.visible("bob", s)...)
			})
		})
	}
}

// A write that is under way when its reader is removed is cut, and Await does
// not return before it is over; also where the writer takes more before it
// writes, as transports do that gather an answer.
func TestRemovalCutsBlockedWrite(t *testing.T) {
	for _, test := range []struct {
		name string
		more bool
	}{{"one take", false}, {"two takes", true}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				h := w.start()
				other := beside(r1)
				w.commit(h, r1, add("ann"), add("bob"))
				w.commit(h, other, add("bob"))
				killed := make(chan struct{})
				bob := open(t, h, "bob", live.SessionOptions{Kill: func() { close(killed) }})
				bob.subscribe(r1, live.Now())
				bob.subscribe(other, live.Now())
				synctest.Wait()
				bob.drain()
				w.commit(h, r1, say("3"))
				synctest.Wait()
				if frames, _ := bob.s.Take(nil, 1<<20); len(frames) != 1 {
					t.Fatalf("%d frames", len(frames))
				}
				removal := w.commit(h, r1, remove("bob"))
				began := time.Now()
				awaited := make(chan struct{})
				go func() {
					_ = h.Await(t.Context(), removal.Partition, removal.Position)
					close(awaited)
				}()
				synctest.Wait()
				if test.more {
					w.commit(h, other, say("2"))
					synctest.Wait()
					if frames, _ := bob.s.Take(nil, 1<<20); len(frames) == 0 {
						t.Fatal("nothing more to take")
					}
				}
				select {
				case <-killed:
				case <-time.After(time.Minute):
					t.Fatal("the write is not cut")
				}
				if d := time.Since(began); d != 100*time.Millisecond {
					t.Errorf("killed after %v", d)
				}
				select {
				case <-awaited:
					t.Error("Await returned while the write was under way")
				default:
				}
				bob.s.Written()
				<-awaited
			})
		})
	}
}

// It is cut also where a read shows the removal, by another node, before the tail hears of it.
func TestReadCutsBlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f, h := heldWorld(t, func(o *live.Options) { o.Limits.PageEvents = 2 })
		w.commit(h, r1, say("2"), say("3"))
		synctest.Wait() // no ring has them
		var killed time.Time
		ann := open(t, h, "ann", live.SessionOptions{Kill: func() { killed = time.Now() }})
		ann.subscribe(r1, at(0))
		synctest.Wait()
		release := f.hold(1, false)
		if frames, _ := ann.s.Take(nil, 1<<20); len(frames) == 0 { // and it asks for the next page
			t.Fatal("nothing to write")
		}
		synctest.Wait()
		w.commit(nil, r1, remove("ann"))
		began := time.Now()
		release()
		pass(150 * time.Millisecond)
		synctest.Wait()
		if d := killed.Sub(began); d != 100*time.Millisecond {
			t.Errorf("killed after %v", d)
		}
		ann.s.Written()
	})
}

// Whom a change touches but does not remove goes on where they were.
func TestAccessRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"))
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, live.Now())
		synctest.Wait()
		w.commit(h, r1, say("2"), opened())
		w.commit(h, r1, say("4"))
		for range 4 {
			synctest.Wait()
			c.drain()
		}
		c.heard("subscribed")
		c.sees(r1, 2, 3, 4)
	})
}

// A node that cannot hear the log falls silent after 5 s, and speaks again.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := &faulty{world: w}
		h := w.start(func(o *live.Options) { o.Store = f })
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
		synctest.Wait()
		c.drain()
		c.sees(r1, 2)
		if err := c.s.Signal(r1, "typing"); gotong.CodeOf(err) != gotong.CodeNotFound {
			t.Errorf("a signal on an old permission: %v", err)
		}
		f.set(nil)
		pass(2 * time.Second)
		synctest.Wait()
		c.drain()
		c.sees(r1, 2, 3)
	})
}

// A node that reads the log, but not which logins ended on other nodes, falls
// silent too, and goes on when it reads them again.
func TestSilenceWithoutLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mono := clock.System().Mono
		var seen atomic.Int64
		h := w.start(func(o *live.Options) { o.LoginsSeen = func() clock.Moment { return clock.Moment(seen.Load()) } })
		w.commit(h, r1, add("ann"))
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, live.Now())
		next := func(text string, want ...uint64) {
			t.Helper()
			synctest.Wait()
			w.commit(h, r1, say(text))
			synctest.Wait()
			c.drain()
			c.sees(r1, want...)
		}
		next("2") // no look yet
		seen.Store(int64(mono()))
		pass(2 * time.Second)
		next("3", 2, 3)
		pass(2 * time.Second)
		next("4", 2, 3, 4)
		pass(2 * time.Second) // the look is 6 s old
		next("5", 2, 3, 4)
		seen.Store(int64(mono()))
		pass(2 * time.Second)
		next("6", 2, 3, 4, 5, 6)
	})
}

// A node that can ask how far the log is, but cannot read what is there, falls
// silent too: there may be a removal.
func TestSilenceOfTheDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := &faulty{world: w}
		a, b := w.start(), w.start(func(o *live.Options) { o.Store = f })
		w.commit(a, r1, add("ann"), add("bob"))
		c := open(t, b, "bob", live.SessionOptions{})
		c.subscribe(r1, live.Now())
		pass(time.Second)
		c.drain()
		f.deafen(errors.New("no partition"))
		w.commit(a, r1, remove("bob"))
		pass(7 * time.Second)
		if err := c.s.Signal(r1, "typing"); gotong.CodeOf(err) != gotong.CodeNotFound {
			t.Errorf("a signal on an old permission: %v", err)
		}
		f.deafen(nil)
		pass(3 * time.Second)
		c.drain()
		c.sees(r1)
	})
}

// What another node commits comes by the bus at once, and without it by the
// next poll; a removal there ends the subscription here.
func TestTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, s := range []gotong.Stream{"room/1", "room/t-x-1"} {
			w := newWorld(t)
			net := bustest.NewSwitch()
			a, b := w.start(on(net.Join())), w.start(on(net.Join()))
			w.seat(a, s, "ann", "bob")
			w.commit(a, governing(s), add("ann"), add("bob"))
			first := w.commit(a, s, say("first")).Seq
			c := open(t, b, "bob", live.SessionOptions{})
			c.subscribe(s, live.Now())
			synctest.Wait()
			c.drain()
			w.commit(a, s, say("1"))
			synctest.Wait()
			c.drain()
			c.sees(s, first+1)
			net.Cut()
			w.commit(a, s, say("2"))
			synctest.Wait()
			c.drain()
			c.sees(s, first+1)
			pass(time.Second)
			synctest.Wait()
			c.drain()
			c.sees(s, first+1, first+2)
			w.commit(a, governing(s), remove("bob"))
			w.commit(a, s, say("after"))
			pass(time.Second)
			synctest.Wait()
			c.drain()
			c.sees(s, first+1, first+2)
			c.heard("subscribed", "access_revoked")
		}
	})
}
