package bustest_test

import (
	"testing"

	"go.uber.org/goleak"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBus(t *testing.T) {
	bustest.Test(t, func(*testing.T) bustest.Net {
		net := bustest.NewSwitch()
		return bustest.Net{Join: net.Join, Cut: net.Cut, Mend: net.Mend}
	})
}

// An end that joins later receives only what is published from then on. What
// does not fit into a queue is dropped for that end alone.
func TestQueue(t *testing.T) {
	net := bustest.NewSwitch()
	a, b := net.Join(), net.Join()
	for range bustest.Queue + 10 {
		a.Publish(bus.Message{Signal: &bus.Signal{}})
	}
	c := net.Join()
	a.Publish(bus.Message{Wake: &bus.Wake{}})
	for end, want := range map[bus.Bus]int{a: 0, b: bustest.Queue + 1, c: 1} {
		if n := bustest.Waiting(end); n != want {
			t.Errorf("%d messages wait, want %d", n, want)
		}
	}
}
