package live_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/signal"
)

func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		net := bustest.NewSwitch()
		a, b := w.start(on(net.Join())), w.start(on(net.Join()))
		w.commit(a, r1, add("ann"), add("bob"), add("cat"))
		ann, bob, cat := open(t, a, "ann", live.SessionOptions{}), open(t, a, "bob", live.SessionOptions{}), open(t, b, "cat", live.SessionOptions{})
		for _, c := range []*client{ann, bob, cat} {
			c.subscribe(r1, live.Now())
			pass(time.Second)
			synctest.Wait()
			c.drain()
		}
		for range 3 {
			if err := bob.s.Signal(r1, "typing"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for _, c := range []*client{ann, bob, cat} {
			c.drain()
		}
		ann.heard("subscribed", "signal typing bob", "signal presence 3 [ann bob cat]") // the latest alone
		bob.heard("subscribed", "signal presence 2 [ann bob]", "signal presence 3 [ann bob cat]")
		cat.heard("subscribed", "signal presence 3 [ann bob cat]", "signal typing bob")
		if got := a.Signals().Present(r1); !slices.Equal(got, []string{"ann", "bob", "cat"}) {
			t.Errorf("present %v", got)
		}
		if err := bob.s.Signal(r1, "dance"); gotong.CodeOf(err) != gotong.CodeInvalid {
			t.Errorf("unknown: %v", err)
		}
		if err := bob.s.Signal("room/2", "typing"); gotong.CodeOf(err) != gotong.CodeNotFound {
			t.Errorf("not followed: %v", err)
		}

		// A signal that waits when its hearer is removed is not heard.
		_ = bob.s.Signal(r1, "typing")
		w.commit(a, r1, remove("ann"))
		synctest.Wait()
		ann.ops = nil
		ann.drain()
		ann.heard("access_revoked")
		if got := a.Signals().Present(r1); !slices.Equal(got, []string{"bob", "cat"}) {
			t.Errorf("present %v", got)
		}
		pass(3 * time.Minute)
		synctest.Wait()
		if got := b.Signals().Present(r1); !slices.Equal(got, []string{"bob", "cat"}) {
			t.Errorf("present %v", got)
		}
		bob.s.Close()
		pass(time.Second)
		cat.ops = nil
		cat.drain()
		cat.heard("signal typing bob", "signal presence 1 [cat]")
		if got := b.Signals().Present(r1); !slices.Equal(got, []string{"cat"}) {
			t.Errorf("present %v", got)
		}
	})
}

func TestEndAndDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"), add("bob"))
		ann, bob := open(t, h, "ann", live.SessionOptions{}), open(t, h, "bob", live.SessionOptions{})
		killed := make(chan struct{})
		stuck := open(t, h, "bob", live.SessionOptions{Kill: func() { close(killed) }})
		for _, c := range []*client{ann, bob} {
			c.subscribe(r1, live.Now())
			synctest.Wait()
			c.drain()
		}
		w.commit(h, r1, say("3"))
		synctest.Wait()
		h.EndUser("ann", live.Closing{Code: 4401, Reason: "signed out"})
		ann.drain()
		ann.sees(r1)
		if c, ok := ann.s.Closing(); !ok || c.Code != 4401 {
			t.Errorf("closing %v %v", c, ok)
		}
		ann.s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		drained := make(chan error)
		go func() { drained <- h.Drain(ctx) }()
		synctest.Wait()
		if _, err := h.Open(reader("cat"), live.SessionOptions{}); !errors.Is(err, live.ErrDraining) {
			t.Errorf("open: %v", err)
		}
		bob.ops = nil
		bob.drain()
		bob.heard("going_away")
		if c, ok := bob.s.Closing(); !ok || c.Code != 1012 {
			t.Errorf("closing %v %v", c, ok)
		}
		bob.s.Close()
		<-killed
		stuck.s.Close()
		if err := <-drained; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain: %v", err)
		}
	})
}

