package local_test

import (
	"context"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each end hears the others and not itself; a cut loses, a full queue drops,
// and nobody is blocked.
func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := local.New()
		ends := []bus.Bus{net.Join(), net.Join(), net.Join()}
		heard := make([]int, len(ends))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, len(ends))
		say := func(n int) {
			for range n {
				ends[0].Publish(bus.Message{Node: "a", Wake: &bus.Wake{Position: 1}})
			}
		}
		say(local.Queue + 10) // nobody takes yet
		for i, e := range ends {
			go func() { done <- e.Run(ctx, func(bus.Message) { heard[i]++ }) }()
		}
		synctest.Wait()
		net.Cut()
		say(5)
		net.Mend()
		say(1)
		synctest.Wait()
		for i, want := range []int{0, local.Queue + 1, local.Queue + 1} {
			if heard[i] != want {
				t.Errorf("end %d heard %d, want %d", i, heard[i], want)
			}
		}
		cancel()
		for range ends {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
