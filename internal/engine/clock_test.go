package engine_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
)

// A rule sees the clock as it is, and an instant that orders: after the
// stream's newest event, whatever the clock did. The engine reports a stream that is ahead
// of the clock.
func TestClockOfACommand(t *testing.T) {
	const start = gotong.Instant(1_764_000_000_000_000)
	for name, steps := range clocktest.Steps() {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var seen []gotong.Command
			kind, decide := tally(), tallyDecide
			kind.Decide = func(s gotong.State, c gotong.Command) (gotong.Decision, error) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, c)
				return decide(s, c)
			}
			clock := clocktest.Stopped(start)
			var ahead []time.Duration
			e := engine.New(engine.Options{
				Store: newMemory(t), Codec: store.NewCodec([]gotong.Kind{kind}), Clock: clock,
				Ahead: func(_ context.Context, stream gotong.Stream, by time.Duration) {
					if stream != one {
						t.Errorf("warned about %s", stream)
					}
					ahead = append(ahead, by)
				},
			})
			defer func() { _ = e.Close(context.Background()) }()
			newest, want := gotong.Instant(0), 0
			for i, step := range append([]time.Duration{0}, steps...) {
				clock.Step(step)
				if newest > clock.Now().Add(engine.MaxAhead) {
					want++
				}
				receipt, err := e.Execute(t.Context(), command(one, "ani", string(rune('a'+i)), add{N: 1}))
				if err != nil {
					t.Fatal(err)
				}
				c := seen[len(seen)-1]
				if c.Now != clock.Now() || c.At != gotong.NextInstant(clock.Now(), newest) || receipt.At != c.At {
					t.Errorf("step %d: now %s at %s, receipt %s; the clock shows %s", i, c.Now, c.At, receipt.At, clock.Now())
				}
				newest = receipt.At
			}
			if len(ahead) != want || want > 0 && ahead[0] < time.Hour {
				t.Errorf("warned about streams that are ahead by %v, want %d of them", ahead, want)
			}
		})
	}
}
