package live_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus/local"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

const r1 = gotong.Stream("room/1")

func TestFollow(t *testing.T) {
	for _, tc := range []struct {
		name  string
		start live.Start
		from  uint64
	}{
		{"now", live.Now(), 6},
		{"first", live.First(), 2},
		{"cursor", at(3), 4},
		{"cursor at the head", at(5), 6},
		{"cursor of the beginning", at(0), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				h := w.start()
				w.commit(h, r1, add("ann"))
				w.commit(h, r1, add("bob"), say("one"))
				w.commit(h, r1, say("two"))
				w.commit(h, r1, say("three"))
				c := open(t, h, "bob", live.SessionOptions{})
				c.subscribe(r1, tc.start)
				synctest.Wait()
				w.commit(h, r1, say("four"), say("five"))
				synctest.Wait()
				for range 5 {
					c.drain()
					synctest.Wait()
				}
				c.heard("subscribed")
				c.sees(r1, seqs(tc.from, 7)...)
				if c.cursor[r1] != 7 {
					t.Errorf("cursor %d", c.cursor[r1])
				}
			})
		})
	}
}

// Everything that a reader may not follow looks the same, and like nothing.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"), add("bob"), remove("bob"))
		bare := func(s gotong.Stream, user string, start live.Start) string {
			c := open(t, h, user, live.SessionOptions{})
			c.subscribe(s, start)
			synctest.Wait()
			frames, _ := c.s.Take(nil, 1<<20)
			c.s.Written()
			if len(frames) != 1 {
				t.Fatalf("%d frames", len(frames))
			}
			err := c.s.Outcome(context.Background(), s)
			return string(frames[0].JSON()) + " " + string(gotong.CodeOf(err))
		}
		none := bare("room/0", "bob", live.Now())
		want := `{"op":"error","id":"1","stream":"room/0","problem":{"code":"not_found","detail":"There is no such thing, or it is not yours to see."}} not_found`
		if none != want {
			t.Errorf("got %s", none)
		}
		for _, s := range []gotong.Stream{"room/1", "nope/1", "club/1"} {
			for _, start := range []live.Start{live.Now(), live.First(), at(1), at(99), live.At(gotong.Cursor{Epoch: "else"})} {
				got := bare(s, "bob", start)
				if got[:20] != want[:20] || len(got) != len(want) {
					t.Errorf("%s: %s", s, got)
				}
			}
		}
		for code, start := range map[string]live.Start{
			"cursor_ahead": at(4), "epoch_changed": live.At(gotong.Cursor{Epoch: "else", Seq: 1}),
		} {
			c := open(t, h, "ann", live.SessionOptions{})
			c.subscribe(r1, start)
			synctest.Wait()
			c.drain()
			c.heard("error " + code)
		}
		c := open(t, h, "bob", live.SessionOptions{})
		if err := c.s.Subscribe(live.Subscription{Stream: r1, Start: at(1), Resumed: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.drain()
		c.heard("access_revoked")
	})
}

func TestSubscriptionLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		c := open(t, h, "ann", live.SessionOptions{})
		for i := range 32 {
			s := gotong.Stream(fmt.Sprint("room/", i))
			w.commit(h, s, add("ann"))
			c.subscribe(s, live.First())
		}
		if err := c.s.Subscribe(live.Subscription{Stream: "room/0"}); gotong.CodeOf(err) != gotong.CodeConflict {
			t.Errorf("twice: %v", err)
		}
		if err := c.s.Subscribe(live.Subscription{Stream: "room/99"}); gotong.CodeOf(err) != gotong.CodeTooLarge {
			t.Errorf("the 33rd: %v", err)
		}
		for range 40 {
			synctest.Wait()
			c.drain()
		}
		for i := range 32 {
			c.sees(gotong.Stream(fmt.Sprint("room/", i)), 1)
		}
		if !c.s.Unsubscribe("room/7") || c.s.Unsubscribe("room/7") {
			t.Error("unsubscribe")
		}
		c.subscribe("room/7", at(0))
		synctest.Wait()
		c.cursor["room/7"] = 0
		c.drain()
		c.sees("room/7", 1, 1)
		if n := len(c.s.Cursors()); n != 32 {
			t.Errorf("%d cursors", n)
		}
	})
}

