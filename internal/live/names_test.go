package live_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
)

// register is names that a store keeps and memory learns.
type register struct {
	mu    sync.Mutex
	known map[string]bool
	asked int
	gate  chan struct{} // closed once the store answers
}

func (r *register) Known(id string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return "Bu " + id, r.known[id]
}

func (r *register) Names(ctx context.Context, ids []string) map[string]string {
	names := map[string]string{}
	r.mu.Lock()
	r.asked++
	r.mu.Unlock()
	select {
	case <-ctx.Done():
		return names
	case <-r.gate:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.known[id], names[id] = true, "Bu "+id
	}
	return names
}

// An event whose actor's name is not in memory reaches its followers with the
// name, once it was read. Until then it holds up no other stream of its
// partition, and no removal.
func TestSlowNameHoldsUpNoOtherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		names := &register{known: map[string]bool{"ann": true}, gate: make(chan struct{})}
		h := w.start(func(o *live.Options) { o.Names = names })
		other := beside(r1)
		w.commit(h, r1, add("ann"), add("bob"))
		w.commit(h, other, add("ann"))
		follow := func(s gotong.Stream, user string) *client {
			c := open(t, h, user, live.SessionOptions{})
			c.subscribe(s, live.Now())
			synctest.Wait()
			c.drain()
			return c
		}
		here, removed, there := follow(r1, "ann"), follow(r1, "bob"), follow(other, "ann")

		w.actor = "zoe" // of whom memory does not know
		w.commit(h, r1, say("3"))
		w.actor = ""
		w.commit(h, other, say("2"))
		removal := w.commit(h, r1, remove("bob"))
		synctest.Wait()
		here.drain()
		synctest.Wait() // the page waits for the name
		there.drain()
		there.sees(other, 2)
		here.sees(r1)
		now, cancel := context.WithCancel(t.Context())
		cancel() // an answer must be there at once
		if err := h.Await(now, removal.Partition, removal.Position); err != nil {
			t.Errorf("the removal waits for a name: %v", err)
		}
		removed.drain()
		removed.heard("subscribed", "access_revoked")

		close(names.gate)
		for range 2 {
			synctest.Wait()
			here.drain()
		}
		here.sees(r1, 3, 4)
		w.actor = "zoe"
		w.commit(h, r1, say("5"))
		synctest.Wait()
		here.drain()
		here.sees(r1, 3, 4, 5)
		want := map[uint64]string{3: "Bu zoe", 4: "Bu ann", 5: "Bu zoe"}
		if got := here.name[r1]; !maps.Equal(got, want) {
			t.Errorf("names %v, want %v", got, want)
		}
		if names.asked != 1 {
			t.Errorf("the register was asked %d times", names.asked)
		}
	})
}

// While names cannot be read, events reach their followers without them, half a
// second late.
func TestEventsWithoutNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start(func(o *live.Options) { o.Names = &register{gate: make(chan struct{})} })
		w.commit(h, r1, add("ann"))
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, live.Now())
		synctest.Wait()
		c.drain()
		w.commit(h, r1, say("2"))
		synctest.Wait()
		c.drain()
		pass(499 * time.Millisecond)
		synctest.Wait()
		c.drain()
		c.sees(r1)
		pass(time.Millisecond)
		synctest.Wait()
		c.drain()
		c.sees(r1, 2)
	})
}
