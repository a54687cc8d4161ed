package live_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// teller is a bus that notes the positions that it is to tell.
type teller struct {
	mu   sync.Mutex
	told []uint64
}

func (b *teller) Publish(m bus.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.Wake != nil {
		b.told = append(b.told, m.Wake.Position)
	}
}

func (b *teller) Run(ctx context.Context, _ func(bus.Message)) error {
	<-ctx.Done()
	return nil
}

// Every commit of the node wakes the others and is counted, also one that the
// poll found before it was offered, and one that found no room.
func TestEachCommitIsTold(t *testing.T) {
	for _, test := range []struct {
		name               string
		early, room        bool
		published, dropped int
	}{
		{"offered first", false, true, 3, 0},
		{"found by the poll first", true, true, 3, 0},
		{"no room", false, false, 2, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.commit(nil, r1, add("ann"))
				b := &teller{}
				var name func()
				published, dropped := 0, 0
				h := w.start(on(b), func(o *live.Options) {
					name = asking(o)
					o.Observer.Published = func(context.Context, gotong.Stream, uint64, gotong.Instant) { published++ }
					o.Observer.Dropped = func(reason string, n int) {
						if reason == "offer" {
							dropped += n
						}
					}
					if !test.room {
						o.Limits.Offered = 1
					}
				})
				c := open(t, h, "ann", live.SessionOptions{})
				c.subscribe(r1, live.Now())
				synctest.Wait()
				var want []uint64
				var rows []store.Event
				for range 3 {
					e := w.commit(nil, r1, say("x"))
					rows, want = append(rows, e), append(want, e.Position)
				}
				if test.early {
					name()
					pass(time.Second)
				}
				for i := range rows {
					h.Offer(t.Context(), rows[i:i+1])
					synctest.Wait()
				}
				if !test.early {
					name()
				}
				pass(time.Second)
				synctest.Wait()
				c.drain()
				c.sees(r1, 2, 3, 4)
				if !slices.Equal(b.told, want) {
					t.Errorf("the other nodes hear of %v, want %v", b.told, want)
				}
				if published != test.published || dropped != test.dropped {
					t.Errorf("%d published and %d dropped, want %d and %d", published, dropped, test.published, test.dropped)
				}
			})
		})
	}
}

// A flow that is released between its look-up and its flush, before the
// partition knows it, keeps nothing: the sum of all rings comes back to what is
// there.
func TestReleasedWhilePublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		other := beside(r1)
		w.commit(nil, r1, add("bob"))
		w.commit(nil, other, add("ann"))
		f := &faulty{world: w}
		var bob *client
		faults := 0
		h := w.start(func(o *live.Options) {
			o.Store, o.Codec = f, store.NewCodec(older())
			o.Observer.Fault = func(error) { // the tail is past the look-up of bob's room
				if faults++; faults == 1 {
					bob.s.Close()
				}
			}
		})
		ann := open(t, h, "ann", live.SessionOptions{})
		ann.subscribe(other, live.Now())
		synctest.Wait()
		answer := f.hold(1, false)
		bob = open(t, h, "bob", live.SessionOptions{})
		bob.subscribe(r1, live.Now())
		synctest.Wait()
		w.commit(nil, r1, say("to nobody"))
		w.commit(nil, other, gotong.Fact{Type: "renewed", Data: member{"zoe"}})
		pass(1100 * time.Millisecond) // the poll finds both
		answer()
		synctest.Wait()
		if n := h.Stats(); faults == 0 || n.Flows != 1 || n.RingBytes != 0 {
			t.Errorf("%d faults, %+v", faults, n)
		}
		ann.s.Close()
		if n := h.Stats().Flows; n != 0 {
			t.Errorf("%d flows of nobody", n)
		}
	})
}
