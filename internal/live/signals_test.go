package live_test

import (
	"fmt"
	"slices"
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

// Of many who leave at once, each is told to everybody, however few signals wait
// in a session and whatever keeps it from hearing meanwhile.
func TestPresenceOfACrowdThatLeaves(t *testing.T) {
	for name, during := range map[string]func(w *world, h *live.Hub){
		"only many":              func(*world, *live.Hub) {},
		"while right is unclear": func(w *world, h *live.Hub) { w.commit(h, r1, opened()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				h := w.start()
				const crowd = 90
				facts := []gotong.Fact{add("ann")}
				for i := range crowd {
					facts = append(facts, add(fmt.Sprint("u", i)))
				}
				w.commit(h, r1, facts...)
				ann := open(t, h, "ann", live.SessionOptions{})
				ann.subscribe(r1, live.Now())
				var others []*client
				for i := range crowd {
					c := open(t, h, fmt.Sprint("u", i), live.SessionOptions{})
					c.subscribe(r1, live.Now())
					others = append(others, c)
				}
				pass(time.Second)
				check := func(on bool) {
					t.Helper()
					synctest.Wait()
					ann.drain()
					last := map[string]bool{}
					for _, op := range ann.ops {
						var id, is string
						if n, _ := fmt.Sscanf(op, "signal presence %s %s", &id, &is); n == 2 {
							last[id] = is == "true"
						}
					}
					wrong := 0
					for i := range crowd {
						if is, told := last[fmt.Sprint("u", i)]; !told || is != on {
							wrong++
						}
					}
					if wrong > 0 {
						t.Errorf("of %d users %d are not told to be online: %v", crowd, wrong, on)
					}
				}
				check(true)
				for _, c := range others {
					c.s.Close()
				}
				pass(time.Second)
				during(w, h)
				ann.take(1 << 20)
				pass(time.Second)
				check(false)
			})
		})
	}
}
