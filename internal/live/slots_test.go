package live_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// older is the rules of a version that does not know the event "renewed".
func older() []gotong.Kind {
	list := kinds()
	for i := range list {
		list[i].Events = slices.DeleteFunc(list[i].Events, func(e gotong.EventType) bool { return e.Name == "renewed" })
	}
	return list
}

// restless is rules that name another document of room/1 each time they are
// asked.
func restless() []gotong.Kind {
	list := kinds()
	settled, n := list[0].AccessNeeds, 'a'
	list[0].AccessNeeds = func(s gotong.State, r gotong.Viewer) []gotong.Ref {
		if s.Stream != r1 {
			return settled(s, r)
		}
		n++
		return []gotong.Ref{{Stream: r1, Key: gotong.MemberKey(r1, string(n))}}
	}
	return list
}

// one fails the loads of one stream.
type one struct {
	*world
	stream gotong.Stream
	err    error
}

func (o *one) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	if slices.Contains(need.Heads, o.stream) {
		return store.Snapshot{}, o.err
	}
	return o.world.Load(ctx, need)
}

// What cannot be read ends its subscription at once where nothing can mend it,
// and holds the only slot in no case.
func TestSlotIsFreed(t *testing.T) {
	const r2 = gotong.Stream("room/2")
	words := say("3")
	for _, test := range []struct {
		name  string
		last  gotong.Fact // of the bad stream
		kinds func() []gotong.Kind
		err   error
		sees  []uint64
		heard []string // in the end
		at    time.Duration
	}{
		{"an event of a newer version", gotong.Fact{Type: "renewed", Data: member{"zoe"}}, older, nil,
			[]uint64{1, 2}, []string{"subscribed", "error unreadable"}, 0},
		{"needs that do not settle", words, restless, nil, nil, []string{"error internal"}, 0},
		{"a store that does not answer", words, kinds, errors.New("no answer"), nil, []string{"error busy"}, 5150 * time.Millisecond},
		{"a store that is closed", words, kinds, store.ErrClosed, nil, []string{"error busy"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.commit(nil, r1, add("bob"))
				w.commit(nil, r1, say("2"))
				w.commit(nil, r1, test.last)
				w.commit(nil, r2, add("bob"))
				w.commit(nil, r2, say("2"))
				var waiting atomic.Int64
				h := w.start(func(o *live.Options) {
					o.Codec, o.Limits.CatchUps = store.NewCodec(test.kinds()), 1
					o.Observer.CatchUpWaiting = func(change int) { waiting.Add(int64(change)) }
					if test.err != nil {
						o.Store = &one{w, r1, test.err}
					}
				})
				bad, well := open(t, h, "bob", live.SessionOptions{}), open(t, h, "bob", live.SessionOptions{})
				began := time.Now()
				bad.subscribe(r1, at(0))
				well.subscribe(r2, at(0))
				if err := well.s.Outcome(t.Context(), r2); err != nil {
					t.Error(err)
				}
				if d := time.Since(began); d > 0 {
					t.Errorf("a stream that is well waits %v for one that is not", d)
				}
				took := time.Duration(-1)
				for time.Since(began) < 10*time.Second {
					for range 4 {
						synctest.Wait()
						bad.drain()
					}
					if took < 0 && len(bad.ops) == len(test.heard) {
						took = time.Since(began)
					}
					pass(50 * time.Millisecond)
				}
				bad.heard(test.heard...)
				bad.sees(r1, test.sees...)
				if took != test.at {
					t.Errorf("it ends after %v, want %v", took, test.at)
				}
				if n := waiting.Load(); n != 0 {
					t.Errorf("%d reads are said to wait", n)
				}
			})
		})
	}
}
