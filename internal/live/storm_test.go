package live_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// crowded is a store that lets nobody's page through until it is told, and
// notes who asks in which order.
type crowded struct {
	*world
	gate chan struct{}

	mu    sync.Mutex
	inner int // asking now
	most  int
	asked []gotong.Stream
}

func (c *crowded) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	if len(need.Events) == 0 || need.Events[0].To <= need.Events[0].From+2 { // not a page, but an event and the one before it
		return c.world.Load(ctx, need)
	}
	c.mu.Lock()
	c.inner++
	c.most = max(c.most, c.inner)
	c.asked = append(c.asked, need.Events[0].Stream)
	c.mu.Unlock()
	<-c.gate
	c.mu.Lock()
	c.inner--
	c.mu.Unlock()
	return c.world.Load(ctx, need)
}

// However many come back at once, 64 pages are read at a time, first come first
// served, and no setting makes it more (contract D22).
func TestStormIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		crowd := &crowded{world: w, gate: make(chan struct{})}
		h := w.start(func(o *live.Options) { o.Store, o.Limits.CatchUps = crowd, 1000 })
		var streams []gotong.Stream
		for i := range 200 {
			s := gotong.Stream(fmt.Sprintf("room/c-%d-1", i))
			w.commit(h, governing(s), add("ann"))
			w.commit(h, s, say("1"), say("2"))
			streams = append(streams, s)
		}
		synctest.Wait()
		var clients []*client
		for _, s := range streams {
			c := open(t, h, "ann", live.SessionOptions{})
			c.subscribe(s, at(0))
			clients = append(clients, c)
		}
		synctest.Wait()
		crowd.mu.Lock()
		first := slices.Sorted(slices.Values(crowd.asked))
		crowd.mu.Unlock()
		if want := slices.Sorted(slices.Values(streams[:64])); !slices.Equal(first, want) {
			t.Errorf("%d pages are read at once, the first of them %v", len(first), first[:min(3, len(first))])
		}
		close(crowd.gate)
		for range 10 {
			synctest.Wait()
			for _, c := range clients {
				c.drain()
			}
		}
		for i, c := range clients {
			c.sees(streams[i], 1, 2)
		}
		crowd.mu.Lock()
		defer crowd.mu.Unlock()
		if crowd.most != 64 {
			t.Errorf("%d pages were read at once, want 64", crowd.most)
		}
	})
}

// Of 1,000 viewers who return to one stream at once, those who come while its
// page is being read wait for one more read: two in all, however slow the store
// is, and one of the 64 slots.
func TestReturningViewersShareReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const viewers, users, events = 1000, 50, 10
		w := newWorld(t)
		crowd := &crowded{world: w, gate: make(chan struct{})}
		decoded := 0
		h := w.start(func(o *live.Options) {
			o.Store, o.Observer.Replayed = crowd, func(n int) { decoded += n }
		})
		var members, texts []gotong.Fact
		for i := range users {
			members = append(members, add(fmt.Sprint("u", i)))
		}
		for i := range events {
			texts = append(texts, say(fmt.Sprint(i+1)))
		}
		w.commit(h, r1, members...)
		w.commit(h, r1, texts...)
		synctest.Wait()
		var clients []*client
		for i := range viewers {
			c := open(t, h, fmt.Sprint("u", i%users), live.SessionOptions{})
			c.subscribe(r1, at(users))
			if clients = append(clients, c); i == 0 {
				synctest.Wait() // until its page is being read
			}
		}
		synctest.Wait()
		crowd.mu.Lock()
		if n := len(crowd.asked); n != 1 {
			t.Errorf("%d reads at once", n)
		}
		crowd.mu.Unlock()
		close(crowd.gate)
		synctest.Wait()
		for _, c := range clients {
			c.drain()
			c.sees(r1, seqs(users+1, users+events)...)
		}
		crowd.mu.Lock()
		defer crowd.mu.Unlock()
		if n := len(crowd.asked); n != 2 || decoded != 2*events {
			t.Errorf("%d reads, %d events decoded, for %d viewers of %d events", n, decoded, viewers, events)
		}
	})
}
