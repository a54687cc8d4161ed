package live_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// counting is a world that counts the pages that are read of it.
type counting struct {
	*world
	pages atomic.Int64
}

func (c *counting) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	for _, r := range need.Events {
		if r.To > r.From+2 { // not an event that is looked up, with the one before it
			c.pages.Add(1)
		}
	}
	return c.world.Load(ctx, need)
}

// A page that many come back for is not read each time, but again when what it says may
// have changed, when somebody may see less of it, and after a while.
func TestKeptPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &counting{world: newWorld(t)}
		a := w.start(func(o *live.Options) { o.Store = w })
		w.commit(a, r1, add("ann"), add("bob"))
		w.commit(a, r1, say("3"), say("4"), say("5"))
		back := func(user string, reads int64, want ...uint64) *client {
			t.Helper()
			before := w.pages.Load()
			c := open(t, a, user, live.SessionOptions{})
			c.subscribe(r1, at(0))
			synctest.Wait()
			c.drain()
			c.sees(r1, want...)
			if got := w.pages.Load() - before; got != reads {
				t.Errorf("%s came back with %d pages read, want %d", user, got, reads)
			}
			return c
		}
		synctest.Wait()
		back("ann", 1, seqs(1, 5)...)
		back("bob", 1, seqs(1, 5)...) // now it is kept
		back("ann", 0, seqs(1, 5)...)
		w.commit(a, r1, say("6")) // what is before it says the same
		synctest.Wait()
		back("ann", 0, seqs(1, 6)...)
		w.commit(nil, r1, edit(3, "drei")) // and the tail has not heard of it
		c := back("bob", 1, seqs(1, 7)...)
		if c.text[r1][3] != "drei" {
			t.Errorf("came back to %q", c.text[r1][3])
		}
		pass(2 * time.Second) // it hears, and lets go of the page
		back("ann", 1, seqs(1, 7)...)
		back("bob", 0, seqs(1, 7)...)
		w.commit(a, r1, add("cid")) // who sees only what comes from now on
		synctest.Wait()
		back("cid", 1, 8)
		back("ann", 0, seqs(1, 8)...)
		before := a.Stats().RingBytes
		pass(20 * time.Second)
		synctest.Wait()
		if after := a.Stats().RingBytes; after >= before {
			t.Errorf("%d of %d bytes are kept of pages that nobody gets any more", after, before)
		}
		back("ann", 1, seqs(1, 8)...)
	})
}

// late is a world whose hub begins when it is told to, and in which something
// happens right after a page was read, before anybody has it.
type late struct {
	*world
	begin chan struct{}
	read  atomic.Bool // unless it happened already
	then  func()
}

func (l *late) Positions(ctx context.Context) ([gotong.Partitions]uint64, error) {
	<-l.begin
	return l.world.Positions(ctx)
}

func (l *late) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := l.world.Load(ctx, need)
	for _, r := range need.Events {
		if r.To > r.From+2 && l.read.CompareAndSwap(false, true) {
			l.then()
		}
	}
	return snap, err
}

// An edit between the read of a page and its keeping: where somebody followed
// already, the tail tells the flow of it; where nobody did, the tail jumps
// over it. Neither page may be kept: it is stale, and asked for again.
func TestKeptPageOlderThanAnEdit(t *testing.T) {
	for name, followed := range map[string]bool{"followed": true, "not followed yet": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { keptBeforeAnEdit(t, followed) })
		})
	}
}

func keptBeforeAnEdit(t *testing.T, followed bool) {
	t.Helper()
	w := &late{world: newWorld(t), begin: make(chan struct{})}
	w.commit(nil, r1, add("ann"), add("bob"))
	w.commit(nil, r1, say("3"), say("4"))
	a := w.start(func(o *live.Options) { o.Store, o.Limits.CatchUps = w, 1 })
	w.then = func() {
		w.commit(a, r1, edit(3, "drei"))
		pass(10 * time.Millisecond) // now the tail is beyond it
	}
	if followed {
		close(w.begin)
		w.read.Store(true)
		open(t, a, "ann", live.SessionOptions{}).subscribe(r1, at(0)) // who asks again gets a page that is kept
		pass(100 * time.Millisecond)
		w.read.Store(false)
	}
	clients := []*client{open(t, a, "ann", live.SessionOptions{}), open(t, a, "bob", live.SessionOptions{})}
	for _, c := range clients {
		c.subscribe(r1, at(0))
	}
	if !followed {
		close(w.begin) // so that both are one read
	}
	for range 3 {
		pass(100 * time.Millisecond)
		for _, c := range clients {
			c.drain()
		}
	}
	for _, c := range clients {
		c.sees(r1, seqs(1, 5)...)
		if c.text[r1][3] != "drei" {
			t.Errorf("%s reads %q, which was edited before", c.s.Viewer().UserID, c.text[r1][3])
		}
	}
}
