package live_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// These tests hold reads of the store where they would hardly ever be by
// chance, and look at what goes out meanwhile.

// heldWorld is a world whose loads can be held, with ann in room/1.
func heldWorld(t *testing.T, change ...func(*live.Options)) (*world, *faulty, *live.Hub) {
	t.Helper()
	w := newWorld(t)
	f := &faulty{world: w}
	h := w.start(append(change, func(o *live.Options) { o.Store = f })...)
	w.commit(h, r1, add("ann"))
	synctest.Wait()
	return w, f, h
}

// While access is being read anew, nothing goes out, events or signals.
func TestStaleIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f, h := heldWorld(t)
		w.commit(h, r1, add("bob"))
		ann, bob := open(t, h, "ann", live.SessionOptions{}), open(t, h, "bob", live.SessionOptions{})
		ann.subscribe(r1, live.Now())
		bob.subscribe(r1, live.Now())
		synctest.Wait()
		ann.drain()
		bob.drain()
		w.commit(h, r1, say("3"))
		synctest.Wait()
		release := f.hold(1, false)
		w.commit(h, r1, remove("ann"))
		w.commit(h, r1, say("5"))
		synctest.Wait()
		if err := bob.s.Signal(r1, "typing"); err != nil {
			t.Fatal(err)
		}
		if err := ann.s.Signal(r1, "typing"); gotong.CodeOf(err) != gotong.CodeNotFound {
			t.Errorf("a stale subscription signals: %v", err)
		}
		ann.drain()
		ann.sees(r1)
		ann.heard("subscribed")
		bob.drain()
		bob.sees(r1, 3, 4, 5)
		release()
		synctest.Wait()
		ann.drain()
		ann.heard("subscribed", "access_revoked")
	})
}

// A page that was read before its reader lost the right to it is not taken,
// also when they got another right since.
func TestPageOfAnOlderRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, h := heldWorld(t)
		w.commit(h, r1, say("2"), say("3"))
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, at(0))
		synctest.Wait() // the page waits
		w.commit(h, r1, gotong.Fact{Type: "renewed", Data: member{"ann"}})
		for range 3 {
			synctest.Wait()
			c.drain()
		}
		c.sees(r1, 4)
		if c.cursor[r1] != 4 {
			t.Errorf("cursor %d", c.cursor[r1])
		}
	})
}

// Two reads of a subscription finish in the other order than they began: the
// later snapshot decides, and the earlier one's marks are settled.
func TestReadsCross(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f, h := heldWorld(t, func(o *live.Options) { o.Limits.PageEvents = 2 })
		w.commit(h, r1, say("2"), say("3"), say("4"), say("5"))
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, at(0))
		synctest.Wait()
		page := f.hold(1, false)
		c.drain() // takes the first page and asks for the next
		synctest.Wait()
		auth := f.hold(1, true)
		w.commit(h, r1, opened())
		synctest.Wait() // it is stale, and its documents are read
		w.commit(h, r1, say("7"))
		synctest.Wait()
		page()
		synctest.Wait()
		auth()
		for range 5 {
			synctest.Wait()
			c.drain()
		}
		c.heard("subscribed")
		c.sees(r1, seqs(1, 7)...)
		if n := h.Stats().Stale; n != 0 {
			t.Errorf("%d stale", n)
		}
	})
}

// A page whose snapshot is older than the right of its reader comes after it: neither the
// page goes out, nor does the earlier right return.
func TestOlderReadFinishesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f, h := heldWorld(t, func(o *live.Options) { o.Limits.PageEvents = 2 })
		w.commit(h, r1, say("2"), say("3"), say("4"), say("5"))
		synctest.Wait() // no ring has them
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, at(0))
		synctest.Wait()
		release := f.hold(1, true)
		c.drain() // takes the first page and asks for the next
		synctest.Wait()
		w.commit(h, r1, gotong.Fact{Type: "renewed", Data: member{"ann"}})
		synctest.Wait() // the new right counts
		release()
		for range 5 {
			synctest.Wait()
			c.drain()
		}
		c.heard("subscribed")
		c.sees(r1, 1, 2, 6)
	})
}

