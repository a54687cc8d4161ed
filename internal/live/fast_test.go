package live_test

import (
	"testing"
	"testing/synctest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
)

// What is for some readers only reaches them alone, from the ring as well, and
// so do the events after it that are for all.
func TestAudienceWhileLive(t *testing.T) {
	for _, s := range []gotong.Stream{r1, "room/c-x-1"} {
		t.Run(string(s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, f, h := heldWorld(t)
				w.commit(h, governing(s), add("bob"), add("cat"))
				w.commit(h, s, say("first"))
				var clients []*client
				for _, user := range []string{"bob", "cat"} {
					c := open(t, h, user, live.SessionOptions{})
					c.subscribe(s, live.Now())
					clients = append(clients, c)
				}
				synctest.Wait()
				for _, c := range clients {
					c.drain()
				}
				reads, from := f.loads(), clients[0].cursor[s]
				for range 2 { // taken one by one, then together
					for _, fact := range []gotong.Fact{say("all"), whisper("bob", "bob"), whisper("cat", "cat"), whisper("bob", "bob"), say("all")} {
						w.commit(h, s, fact)
						if reads%2 == 0 {
							synctest.Wait()
							clients[0].drain()
						}
					}
					synctest.Wait()
					for _, c := range clients {
						c.drain()
					}
				}
				for _, c := range clients {
					var want []uint64
					for _, seq := range w.visible(c.s.Viewer().UserID, s) {
						if seq > from {
							want = append(want, seq)
						}
					}
					c.sees(s, want...)
				}
				if n := f.loads(); n != reads {
					t.Errorf("%d reads of the store: this is not the ring", n-reads)
				}
			})
		})
	}
}

// Somebody is removed and comes back before a read of their access ends: they
// go on in the ring, without what lies between.
func TestReturnWhileLive(t *testing.T) {
	for _, s := range []gotong.Stream{r1, "room/c-x-1"} {
		t.Run(string(s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, f, h := heldWorld(t)
				w.commit(h, governing(s), add("bob"))
				w.commit(h, s, say("first"))
				bob := open(t, h, "bob", live.SessionOptions{})
				bob.subscribe(s, live.Now())
				synctest.Wait()
				bob.drain()
				release, another := f.hold(1, false), f.hold(2, false) // one read for both changes, or two
				untaken := w.commit(h, s, say("untaken")).Seq
				w.commit(h, governing(s), remove("bob"))
				hidden := w.commit(h, s, say("hidden")).Seq
				back := w.commit(h, governing(s), add("bob"))
				seen := w.commit(h, s, say("seen")).Seq
				synctest.Wait()
				bob.drain()
				bob.sees(s) // nothing goes out on an old permission
				release()
				another()
				for range 3 {
					synctest.Wait()
					bob.drain()
				}
				want := []uint64{untaken, seen}
				if back.Stream == s {
					want = []uint64{untaken, back.Seq, seen}
				}
				bob.sees(s, want...)
				bob.heard("subscribed")
				if bob.cursor[s] != seen {
					t.Errorf("the cursor is %d, after %d was hidden", bob.cursor[s], hidden)
				}
				if n := f.loads(); n > 3+2*4 { // the subscription, and one authorisation for both changes, or two
					t.Errorf("%d reads", n)
				}
			})
		})
	}
}
