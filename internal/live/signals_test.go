package live_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/live"
)

// What another node says of a login is passed on to who looks it up.
func TestEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		net := bustest.NewSwitch()
		var heard []string
		a := w.start(on(net.Join()), func(o *live.Options) {
			o.Ended = func(string) { t.Error("a node hears itself") }
		})
		w.start(on(net.Join()), func(o *live.Options) {
			o.Ended = func(id string) { heard = append(heard, id) }
		})
		w.start(on(net.Join())) // does not care
		synctest.Wait()
		a.TellEnded("ann")
		synctest.Wait()
		if !slices.Equal(heard, []string{"ann"}) {
			t.Errorf("heard %q", heard)
		}
	})
}

// Each follower of a stream gets one frame for a burst of users who come or go,
// with the state after it: also a follower who is slow, one who could receive no
// signal meanwhile, and one who subscribes when nothing changes any more.
func TestPresenceOfABurst(t *testing.T) {
	for name, test := range map[string]struct {
		crowd int
		here  string // with ann, the others and bob
	}{
		"a few": {3, "signal presence 5 [ann bob u00 u01 u02]"},
		"many":  {90, "signal presence 92 <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, f, h := heldWorld(t)
				facts := []gotong.Fact{add("bob")}
				for i := range test.crowd {
					facts = append(facts, add(fmt.Sprintf("u%02d", i)))
				}
				w.commit(h, r1, facts...)
				join := func(user string) *client {
					c := open(t, h, user, live.SessionOptions{})
					c.subscribe(r1, live.Now())
					return c
				}
				presence := func(c *client, want ...string) {
					t.Helper()
					c.ops = nil
					synctest.Wait()
					c.drain()
					c.ops = slices.DeleteFunc(c.ops, func(op string) bool { return !strings.HasPrefix(op, "signal presence") })
					if !slices.Equal(c.ops, want) {
						t.Errorf("%s got %q, want %q", c.s.Viewer().UserID, c.ops, want)
					}
				}
				ann, bob := join("ann"), join("bob")
				var others []*client
				for i := range test.crowd {
					others = append(others, join(fmt.Sprintf("u%02d", i)))
				}
				pass(time.Second)
				for _, c := range append(others, ann, bob) {
					presence(c, test.here)
				}
				pass(time.Minute)
				again := join("bob")
				presence(again, test.here)
				presence(ann)

				// What the followers may do is not clear. As many loads run as there
				// are workers, and any of them may be ann's.
				var release []func()
				for n := range 8 {
					release = append(release, f.hold(1+n, false))
				}
				w.commit(h, r1, opened())
				synctest.Wait()
				for _, c := range others {
					c.s.Close()
				}
				pass(time.Second)
				presence(ann)
				for _, let := range release {
					let()
				}
				presence(ann, "signal presence 2 [ann bob]")
				bob.s.Close()
				pass(time.Second)
				presence(ann)

				f.set(errors.New("no answer")) // and the partition falls silent
				pass(10 * time.Second)
				again.s.Close()
				pass(time.Second)
				presence(ann)
				f.set(nil)
				pass(3 * time.Second)
				presence(ann, "signal presence 1 [ann]")
			})
		})
	}
}
