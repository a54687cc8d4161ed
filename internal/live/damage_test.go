package live_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/view"
)

// losing runs a hub on a store that loses events, and counts its reads.
func losing(w *world, faults *atomic.Int64, change ...func(*live.Options)) (*live.Hub, *storetest.Faulty) {
	f := storetest.NewFaulty(w.Store)
	return w.start(append(change, func(o *live.Options) {
		o.Store = f
		o.Observer.Fault = func(error) { faults.Add(1) }
	})...), f
}

// A page ends before a damaged event, and a subscription where it would begin
// with it; what lies before it is served, and who asks reads what lies beyond.
func TestDamagedEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.commit(nil, r1, add("ann"), say("2"), say("3"), say("4"), say("5"))
		var faults atomic.Int64
		h, f := losing(w, &faults)
		f.Lose(r1, 4)
		c := open(t, h, "ann", live.SessionOptions{})
		c.subscribe(r1, at(0))
		for range 10 {
			synctest.Wait()
			c.drain()
		}
		c.sees(r1, 1, 2, 3)
		c.heard("subscribed", "error corrupt_event")
		c.subscribe(r1, at(3))
		synctest.Wait()
		if err := c.s.Outcome(t.Context(), r1); gotong.CodeOf(err) != gotong.CodeCorruptEvent {
			t.Errorf("a subscription that begins with it: %v", err)
		}
		page, err := w.view(h).Read(t.Context(), reader("ann"), view.Query{Stream: r1, Limit: 10})
		if err != nil || page.To != 3 || page.Done || len(page.Events) != 3 {
			t.Errorf("read: %+v %v", page, err)
		}
		_, err = w.view(h).Read(t.Context(), reader("ann"), view.Query{Stream: r1, From: 3, Limit: 10})
		if gotong.CodeOf(err) != gotong.CodeCorruptEvent {
			t.Errorf("read: %v", err)
		}
	})
}

// A read ends before an event that this version does not know, and says which
// it is where it would begin with it.
func TestReadOfUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.commit(nil, r1, add("ann"), say("2"), say("3"), gotong.Fact{Type: "renewed", Data: member{"bob"}}, say("5"))
		h := w.start(func(o *live.Options) { o.Codec = store.NewCodec(older()) })
		for _, test := range []struct {
			name     string
			query    view.Query
			from, to uint64 // where it is served
			code     gotong.Code
			says     string
		}{
			{"before it", view.Query{Limit: 6}, 0, 3, "", ""},
			{"beyond it", view.Query{From: 4, Limit: 10}, 4, 5, "", ""},
			{"back to it", view.Query{Descending: true, Limit: 10}, 4, 5, "", ""},
			{"at it", view.Query{From: 3, Limit: 10}, 0, 0, gotong.CodeUnreadable, "Event 4 "},
			{"back from it", view.Query{To: 4, Descending: true, Limit: 10}, 0, 0, gotong.CodeUnreadable, "Event 4 "},
		} {
			test.query.Stream = r1
			page, err := w.view(h).Read(t.Context(), reader("ann"), test.query)
			if gotong.CodeOf(err) != test.code || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v", test.name, err)
			}
			if err == nil && (page.From != test.from || page.To != test.to || page.Done != (test.to == 5 && !test.query.Descending)) {
				t.Errorf("%s: %d to %d, done %v", test.name, page.From, page.To, page.Done)
			}
		}
		if _, err := w.view(h).Read(t.Context(), reader("eve"), view.Query{Stream: r1, From: 3, Limit: 1}); gotong.CodeOf(err) != gotong.CodeNotFound {
			t.Errorf("who may not read it is told: %v", err)
		}
	})
}

