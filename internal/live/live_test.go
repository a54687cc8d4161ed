package live_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
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
		want := `{"op":"error","id":"1","stream":"room/0","problem":{"code":"not_found","detail":"It does not exist, or you may not see it."}} not_found`
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

// A text is not handed out once its erasure is known: not from the ring, not from
// a page that was read before, not from one that is kept; also in a kind whose
// events are never edited.
func TestErasedTextIsNotHandedOut(t *testing.T) {
	for _, s := range []gotong.Stream{r1, "club/1"} {
		t.Run(s.Kind(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				h := w.start()
				w.commit(h, s, add("ann"))
				ring, paged := open(t, h, "ann", live.SessionOptions{}), open(t, h, "ann", live.SessionOptions{})
				ring.subscribe(s, live.Now())
				synctest.Wait()
				ring.drain()
				w.commit(h, s, say("secret"))
				w.commit(h, s, say("other"))
				for range 2 { // the page is kept from the second on
					early := open(t, h, "ann", live.SessionOptions{})
					early.subscribe(s, at(0))
					synctest.Wait()
					early.drain()
				}
				paged.subscribe(s, at(0))
				synctest.Wait() // its page is read, and waits
				w.commit(h, s, erase(2))
				synctest.Wait()
				late := open(t, h, "ann", live.SessionOptions{})
				late.subscribe(s, at(0))
				for range 4 {
					synctest.Wait()
					ring.drain()
					paged.drain()
					late.drain()
				}
				for name, c := range map[string]*client{"ring": ring, "page": paged, "kept page": late} {
					if c.text[s][2] != "" || c.text[s][3] != "other" {
						t.Errorf("%s: %v", name, c.text[s])
					}
				}
				late.sees(s, 1, 2, 3, 4)
			})
		})
	}
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
