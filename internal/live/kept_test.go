package live_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
		if r.To > r.From+1 { // not an event that is looked up
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
		w.commit(a, r1, remove("bob"))
		w.commit(a, r1, add("bob"))
		synctest.Wait()
		back("bob", 1, 1, 2, 3, 4, 5, 6, 7, 9)
		pass(15 * time.Second)
		synctest.Wait()
		back("ann", 1, seqs(1, 9)...)
	})
}