// What is not for a reader is covered, and no frame leaves a hole.
func TestCovering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"))
		w.commit(h, r1, add("bob"))
		ann, bob := open(t, h, "ann", live.SessionOptions{}), open(t, h, "bob", live.SessionOptions{})
		late := open(t, h, "bob", live.SessionOptions{})
		ann.subscribe(r1, live.First())
		bob.subscribe(r1, live.First())
		synctest.Wait()
		ann.drain()
		bob.drain()
		w.commit(h, r1, say("3"), whisper("ann", "4"), whisper("ann", "5"), say("6"), whisper("ann", "7"))
		synctest.Wait()
		late.subscribe(r1, at(2))
		for range 3 {
			synctest.Wait()
			ann.drain()
			bob.drain()
			late.drain()
		}
		ann.sees(r1, 1, 2, 3, 4, 5, 6, 7)
		bob.sees(r1, 2, 3, 6)
		late.sees(r1, 3, 6)
		if bob.cursor[r1] != 7 || late.cursor[r1] != 7 {
			t.Errorf("cursors %d %d", bob.cursor[r1], late.cursor[r1])
		}
	})
}

// A slow client is fed from the store and loses nothing; the ring is small.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start(func(o *live.Options) {
			o.Limits.RingFrames, o.Limits.PageEvents = 8, 16
		})
		w.commit(h, r1, add("ann"))
		quick, slow := open(t, h, "ann", live.SessionOptions{}), open(t, h, "ann", live.SessionOptions{})
		quick.subscribe(r1, live.Now())
		slow.subscribe(r1, live.Now())
		for n := range 100 {
			synctest.Wait()
			quick.drain()
			w.commit(h, r1, say(fmt.Sprint(n)))
		}
		for range 20 {
			synctest.Wait()
			quick.drain()
			slow.take(1)
		}
		quick.sees(r1, seqs(2, 101)...)
		slow.sees(r1, seqs(2, 101)...)
	})
}

// An old text is not handed out once the edit is known: not from the ring, not
// from a page that was read before.
func TestOverlay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"))
		ring, paged := open(t, h, "ann", live.SessionOptions{}), open(t, h, "ann", live.SessionOptions{})
		ring.subscribe(r1, live.Now())
		synctest.Wait()
		ring.drain()
		w.commit(h, r1, say("secret"))
		w.commit(h, r1, say("other"))
		paged.subscribe(r1, at(0))
		synctest.Wait() // its page is read, and waits
		w.commit(h, r1, edit(2, "harmless"))
		for range 4 {
			synctest.Wait()
			ring.drain()
			paged.drain()
		}
		ring.sees(r1, 2, 3, 4)
		paged.sees(r1, 1, 2, 3, 4)
		for _, c := range []*client{ring, paged} {
			if got := c.text[r1][2]; got != "harmless" {
				t.Errorf("the old text came out: %q", got)
			}
			if got := c.text[r1][3]; got != "other" {
				t.Errorf("got %q", got)
			}
		}
	})
}

