package live_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// removals is how many removals TestRemovalsUnderLoad makes.
var removals = flag.Int("removals", 0, "removals in TestRemovalsUnderLoad; 0 is 300, or 30 with -short")

// beside is a room with members of its own, in the same partition as a stream.
func beside(s gotong.Stream) gotong.Stream {
	for i := 0; ; i++ {
		room := gotong.NewStream("room", fmt.Sprint("b", i))
		if gotong.PartitionOf(room) == gotong.PartitionOf(home(s)) {
			return room
		}
	}
}

// asking holds the tail, which looks for a name in memory, until release.
func asking(o *live.Options) (release func()) {
	gate := make(gated)
	o.Names = gate
	return func() { close(gate) }
}

type gated chan struct{}

func (g gated) Known(string) (string, bool) {
	<-g
	return "", true
}

func (gated) Names(context.Context, []string) map[string]string { return nil }

// A subscription is accepted while the tail is in the middle of publishing the
// removal of its reader, which it found nobody to tell of.
func TestRemovalWhileSubscribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := gotong.Stream("room/c-x-1")
		other := beside(s)
		w.commit(nil, governing(s), add("bob"))
		w.commit(nil, s, say("1"))
		w.commit(nil, other, add("ann"))
		f := &faulty{world: w}
		var name func()
		h := w.start(func(o *live.Options) { o.Store, name = f, asking(o) })
		ann, bob := open(t, h, "ann", live.SessionOptions{}), open(t, h, "bob", live.SessionOptions{})
		ann.subscribe(other, live.Now())
		synctest.Wait()
		answer := f.hold(1, true)
		bob.subscribe(s, live.Now())
		synctest.Wait() // the snapshot of bob's access is taken

		w.commit(nil, other, say("2")) // somebody to name
		removal := w.commit(nil, governing(s), remove("bob"))
		pass(1100 * time.Millisecond) // the poll finds both, and the tail stands where it asks for names
		answer()
		synctest.Wait()
		if err := bob.s.Outcome(t.Context(), s); err != nil {
			t.Fatalf("the test has not found the moment: %v", err)
		}
		name()
		if err := h.Await(t.Context(), removal.Partition, removal.Position); err != nil {
			t.Fatal(err)
		}
		w.commit(h, s, say("secret"))
		for range 3 {
			synctest.Wait()
			bob.drain()
		}
		bob.heard("subscribed", "access_revoked")
		bob.sees(s)
	})
}

// A room of which the tail has looked up nothing, because nobody followed it
// yet, loses no event that comes right after.
func TestFollowedWhilePublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := gotong.Stream("room/c-x-1")
		other := beside(s)
		w.commit(nil, governing(s), add("bob"))
		w.commit(nil, s, say("1"))
		w.commit(nil, other, add("ann"))
		f := &faulty{world: w}
		var name func()
		h := w.start(func(o *live.Options) { o.Store, name = f, asking(o) })
		ann, bob := open(t, h, "ann", live.SessionOptions{}), open(t, h, "bob", live.SessionOptions{})
		ann.subscribe(other, live.Now())
		synctest.Wait()
		w.commit(nil, other, say("2"))
		w.commit(nil, s, say("2"))
		pass(1100 * time.Millisecond) // the poll finds both
		bob.subscribe(s, at(1))
		synctest.Wait()
		w.commit(h, s, edit(1, "other words"), say("4"))
		name()
		for range 3 {
			synctest.Wait()
			bob.drain()
		}
		bob.heard("subscribed")
		bob.sees(s, 2, 3, 4)
	})
}

// TestRemovalsUnderLoad has one reader removed again and again while they ask
// for thirty streams and others are busy in the same partition. The long run:
//
//	go test -run TestRemovalsUnderLoad -v ./internal/live -removals 3000
func TestRemovalsUnderLoad(t *testing.T) {
	const rooms, crowd = 30, 200
	tries := *removals
	switch {
	case tries == 0 && testing.Short():
		tries = 30
	case tries == 0:
		tries = 300
	}
	w := newWorld(t)
	club := gotong.Stream("club/x")
	busy := beside("room/c-x-0")
	streams := make([]gotong.Stream, rooms)
	w.commit(nil, busy, add("ann"))
	for i := range streams {
		streams[i] = gotong.NewStream("room", fmt.Sprint("c-x-", i))
		w.commit(nil, streams[i], say("1"))
	}
	h := w.start()
	for range crowd {
		ann := open(t, h, "ann", live.SessionOptions{Wake: func() {}})
		ann.subscribe(busy, live.Now())
		if err := ann.s.Outcome(t.Context(), busy); err != nil {
			t.Fatal(err)
		}
	}
	stop, writing := make(chan struct{}), sync.WaitGroup{}
	defer writing.Wait()
	defer close(stop)
	writing.Go(func() { w.keepBusy(h, busy, stop) })
	leaks, accepted := 0, 0
	for n := range tries {
		a, l := w.race(h, club, streams, n%rooms)
		accepted += a
		leaks += l
	}
	t.Logf("%d removals with %d subscriptions in flight each, %d of them accepted: %d leaks", tries, rooms, accepted, leaks)
	if leaks > 0 {
		t.Errorf("%d events went out after a removal that was answered", leaks)
	}
}

// keepBusy writes to a stream until stop, never far ahead of the tail.
func (w *world) keepBusy(h *live.Hub, s gotong.Stream, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		e := w.commit(h, s, say("busy"))
		if n%8 == 7 {
			_ = h.Await(context.Background(), e.Partition, e.Position)
		}
	}
}

// race subscribes bob to all streams and removes him when he has asked for so
// many, then counts the events that reach him after that was answered.
func (w *world) race(h *live.Hub, club gotong.Stream, streams []gotong.Stream, asked int) (accepted, leaks int) {
	ctx := context.Background()
	w.commit(h, club, add("bob"))
	bob, err := h.Open(reader("bob"), live.SessionOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer bob.Close()
	var removal store.Event
	var removing sync.WaitGroup
	for i, s := range streams {
		if i == asked {
			removing.Go(func() { removal = w.commit(h, club, remove("bob")) })
		}
		_ = bob.Subscribe(live.Subscription{Stream: s})
	}
	removing.Wait()
	var open []gotong.Stream
	for _, s := range streams {
		if bob.Outcome(ctx, s) == nil {
			open = append(open, s)
		}
	}
	_ = h.Await(ctx, removal.Partition, removal.Position)
	var last store.Event
	for _, s := range open {
		last = w.commit(h, s, say("secret"))
	}
	_ = h.Await(ctx, last.Partition, last.Position)
	for more := true; more; {
		var frames []live.Frame
		frames, more = bob.Take(nil, 1<<20)
		for _, f := range frames {
			if f.Op() == live.Events && f.At() > 0 {
				leaks++
			}
		}
		if len(frames) > 0 {
			bob.Written()
		}
	}
	return len(open), leaks
}
