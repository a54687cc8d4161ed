package live_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// TestAnItemForAllMembersIsSignalled, on every node, to the members who follow their
// account there, and to nobody else; one for some of them, to those. Each node looks up
// those of its own sessions alone, and a burst is one look.
func TestAnItemForAllMembersIsSignalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.codec = store.NewCodec(append(kinds(), account()))
		net, release, asked := bustest.NewSwitch(), make(chan struct{}, 10), [2][]string{}
		calls := [2]int{}
		node := func(n int) *live.Hub {
			return w.start(on(net.Join()), func(o *live.Options) {
				o.Members = func(_ context.Context, of gotong.Stream, ids []string) (members []string, err error) {
					calls[n]++
					for _, id := range ids {
						asked[n] = append(asked[n], string(of)+" "+id)
						if id != "eve" {
							members = append(members, id)
						}
					}
					<-release
					return members, nil
				}
			})
		}
		a, b := node(0), node(1)
		var follow []*client
		for id, h := range map[string]*live.Hub{"ann": a, "bob": b, "eve": b} {
			own := gotong.NewStream("user", id)
			w.commit(h, own, add(id))
			c := open(t, h, id, live.SessionOptions{})
			c.subscribe(own, live.Now())
			follow = append(follow, c)
		}
		open(t, b, "dan", live.SessionOptions{}) // follows nothing
		synctest.Wait()
		signals := func(want map[string]int) {
			t.Helper()
			for range 4 {
				release <- struct{}{}
			}
			pass(time.Second)
			synctest.Wait()
			for len(release) > 0 {
				<-release
			}
			for _, c := range follow {
				c.ops = nil
				c.drain()
				n := 0
				for _, op := range c.ops {
					if op == "signal inbox "+c.s.Viewer().UserID {
						n++
					}
				}
				id := c.s.Viewer().UserID
				if n != want[id] {
					t.Errorf("%s got %d signals, want %d: %q", id, n, want[id], c.ops)
				}
			}
		}
		looked := func(want ...[]string) {
			t.Helper()
			for n := range asked {
				slices.Sort(asked[n])
				if asked[n] = slices.Compact(asked[n]); !slices.Equal(asked[n], want[n]) {
					t.Errorf("node %d looked up %q, want %q", n, asked[n], want[n])
				}
				asked[n] = nil
			}
		}
		both := map[string]int{"ann": 1, "bob": 1}
		a.Signals().Changed("club/rt")
		signals(both)
		for range 100 {
			a.Signals().Changed("club/rt")
		}
		synctest.Wait() // the first waits for its answer; the others are one more look
		signals(both)
		looked([]string{"club/rt ann"}, []string{"club/rt bob", "club/rt eve"})
		for n := range calls {
			if calls[n] > 3 {
				t.Errorf("node %d looked %d times", n, calls[n])
			}
		}
		b.Signals().Changed("club/rt", "ann", "dan", "eve")
		signals(map[string]int{"ann": 1})
		looked([]string{"club/rt ann"}, []string{"club/rt eve"})
		b.Signals().Changed("club/rt", "dan")
		signals(nil)
		looked(nil, nil)
		many := []string{"bob"}
		for n := range 200 {
			many = append(many, fmt.Sprint("u", n))
		}
		a.Signals().Changed("club/rt", append(many, "ann")...)
		signals(both)
		looked([]string{"club/rt ann"}, []string{"club/rt bob"})
		for range 3 {
			a.Signals().Changed("club/rt", "ann") // the first waits for its answer
		}
		a.Signals().Changed("club/rt")
		a.Signals().Changed("club/rt", "ann") // all stay all
		signals(both)
	})
}