func TestRemoval(t *testing.T) {
	for _, s := range []gotong.Stream{"room/1", "room/c-x-1"} {
		t.Run(string(s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				h := w.start()
				g := governing(s)
				w.commit(h, g, add("ann"), add("bob"))
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
// not return before it is over.
func TestRemovalCutsBlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"), add("bob"))
		killed := make(chan struct{})
		bob := open(t, h, "bob", live.SessionOptions{Kill: func() { close(killed) }})
		bob.subscribe(r1, live.Now())
		synctest.Wait()
		bob.drain()
		w.commit(h, r1, say("3"))
		synctest.Wait()
		if frames, _ := bob.s.Take(nil, 1<<20); len(frames) != 1 {
			t.Fatalf("%d frames", len(frames))
		}
		removal := w.commit(h, r1, remove("bob"))
		began := time.Now()
		awaited := make(chan time.Duration, 1)
		go func() {
			_ = h.Await(t.Context(), removal.Partition, removal.Position)
			awaited <- time.Since(began)
		}()
		<-killed
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
}

// Whom a change touches but does not remove goes on where he was.
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
		time.Sleep(4 * time.Second)
		w.commit(h, r1, say("2"))
		synctest.Wait()
		c.drain()
		c.sees(r1, 2)
		time.Sleep(2 * time.Second)
		w.commit(h, r1, say("3"))
		synctest.Wait()
		c.drain()
		c.sees(r1, 2)
		if err := c.s.Signal(r1, "typing"); gotong.CodeOf(err) != gotong.CodeNotFound {
			t.Errorf("a signal on an old permission: %v", err)
		}
		f.set(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		c.drain()
		c.sees(r1, 2, 3)
	})
}

// What another node commits comes by the bus at once, and without it by the
// next poll; a removal there ends the subscription here.
func TestTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		net := local.New()
		a, b := w.start(on(net.Join())), w.start(on(net.Join()))
		w.commit(a, r1, add("ann"), add("bob"))
		c := open(t, b, "bob", live.SessionOptions{})
		c.subscribe(r1, live.Now())
		synctest.Wait()
		c.drain()
		w.commit(a, r1, say("3"))
		synctest.Wait()
		c.drain()
		c.sees(r1, 3)
		net.Cut()
		w.commit(a, r1, say("4"))
		synctest.Wait()
		c.drain()
		c.sees(r1, 3)
		time.Sleep(time.Second)
		synctest.Wait()
		c.drain()
		c.sees(r1, 3, 4)
		w.commit(a, r1, remove("bob"))
		w.commit(a, r1, say("6"))
		time.Sleep(time.Second)
		synctest.Wait()
		c.drain()
		c.sees(r1, 3, 4)
		c.heard("subscribed", "access_revoked")
	})
}

// The store is asked once for all who wait for the same stretch.
func TestCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := &faulty{world: w}
		h := w.start(func(o *live.Options) { o.Store = f; o.Limits.CatchUps = 1 })
		w.commit(h, r1, add("ann"))
		for n := range 50 {
			w.commit(h, r1, say(fmt.Sprint(n)))
		}
		synctest.Wait()
		release := f.block()
		before := f.loads()
		var clients []*client
		for range 100 {
			c := open(t, h, "ann", live.SessionOptions{})
			c.subscribe(r1, at(1))
			clients = append(clients, c)
		}
		synctest.Wait()
		release()
		synctest.Wait()
		for _, c := range clients {
			c.drain()
			c.sees(r1, seqs(2, 51)...)
		}
		if n := f.loads() - before; n > 4 {
			t.Errorf("%d loads for 100 clients", n)
		}
	})
}

func TestCorrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := &faulty{world: w, corrupt: 4}
		h := w.start(func(o *live.Options) { o.Store = f })
		w.commit(nil, r1, add("ann"), say("2"), say("3"), say("4"), say("5"))
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, at(0))
		for range 10 {
			synctest.Wait()
			c.drain()
		}
		c.sees(r1, 1, 2, 3)
		c.heard("subscribed", "error corrupt_event")
		_, err := h.Read(t.Context(), reader("ann"), live.Query{Stream: r1, Limit: 10})
		if gotong.CodeOf(err) != gotong.CodeCorruptEvent {
			t.Errorf("read: %v", err)
		}
	})
}

