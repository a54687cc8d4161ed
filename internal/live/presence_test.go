package live_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/live"
)

func present(t *testing.T, h *live.Hub, want ...string) {
	t.Helper()
	if got := h.Present(r1); !slices.Equal(got, want) {
		t.Errorf("present %v, want %v", got, want)
	}
}

// Who is present is who follows on any node: a node that begins to listen asks,
// a user who leaves one node is still on the other, and a node that is not
// heard of any more is forgotten.
func TestPresenceOfNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		net, cut := bustest.NewSwitch(), bustest.NewSwitch()
		a, b, c := w.start(on(net.Join())), w.start(on(net.Join())), w.start(on(net.Join()))
		alone := w.start(on(cut.Join()))
		w.commit(a, r1, add("ann"), add("bob"), add("cat"))
		follow := func(h *live.Hub, user string) *client {
			p := open(t, h, user, live.SessionOptions{})
			p.subscribe(r1, live.Now())
			synctest.Wait()
			p.drain()
			pass(time.Second)
			synctest.Wait()
			return p
		}
		annA, annB := follow(a, "ann"), follow(b, "ann")
		follow(b, "bob")
		cat := follow(c, "cat") // long after the others said that they are there
		for _, h := range []*live.Hub{a, b, c} {
			present(t, h, "ann", "bob", "cat")
		}
		follow(alone, "bob")
		present(t, alone, "bob")

		annA.s.Close()
		pass(time.Second)
		synctest.Wait()
		present(t, b, "ann", "bob", "cat")
		present(t, c, "ann", "bob", "cat")
		present(t, a) // nobody listens here any more
		cat.drain()
		cat.ops = nil
		annB.s.Close()
		pass(time.Second)
		synctest.Wait()
		present(t, c, "bob", "cat")
		cat.drain()
		cat.heard("signal presence ann false")

		net.Cut()
		pass(50 * time.Second)
		present(t, c, "bob", "cat")
		pass(40 * time.Second)
		present(t, c, "cat")
		net.Mend()
		pass(25 * time.Second)
		present(t, c, "bob", "cat")
	})
}

// A crowd is told in few messages, and whatever is said makes no one present
// for longer than a minute, nor memory grow without bound.
func TestPresenceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		net := bustest.NewSwitch()
		evil := net.Join()
		h := w.start(on(net.Join()))
		const crowd = 300
		facts := make([]gotong.Fact, 0, crowd)
		for i := range crowd {
			facts = append(facts, add(fmt.Sprint("u", i)))
		}
		w.commit(h, r1, facts...)
		for i := range crowd {
			open(t, h, fmt.Sprint("u", i), live.SessionOptions{}).subscribe(r1, live.Now())
		}
		synctest.Wait()
		pass(time.Second)
		synctest.Wait()
		heard := make(chan bus.Message, 1000)
		go func() { _ = evil.Run(t.Context(), func(m bus.Message) { heard <- m }) }()
		synctest.Wait()
		n := 0
		for len(heard) > 0 {
			if m := <-heard; m.Signal != nil {
				n++
			}
		}
		if n < 3 || n > 6 {
			t.Errorf("%d messages tell of %d users", n, crowd)
		}
		say := func(data string) {
			evil.Publish(bus.Message{Node: "evil", Signal: &bus.Signal{Stream: r1, Type: "presence", Data: json.RawMessage(data)}})
			synctest.Wait()
		}
		for _, data := range []string{``, `{`, `7`, `{"here":"x"}`, `{"here":[{"user_id":"a b"}]}`, `{"gone":[{"user_id":"u1"}]}`} {
			say(data)
		}
		for i := range 400 {
			list := make([]gotong.Actor, 100)
			for j := range list {
				list[j].UserID = fmt.Sprint("evil", i, "-", j)
			}
			b, _ := json.Marshal(map[string]any{"here": list})
			say(string(b))
		}
		if n := len(h.Present(r1)); n > 20_000 {
			t.Errorf("%d users are present", n)
		}
		pass(90 * time.Second)
		synctest.Wait()
		if n := len(h.Present(r1)); n != crowd {
			t.Errorf("%d users are present, want %d", n, crowd)
		}
		// Who asks is answered, and not more often than it is gathered.
		for len(heard) > 0 {
			<-heard
		}
		for range 100 {
			say(`{"ask":true}`)
		}
		pass(time.Second)
		synctest.Wait()
		if n := len(heard); n != 3 {
			t.Errorf("%d messages answer", n)
		}
	})
}

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