// TestGoingAwayOvertakes: the sign of a restart goes before the answers that wait for a client that
// reads slowly, and is there even when no more of them would be queued. Only the welcome, the
// first frame of a connection, goes before it.
func TestGoingAwayOvertakes(t *testing.T) {
	for _, test := range []struct {
		waiting int // with subscribed, 256 fill the queue
		written bool
	}{{3, true}, {255, true}, {3, false}, {254, false}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			h := w.start()
			w.commit(h, r1, add("ann"), say("2"))
			s := open(t, h, "ann", live.SessionOptions{})
			s.s.Put(live.NewFrame([]byte(`{"op":"welcome"}`)))
			want := []string{"welcome", "going_away"}
			if test.written {
				s.s.Take(nil, 1)
				s.s.Written()
				want = want[1:]
			}
			s.subscribe(r1, live.First())
			synctest.Wait()
			for range test.waiting {
				s.s.Put(live.NewFrame([]byte(`{"op":"pong"}`)))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			drained := make(chan error)
			go func() { drained <- h.Drain(ctx) }()
			synctest.Wait()
			for _, op := range want {
				frames, _ := s.s.Take(nil, 1)
				if len(frames) != 1 || !bytes.Contains(frames[0].JSON(), []byte(`"`+op+`"`)) {
					t.Errorf("with %+v, the frame is %v instead of %s", test, frames, op)
				}
			}
			s.s.Written()
			if c, ok := s.s.Closing(); !ok || c.Code != 1012 {
				t.Errorf("closing %v %v", c, ok)
			}
			s.s.Close()
			if err := <-drained; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNextAndPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"))
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, live.Now())
		if err := c.s.Outcome(t.Context(), r1); err != nil {
			t.Fatal(err)
		}
		next := func() live.Frame {
			frames, _, err := c.s.Next(t.Context(), nil, 1<<20)
			if err != nil || len(frames) != 1 {
				t.Fatalf("%d frames, %v", len(frames), err)
			}
			c.s.Written()
			return frames[0]
		}
		c.handle(next())
		go func() {
			pass(time.Second)
			w.commit(h, r1, say("2"))
		}()
		c.handle(next())
		c.sees(r1, 2)
		pong := live.NewFrame([]byte(`{"op":"pong"}`))
		for n := 1; n <= 64; n++ {
			if room := c.s.Put(pong); room != (n < 64) {
				t.Fatalf("frame %d: room %v", n, room)
			}
		}
		c.drain()
		if !c.s.Room() {
			t.Error("no room after all was taken")
		}
		for range 4*64 + 1 {
			c.s.Put(pong)
		}
		if got, ok := c.s.Closing(); !ok || got.Code != 1013 {
			t.Errorf("closing %v %v", got, ok)
		}
		c.drain()
		if _, _, err := c.s.Next(t.Context(), nil, 1); !errors.Is(err, live.ErrClosed) {
			t.Errorf("next: %v", err)
		}
	})
}

// Wake comes at least once after something became takeable, and not for what
// nobody took yet.
func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"))
		woken := 0
		c := open(t, h, "ann", live.SessionOptions{Wake: func() { woken++ }})
		c.subscribe(r1, live.Now())
		synctest.Wait()
		c.drain()
		woken = 0
		for range 10 {
			w.commit(h, r1, say("x"))
			synctest.Wait()
		}
		if woken != 1 {
			t.Errorf("woken %d times", woken)
		}
		if n, more := c.take(1); n != 1 || !more {
			t.Errorf("took %d, more %v", n, more)
		}
		c.drain()
		w.commit(h, r1, say("x"))
		synctest.Wait()
		if woken != 2 {
			t.Errorf("woken %d times", woken)
		}
	})
}

// TestWhisper: what a user marked as read concerns their own sessions alone.
func TestWhisper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		net := bustest.NewSwitch()
		a, b := w.start(on(net.Join())), w.start(on(net.Join()))
		w.commit(a, r1, add("ann"), add("bob"))
		phone, desk, bob := open(t, a, "ann", live.SessionOptions{}), open(t, b, "ann", live.SessionOptions{}), open(t, a, "bob", live.SessionOptions{})
		for _, c := range []*client{phone, desk, bob} {
			c.subscribe(r1, live.Now())
			synctest.Wait()
			c.drain()
		}
		a.Signals().Whisper(r1, gotong.Actor{UserID: "ann"}, []byte(`{"n":3}`))
		a.Signals().Whisper(r1, gotong.Actor{UserID: "ann"}, []byte(`not JSON`))
		a.Signals().Whisper("room/nobody", gotong.Actor{UserID: "ann"}, nil)
		synctest.Wait()
		for _, c := range []*client{phone, desk, bob} {
			c.drain()
		}
		phone.heard("subscribed", "signal read ann 3")
		desk.heard("subscribed", "signal read ann 3")
		bob.heard("subscribed")
		if err := bob.s.Signal(r1, signal.Read); gotong.CodeOf(err) != gotong.CodeInvalid {
			t.Errorf("a client's own: %v", err)
		}
	})
}

// TestSessionsOfOneUser: one user cannot take the room of all.
func TestSessionsOfOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start(func(o *live.Options) { o.Limits.UserSessions = 2 })
		ann := gotong.Viewer{UserID: "ann"}
		first, err := h.Open(ann, live.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		second, err := h.Open(ann, live.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Open(ann, live.SessionOptions{}); gotong.CodeOf(err) != gotong.CodeRateLimited {
			t.Errorf("a third: %v", err)
		}
		bob, err := h.Open(gotong.Viewer{UserID: "bob"}, live.SessionOptions{})
		if err != nil {
			t.Errorf("another user: %v", err)
		}
		first.Close()
		first.Close()
		third, err := h.Open(ann, live.SessionOptions{})
		if err != nil {
			t.Errorf("after one was closed: %v", err)
		}
		if _, err := h.Open(ann, live.SessionOptions{}); gotong.CodeOf(err) != gotong.CodeRateLimited {
			t.Errorf("closing twice made room for two: %v", err)
		}
		for _, s := range []*live.Session{second, third, bob} {
			s.Close()
		}
	})
}