// A commit that cannot be read does not stop the partition, and who was live
// finds out.
func TestCorruptWhileLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := &faulty{world: w, corrupt: 3}
		h := w.start(func(o *live.Options) { o.Store = f })
		w.commit(h, r1, add("ann"), say("2"))
		other := gotong.Stream("room/c-1-1")
		for i := 1; gotong.PartitionOf(home(other)) != gotong.PartitionOf(r1); i++ {
			other = gotong.Stream(fmt.Sprintf("room/c-%d-1", i))
		}
		w.commit(h, governing(other), add("ann"))
		w.commit(h, other, say("1"))
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, live.Now())
		c.subscribe(other, live.Now())
		synctest.Wait()
		c.drain()
		w.commit(nil, r1, say("3")) // as from another node: it must be read
		w.commit(nil, r1, say("4"))
		w.commit(nil, other, say("2"))
		for range 10 {
			time.Sleep(time.Second)
			synctest.Wait()
			c.drain()
		}
		c.heard("subscribed", "subscribed", "error corrupt_event")
		c.sees(r1)
		c.sees(other, 2)
	})
}

func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		net := local.New()
		a, b := w.start(on(net.Join())), w.start(on(net.Join()))
		w.commit(a, r1, add("ann"), add("bob"), add("cat"))
		ann, bob, cat := open(t, a, "ann", live.SessionOptions{}), open(t, a, "bob", live.SessionOptions{}), open(t, b, "cat", live.SessionOptions{})
		for _, c := range []*client{ann, bob, cat} {
			c.subscribe(r1, live.Now())
			time.Sleep(time.Second)
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
		ann.heard("subscribed", "signal presence bob true", "signal presence cat true", "signal typing bob <nil>")
		bob.heard("subscribed", "signal presence cat true")
		cat.heard("subscribed", "signal typing bob <nil>")
		if got := a.Present(r1); !slices.Equal(got, []string{"ann", "bob", "cat"}) {
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
		if got := a.Present(r1); !slices.Equal(got, []string{"bob", "cat"}) {
			t.Errorf("present %v", got)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := b.Present(r1); !slices.Equal(got, []string{"bob", "cat"}) {
			t.Errorf("present %v", got)
		}
		bob.s.Close()
		time.Sleep(time.Second)
		cat.ops = nil
		cat.drain()
		cat.heard("signal typing bob <nil>", "signal presence bob false")
		if got := b.Present(r1); !slices.Equal(got, []string{"cat"}) {
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
			time.Sleep(time.Second)
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

// faulty is a store that fails, waits and lies when told to.
type faulty struct {
	*world
	corrupt uint64 // seq of room/1

	state struct {
		err   error
		gate  chan struct{}
		loads int
	}
}

func (f *faulty) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.err = err
}

func (f *faulty) block() (release func()) {
	gate := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.gate = gate
	return func() {
		f.mu.Lock()
		f.state.gate = nil
		f.mu.Unlock()
		close(gate)
	}
}

func (f *faulty) loads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.loads
}

func (f *faulty) call() error {
	f.mu.Lock()
	gate, err := f.state.gate, f.state.err
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return err
}

func (f *faulty) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	f.mu.Lock()
	f.state.loads++
	f.mu.Unlock()
	if err := f.call(); err != nil {
		return store.Snapshot{}, err
	}
	snap, err := f.world.Load(ctx, need)
	for _, rows := range snap.Events {
		for i := range rows {
			if rows[i].Stream == r1 && rows[i].Seq == f.corrupt {
				return store.Snapshot{}, store.ErrCorrupt
			}
		}
	}
	return snap, err
}

func (f *faulty) Positions(ctx context.Context) ([gotong.Partitions]uint64, error) {
	if err := f.call(); err != nil {
		return [gotong.Partitions]uint64{}, err
	}
	return f.world.Positions(ctx)
}

func (f *faulty) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) ([]store.Event, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	rows, err := f.world.ReadPartition(ctx, p, from, to, limit)
	for i := range rows {
		if rows[i].Stream == r1 && rows[i].Seq == f.corrupt {
			return nil, store.ErrCorrupt
		}
	}
	return rows, err
}