// Commits that are not there when the tail comes to them: the tail passes them and
// reports them once; the followers of their stream learn that something is
// missing, followers of other streams lose nothing, and no read is repeated.
func TestHole(t *testing.T) {
	other := beside(r1)
	for _, test := range []struct {
		name  string
		lose  []uint64 // of r1, where 3 to 6 are written
		after bool     // the other stream is written to afterwards
	}{
		{"the last commit of the partition", []uint64{6}, false},
		{"all commits since", []uint64{3, 4, 5, 6}, false},
		{"one in the middle", []uint64{4}, true},
		{"many in a row", []uint64{3, 4, 5, 6}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.commit(nil, r1, add("ann"), say("2"))
				w.commit(nil, other, add("ann"), say("2"))
				var faults atomic.Int64
				h, f := losing(w, &faults)
				c := open(t, h, "ann", live.SessionOptions{})
				c.subscribe(r1, live.Now())
				c.subscribe(other, live.Now())
				synctest.Wait()
				c.drain()
				for n := uint64(3); n <= 6; n++ {
					w.commit(nil, r1, say(fmt.Sprint(n)))
				}
				for _, seq := range test.lose {
					f.Lose(r1, seq)
				}
				if test.after {
					w.commit(nil, other, say("3"))
				}
				second := f.Hold(storetest.OpRead, 2) // what lies behind the first hole is found after access was read anew
				pass(time.Second)
				synctest.Wait()
				second.Release()
				for range 5 {
					synctest.Wait()
					c.drain()
				}
				c.heard("subscribed", "subscribed", "error corrupt_event")
				c.sees(r1, seqs(3, test.lose[0]-1)...)
				if test.after {
					c.sees(other, 3)
				}
				reads := f.Calls(storetest.OpLoad) + f.Calls(storetest.OpRead)
				pass(time.Minute)
				c.drain()
				if n := f.Calls(storetest.OpLoad) + f.Calls(storetest.OpRead) - reads; n != 0 {
					t.Errorf("%d reads in a minute in which nothing happened", n)
				}
				if n := faults.Load(); n != 1 {
					t.Errorf("the hole is reported %d times", n)
				}
				if n := h.Stats(); n.Silent != 0 || n.Subscriptions != 1 || n.Stale != 0 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}

// A removal that is not there ends the subscription all the same: the documents
// name it, and access that rests on what cannot be read is none.
func TestLostRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := gotong.Stream("room/c-x-1")
		w.commit(nil, governing(s), add("ann"), add("bob"))
		w.commit(nil, s, say("1"))
		var faults atomic.Int64
		h, f := losing(w, &faults)
		bob := open(t, h, "bob", live.SessionOptions{})
		bob.subscribe(s, live.Now())
		synctest.Wait()
		f.Lose(governing(s), w.commit(nil, governing(s), remove("bob")).Seq)
		w.commit(nil, s, say("2"))
		pass(time.Second)
		for range 3 {
			synctest.Wait()
			bob.drain()
		}
		bob.heard("subscribed", "error corrupt_event")
		bob.sees(s)
	})
}

// short is a store whose reads show less than there is.
type short struct {
	*world
	mu    sync.Mutex
	end   uint64 // of r1; 0 shows all
	reads int
}

func (s *short) cut() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.end
}

func (s *short) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := s.world.Load(ctx, need)
	if end := s.cut(); end > 0 && snap.Heads[r1].Seq > end {
		head := snap.Heads[r1]
		head.Seq = end
		snap.Heads[r1] = head
		for i, rows := range snap.Events {
			for len(rows) > 0 && rows[len(rows)-1].Seq > end {
				rows = rows[:len(rows)-1]
			}
			snap.Events[i] = rows
		}
	}
	return snap, err
}

func (s *short) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) ([]store.Event, error) {
	if s.cut() > 0 {
		return nil, nil
	}
	return s.world.ReadPartition(ctx, p, from, to, limit)
}

// Where the store shows less than it said, or than this node has handed out,
// nothing spins and nothing is taken for complete.
func TestStoreThatForgets(t *testing.T) {
	for _, test := range []struct {
		name    string
		offered bool
		heard   []string
		silent  int
	}{
		{"what it said there was", false, []string{"subscribed"}, 1},
		{"what it acknowledged", true, []string{"subscribed", "resync_required log_behind"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.commit(nil, r1, add("ann"))
				f := &short{world: w}
				h := w.start(func(o *live.Options) { o.Store, o.Limits.RingFrames = f, 1 })
				c := open(t, h, "ann", live.SessionOptions{})
				c.subscribe(r1, live.Now())
				synctest.Wait()
				c.drain()
				f.mu.Lock()
				f.end = 1
				f.mu.Unlock()
				for range 3 {
					e := w.commit(nil, r1, say("x"))
					if test.offered {
						h.Offer(t.Context(), []store.Event{e})
					}
				}
				f.mu.Lock()
				f.reads = 0
				f.mu.Unlock()
				for range 60 {
					pass(time.Second)
					c.drain()
				}
				c.heard(test.heard...)
				c.sees(r1)
				if n := h.Stats().Silent; n != test.silent {
					t.Errorf("%d partitions are silent, want %d", n, test.silent)
				}
				f.mu.Lock()
				defer f.mu.Unlock()
				if f.reads > 80 { // one a second, and a few at first
					t.Errorf("%d reads in a minute", f.reads)
				}
			})
		})
	}
}

// A read from before a hole does not make the stream's head known: who follows
// would not look for what is missing.
func TestHoleWhileSubscribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.commit(nil, r1, add("ann"), say("2"))
		var faults atomic.Int64
		h, f := losing(w, &faults)
		first, second := open(t, h, "ann", live.SessionOptions{}), open(t, h, "ann", live.SessionOptions{})
		first.subscribe(r1, live.Now())
		synctest.Wait()
		first.drain()
		before := f.HoldAfter(storetest.OpLoad, 1) // the only read that it takes: where ann joined is known
		second.subscribe(r1, live.Now())
		synctest.Wait()
		w.commit(nil, r1, say("3"))
		f.Lose(r1, 3)
		anew := []*storetest.Hold{f.Hold(storetest.OpLoad, 1), f.Hold(storetest.OpLoad, 2)}
		pass(time.Second)
		synctest.Wait() // the tail has passed the hole
		before.Release()
		synctest.Wait()
		for _, h := range anew {
			h.Release()
		}
		for range 5 {
			synctest.Wait()
			first.drain()
			second.drain()
		}
		first.heard("subscribed", "error corrupt_event")
		second.heard("subscribed", "error corrupt_event")
	})
}
