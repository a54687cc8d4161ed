package live_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/view"
)

// What an event says about another is for those who see both, on each way to
// read: the ring, a page of one's own, a page that all share, a page that was
// kept, and REST.
func TestAboutAnother(t *testing.T) {
	for _, s := range []gotong.Stream{r1, "room/c-x-1"} {
		for _, events := range []int{500, 1} { // of a page
			t.Run(fmt.Sprint(s, " by ", events), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { aboutAnother(t, s, events) })
			})
		}
	}
}

func aboutAnother(t *testing.T, s gotong.Stream, events int) {
	t.Helper()
	w := newWorld(t)
	h := w.start(func(o *live.Options) { o.Limits.PageEvents = events })
	w.commit(h, governing(s), add("ann"))
	w.commit(h, governing(s), add("cat"))
	early := w.commit(h, s, say("early")).Seq
	w.commit(h, governing(s), add("bob"))
	mine := w.commit(h, s, say("mine")).Seq
	w.commit(h, governing(s), remove("bob"))
	edited := w.commit(h, s, edit(mine, "secret 1")).Seq
	w.commit(h, governing(s), add("bob"))
	synctest.Wait()

	follow := func(from live.Start, users ...string) []*client {
		t.Helper()
		var clients []*client
		for _, user := range users {
			c := open(t, h, user, live.SessionOptions{})
			c.subscribe(s, from)
			clients = append(clients, c)
		}
		for range 20 {
			synctest.Wait()
			for _, c := range clients {
				c.drain()
			}
		}
		return clients
	}
	ring := follow(live.Now(), "bob")[0]
	w.commit(h, s, edit(early, "secret 2"))
	last := w.commit(h, s, say("last")).Seq
	synctest.Wait()
	ring.drain()
	ring.sees(s, last)
	for range 3 { // those who see all have the page kept, which is not for bob
		for _, c := range follow(at(0), "ann", "cat") {
			if c.text[s][mine] != "secret 1" || c.text[s][early] != "secret 2" {
				t.Errorf("%s reads %v", c.s.Viewer().UserID, c.text[s])
			}
		}
		c := follow(at(0), "bob")[0]
		c.sees(s, w.visible("bob", s)...)
		if c.text[s][mine] != withheld || slices.Contains(c.got[s], edited) {
			t.Errorf("bob reads %v", c.text[s])
		}
	}
	for _, q := range []view.Query{{Limit: 50}, {Limit: 50, Descending: true}, {From: mine - 1, To: mine, Limit: 1}} {
		q.Stream = s
		page, err := w.view(h).Read(t.Context(), reader("bob"), q)
		if got := fmt.Sprint(page); err != nil || strings.Contains(got, "secret") || !strings.Contains(got, withheld) {
			t.Errorf("%+v: %v %s", q, err, got)
		}
	}

	w.commit(h, s, edit(mine, "for bob too"))
	synctest.Wait()
	ring.drain()
	if c := follow(at(0), "bob")[0]; c.text[s][mine] != "for bob too" || ring.text[s][last+1] != "for bob too" {
		t.Errorf("bob reads %v and %v", c.text[s], ring.text[s])
	}
}

// TestOwnText: text that an overlay hides from all but its author reaches the author
// alone, in pages that all share, in pages that were kept, and over REST.
func TestOwnText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		for _, user := range []string{"ann", "bob", "cat"} {
			w.commit(h, r1, add(user))
		}
		before := w.commit(h, r1, say("before")).Seq
		mine := w.commit(h, r1, say("mine")).Seq
		w.commit(h, r1, gotong.Fact{Type: "edited", Data: edited{Seq: mine, Own: true}, Content: words{"the author's"}})
		synctest.Wait()
		for _, user := range []string{"bob", "ann", "cat", "ann", "bob", "cat"} {
			want := withheld
			if user == "ann" {
				want = "the author's"
			}
			c := open(t, h, user, live.SessionOptions{})
			c.subscribe(r1, at(0))
			for range 20 {
				synctest.Wait()
				c.drain()
			}
			if c.text[r1][mine] != want || c.text[r1][before] != "before" {
				t.Errorf("%s follows %v", user, c.text[r1])
			}
			page, err := w.view(h).Read(t.Context(), reader(user), view.Query{Stream: r1, From: mine - 1, To: mine, Limit: 1})
			if err != nil || len(page.Events) != 1 || page.Events[0].Content != (words{want}) {
				t.Errorf("%s reads %+v, %v", user, page.Events, err)
			}
		}
	})
}