// The tail jumps over a partition that nobody follows while the first
// subscription of it is read: the event in between is not lost.
func TestJumpWhileSubscribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f, h := heldWorld(t)
		release := f.hold(1, true)
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, at(1))
		synctest.Wait()
		w.commit(nil, r1, say("2"))
		pass(1500 * time.Millisecond)
		synctest.Wait()
		release()
		for range 3 {
			synctest.Wait()
			c.drain()
		}
		c.sees(r1, 2)
	})
}

// A stream that begins to govern is watched before its documents count.
func TestGoverningChangesWhileSubscribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f, h := heldWorld(t)
		s := gotong.Stream("room/c-x-1")
		w.commit(h, governing(s), add("ann"), add("bob"))
		w.commit(h, s, say("1"))
		keeper := open(t, h, "ann", live.SessionOptions{}) // so that the tail jumps over nothing
		keeper.subscribe(s, live.Now())
		synctest.Wait()
		release := f.hold(1, true)
		c := open(t, h, "bob", live.SessionOptions{})
		c.subscribe(s, live.Now())
		synctest.Wait()
		w.commit(h, governing(s), remove("bob"))
		w.commit(h, s, say("2"))
		synctest.Wait()
		release()
		for range 3 {
			synctest.Wait()
			c.drain()
		}
		c.sees(s)
	})
}

// Another node's word is not trusted: a position that does not exist moves
// nothing.
func TestForgedWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := bustest.NewSwitch()
		evil := net.Join()
		w, _, h := heldWorld(t, on(net.Join()))
		p := gotong.PartitionOf(r1)
		for range 3 {
			evil.Publish(bus.Message{Node: "evil", Wake: &bus.Wake{Partition: p, Position: 1000, Stream: r1, Seq: 9}})
			evil.Publish(bus.Message{Node: "evil", Wake: &bus.Wake{Partition: 200, Position: 1}})
			evil.Publish(bus.Message{Node: "evil", Signal: &bus.Signal{Stream: "room/none", Type: "typing"}})
			synctest.Wait()
		}
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, live.Now())
		synctest.Wait()
		evil.Publish(bus.Message{Node: "evil", Wake: &bus.Wake{Partition: p, Position: 2000, Stream: r1, Seq: 9}})
		w.commit(nil, r1, say("2"))
		w.commit(h, r1, say("3"))
		pass(1500 * time.Millisecond)
		synctest.Wait()
		c.drain()
		c.sees(r1, 2, 3)
	})
}

// A stream whose access another partition governs is refused: nothing orders
// its events and the changes of its access.
func TestGovernedByAnotherPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := gotong.Stream("club/far")
		for i := 0; gotong.PartitionOf(far) == gotong.PartitionOf(home(r1)); i++ {
			far = gotong.NewStream("club", fmt.Sprint("far", i))
		}
		list := kinds()
		list[0].AccessNeeds = func(gotong.State, gotong.Viewer) []gotong.Ref {
			return []gotong.Ref{{Stream: far, Key: gotong.MemberKey(far, "ann")}}
		}
		list[0].Access = func(gotong.State, gotong.Viewer) gotong.Grant {
			return gotong.Grant{Readable: true, Spans: []gotong.Span{{Stream: r1}}}
		}
		h := w.start(func(o *live.Options) { o.Codec = store.NewCodec(list) })
		w.commit(h, r1, say("1"))
		heard := func(want ...string) {
			t.Helper()
			c := open(t, h, "ann", live.SessionOptions{})
			c.subscribe(r1, live.Now())
			synctest.Wait()
			c.drain()
			c.heard(want...)
		}
		heard("subscribed") // the other stream does not exist
		w.commit(h, far, add("ann"))
		heard("error internal")
	})
}
