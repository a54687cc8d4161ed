package live_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/live"
)

// metered is a bus that counts the presence that is said in each second.
type metered struct {
	bus.Bus
	mu     sync.Mutex // guards what follows
	second time.Time
	n      int
	most   int
}

func (m *metered) Publish(msg bus.Message) {
	if msg.Signal != nil && msg.Signal.Type == "presence" {
		m.count()
	}
	m.Bus.Publish(msg)
}

func (m *metered) count() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now().Truncate(time.Second); now != m.second {
		m.second, m.n = now, 0
	}
	m.n++
	m.most = max(m.most, m.n)
}

// peak returns the most messages of one second since the last call.
func (m *metered) peak() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.most
	m.most = 0
	return n
}

// However many streams two nodes follow, nobody who stays is told to be gone,
// no typing is lost for it, and who vanishes with their node is gone after a
// minute and a half.
func TestPresenceOfManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		net := bustest.NewSwitch()
		meter := &metered{Bus: net.Join()}
		a, b := w.start(on(meter)), w.start(on(net.Join()))
		const rooms, each = 4 * bustest.Queue, 32
		name := func(i int) gotong.Stream { return gotong.NewStream("room", fmt.Sprint("c-x-", i)) }
		for i := range rooms / each {
			w.commit(nil, "club/x", add(fmt.Sprint("u", i)), add(fmt.Sprint("v", i)))
		}
		for i := range rooms {
			w.commit(nil, name(i), say("x"))
		}
		pass(3 * time.Second)
		var talkers, listeners []*live.Session
		for i := range rooms / each {
			for h, to := range map[*live.Hub]*[]*live.Session{a: &talkers, b: &listeners} {
				user := fmt.Sprint("u", i)
				if h == b {
					user = fmt.Sprint("v", i)
				}
				s := open(t, h, user, live.SessionOptions{}).s
				for j := range each {
					_ = s.Subscribe(live.Subscription{Stream: name(i*each + j)})
				}
				*to = append(*to, s)
			}
			pass(20 * time.Millisecond)
		}
		pass(30 * time.Second)
		heard := func(what string) (n int) {
			for _, s := range listeners {
				for more := true; more; {
					var frames []live.Frame
					if frames, more = s.Take(nil, 1<<20); len(frames) > 0 {
						s.Written()
					}
					for _, f := range frames {
						n += bytes.Count(f.JSON(), []byte(what))
					}
				}
			}
			return n
		}
		known := func() (n int) {
			for i := range rooms {
				if len(b.Present(name(i))) == 2 {
					n++
				}
			}
			return n
		}
		heard("")
		if n := known(); n != rooms {
			t.Errorf("of %d streams %d have both users", rooms, n)
		}
		meter.peak()
		typed := 0
		for i := range 100 {
			if err := talkers[i].Signal(name(i*each), "typing"); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			typed += heard(`"typing"`)
			if n := heard(`"online":false`); n > 0 {
				t.Fatalf("after %d s, %d who are there are told to be gone", i, n)
			}
		}
		if n := known(); n != rooms || typed != 100 {
			t.Errorf("of %d streams %d have both users, of 100 signs %d came", rooms, n, typed)
		}
		if n := meter.peak(); n > bustest.Queue {
			t.Errorf("%d messages in one second", n)
		}
		net.Cut()
		pass(100 * time.Second)
		synctest.Wait()
		if n := known(); n != 0 {
			t.Errorf("%d users of a node that is not heard are present", n)
		}
	})
}