// Following costs no read of the store, whatever the events are about and however
// few viewers may see them.
func TestLiveReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := &faulty{world: w}
		h := w.start(func(o *live.Options) { o.Store = f })
		w.commit(h, r1, add("ann"))
		w.commit(h, r1, say("2"))
		w.commit(h, r1, add("bob"))
		clients := []*client{open(t, h, "ann", live.SessionOptions{}), open(t, h, "bob", live.SessionOptions{})}
		for _, c := range clients {
			c.subscribe(r1, live.Now())
			synctest.Wait()
			c.drain()
		}
		before := f.loads()
		for n := range uint64(20) {
			for _, fact := range []gotong.Fact{say("x"), edit(2+2*(n%3), "y")} { // of what bob does not see, too
				w.commit(h, r1, fact)
				synctest.Wait()
				for _, c := range clients {
					c.drain()
				}
			}
		}
		clients[0].sees(r1, seqs(4, 43)...)
		clients[1].sees(r1, slices.DeleteFunc(w.visible("bob", r1), func(seq uint64) bool { return seq < 4 })...)
		if n := f.loads() - before; n != 0 {
			t.Errorf("%d reads", n)
		}
	})
}

// forger hands out other overlays than there are, and loses what it is told to.
type forger struct {
	*storetest.Faulty
	forged store.Change
}

func (f *forger) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := f.Faulty.Load(ctx, need)
	for _, docs := range snap.Ranges {
		for i := range docs {
			if docs[i].Key == f.forged.Key {
				docs[i].Body = f.forged.Body
			}
		}
	}
	return snap, err
}

// A text that was lost, or that is not of an event about the message, is not
// served on the page of the message whose newest text it is.
func TestOverlaidTextIsVerified(t *testing.T) {
	for name, damage := range map[string]func(*forger){
		"lost":      func(f *forger) { f.Lose(r1, 4) },
		"another's": func(f *forger) { f.forge(t, 3, edition{By: 5}) },
		"nowhere":   func(f *forger) { f.forge(t, 3, edition{By: 99}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				f := &forger{Faulty: storetest.NewFaulty(w.Store)}
				h := w.start(func(o *live.Options) { o.Store = f })
				w.commit(h, r1, add("ann"))
				w.commit(h, r1, say("2"), say("3"))
				w.commit(h, r1, edit(3, "drei"))
				w.commit(h, r1, edit(2, "zwei"))
				synctest.Wait()
				damage(f)
				textIsNotServed(t, w, h)
			})
		})
	}
}

func textIsNotServed(t *testing.T, w *world, h *live.Hub) {
	t.Helper()
	_, err := w.view(h).Read(t.Context(), reader("ann"), view.Query{Stream: r1, From: 2, To: 3, Limit: 1})
	if gotong.CodeOf(err) != gotong.CodeCorruptEvent {
		t.Errorf("got %v", err)
	}
	page, err := w.view(h).Read(t.Context(), reader("ann"), view.Query{Stream: r1, To: 3, Limit: 5})
	if err != nil || page.Done || len(page.Events) == 0 || page.Events[len(page.Events)-1].Seq == 3 {
		t.Errorf("before it: %v, %+v", err, page.Events)
	}
	c := open(t, h, "ann", live.SessionOptions{})
	c.subscribe(r1, at(0))
	for range 10 {
		synctest.Wait()
		c.drain()
	}
	if got := c.text[r1]; got[3] != "" || got[2] != "zwei" || !slices.Contains(c.ops, "error corrupt_event") {
		t.Errorf("a follower got %v, %v", got, c.ops)
	}
}

func (f *forger) forge(t *testing.T, seq uint64, doc edition) {
	t.Helper()
	var err error
	f.forged, err = store.EncodeChange(gotong.Change{
		Key: gotong.Key{Collection: "room_overlays", Owner: "1", Name: gotong.SeqName(seq)}, Doc: doc,
	})
	if err != nil {
		t.Fatal(err)
	}
}
