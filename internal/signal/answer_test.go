package signal_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/signal"
)

// weighed is a bus that counts the bytes of what is published.
type weighed struct {
	bus.Bus
	bytes atomic.Int64
}

func (w *weighed) Publish(m bus.Message) {
	w.bytes.Add(int64(len(m.Signal.Data)))
	w.Bus.Publish(m)
}

// One user of another node who comes and goes four times a second, and so asks
// each time who is present, has a long list sent at most every ten seconds. Who
// asks in between is answered then.
func TestAnswersAboutPresenceArePaced(t *testing.T) {
	for _, test := range []struct {
		present int
		lists   int64 // sent at most
	}{{1, 30}, {10, 8}, {1000, 1}} {
		t.Run(fmt.Sprint(test.present), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := bustest.NewSwitch()
				meter := &weighed{Bus: net.Join()}
				n, other := start(t, "a", meter, clock.System()), net.Join()
				for i := range test.present {
					n.join(fmt.Sprintf("u%03d", i))
				}
				pass(second)
				list := meter.bytes.Swap(0) // as news, once
				for range 30 {
					for _, data := range []string{`{"gone":["bob"]}`, `{"here":["bob"],"ask":true}`} {
						other.Publish(bus.Message{Node: "b", Signal: &bus.Signal{Stream: r1, Type: signal.Presence, Data: []byte(data)}})
					}
					pass(250 * time.Millisecond)
				}
				if sent := meter.bytes.Load(); sent > test.lists*list || sent < list/2 {
					t.Errorf("%d bytes sent, where the list of %d users takes %d", sent, test.present, list)
				}
				late := start(t, "c", net.Join(), clock.System())
				late.join("cat")
				pass(10 * second) // sooner than the list is sent unasked
				if got, want := len(late.Present(r1)), test.present+1; got != want {
					t.Errorf("%d users are present for a node that asked, want %d", got, want)
				}
			})
		})
	}
}