// TestABurstDisplacesNoItemForAll: while a look lasts, a burst in one stream takes the room
// of one stream, and the users are listed once for all streams.
func TestABurstDisplacesNoItemForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.codec = store.NewCodec(append(kinds(), account()))
		release, dropped := make(chan struct{}), 0
		var asked []string
		h := w.start(func(o *live.Options) {
			o.Observer.Dropped = func(_ string, n int) { dropped += n }
			o.Members = func(_ context.Context, of gotong.Stream, _ []string) ([]string, error) {
				asked = append(asked, string(of))
				<-release
				return nil, nil
			}
		})
		w.commit(h, "user/ann", add("ann"))
		ann := open(t, h, "ann", live.SessionOptions{})
		ann.subscribe("user/ann", live.Now())
		synctest.Wait()
		h.Signals().Changed("club/rt")
		synctest.Wait()
		for range 1000 {
			h.Signals().Changed("club/rt")
		}
		h.Signals().Changed("club/rw")
		close(release)
		pass(time.Second)
		synctest.Wait()
		if !slices.Equal(asked, []string{"club/rt", "club/rt", "club/rw"}) || dropped > 0 {
			t.Errorf("looked at %q, and dropped %d signals", asked, dropped)
		}
	})
}

// TestLooksArePaced: what comes between two looks is one look more, not one for each.
func TestLooksArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.codec = store.NewCodec(append(kinds(), account()))
		looks := 0
		h := w.start(func(o *live.Options) {
			o.Members = func(context.Context, gotong.Stream, []string) ([]string, error) { looks++; return nil, nil }
		})
		w.commit(h, "user/ann", add("ann"))
		ann := open(t, h, "ann", live.SessionOptions{})
		ann.subscribe("user/ann", live.Now())
		synctest.Wait()
		for n := range 1000 {
			h.Signals().Changed("club/rt", "ann")
			if synctest.Wait(); n == 0 && looks != 1 {
				t.Error("the first waits")
			}
			pass(time.Millisecond)
		}
		pass(time.Second)
		if synctest.Wait(); looks < 10 || looks > 11 {
			t.Errorf("%d looks in a second", looks)
		}
	})
}

// TestALookThatFailsIsRepeated, unless the store holds what this version cannot read.
func TestALookThatFailsIsRepeated(t *testing.T) {
	for name, tc := range map[string]struct {
		err         error
		looks, want int
	}{
		"no answer":  {errors.New("no answer"), 2, 1},
		"unreadable": {store.ErrUnreadable, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.codec = store.NewCodec(append(kinds(), account()))
				looks := 0
				h := w.start(func(o *live.Options) {
					o.Members = func(_ context.Context, _ gotong.Stream, ids []string) ([]string, error) {
						if looks++; looks == 1 {
							return nil, tc.err
						}
						return ids, nil
					}
				})
				w.commit(h, "user/ann", add("ann"))
				ann := open(t, h, "ann", live.SessionOptions{})
				ann.subscribe("user/ann", live.Now())
				synctest.Wait()
				ann.drain()
				ann.ops = nil
				h.Signals().Changed("club/rt")
				pass(10 * time.Second)
				synctest.Wait()
				ann.drain()
				if n := len(ann.ops); n != tc.want || looks != tc.looks {
					t.Errorf("%d looks, and %q", looks, ann.ops)
				}
			})
		})
	}
}

// TestASignalOfAnInboxWaits while access to the account is read anew, and while the
// partition is silent: no later signal makes up for it.
func TestASignalOfAnInboxWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.codec = store.NewCodec(append(kinds(), account()))
		f := &faulty{world: w}
		h := w.start(func(o *live.Options) { o.Store = f })
		w.commit(h, "user/ann", add("ann"))
		ann := open(t, h, "ann", live.SessionOptions{})
		ann.subscribe("user/ann", live.Now())
		synctest.Wait()
		ann.drain()
		heard := func(want ...string) {
			t.Helper()
			ann.ops = nil
			synctest.Wait()
			ann.drain()
			ann.heard(want...)
		}
		release := f.hold(1, false)
		w.commit(h, "user/ann", opened())
		synctest.Wait()
		h.Signals().Changed("user/ann")
		heard()
		release()
		heard("signal inbox ann")
		heard()
		f.set(errors.New("no answer"))
		pass(10 * time.Second)
		h.Signals().Changed("user/ann")
		heard()
		f.set(nil)
		pass(10 * time.Second)
		heard("signal inbox ann")
	})
}

// account is streams that a user follows for signals of their inbox.
func account() gotong.Kind {
	k := club()
	k.Name, k.Signals, k.Documents = "user", []string{"inbox"}, []gotong.Type{gotong.TypeOf[gotong.Membership]("user_members")}
	return k
}
