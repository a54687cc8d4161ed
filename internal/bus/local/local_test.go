package local_test

import (
	"testing"

	"go.uber.org/goleak"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/bus/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBus(t *testing.T) {
	bustest.Test(t, func(*testing.T) bustest.Net {
		net := local.New()
		return bustest.Net{Join: net.Join, Cut: net.Cut, Mend: net.Mend}
	})
}

// Who joins later hears what is said from then on; what does not fit into a
// queue is dropped, for that end alone.
func TestQueue(t *testing.T) {
	net := local.New()
	a, b := net.Join(), net.Join()
	for range local.Queue + 10 {
		a.Publish(bus.Message{Signal: &bus.Signal{}})
	}
	c := net.Join()
	a.Publish(bus.Message{Wake: &bus.Wake{}})
	for end, want := range map[bus.Bus]int{a: 0, b: local.Queue + 1, c: 1} {
		if n := local.Waiting(end); n != want {
			t.Errorf("%d messages wait, want %d", n, want)
		}
	}
}
