package clocktest

import (
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
)

// Time that passes moves both forms; a step moves the time of day alone.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]*Clock{"running": Running(), "stopped": Stopped(1_764_000_000_000_000)} {
			now, mono := c.Now(), c.Mono()
			moved := func() (time.Duration, time.Duration) {
				return time.Duration(c.Now()-now) * time.Microsecond, c.Mono().Sub(mono)
			}
			c.Pass(time.Minute)
			if day, life := moved(); day != time.Minute || life != time.Minute {
				t.Errorf("%s: after a minute: %s, %s", name, day, life)
			}
			c.Step(-time.Hour)
			if day, life := moved(); day != time.Minute-time.Hour || life != time.Minute {
				t.Errorf("%s: after a step back: %s, %s", name, day, life)
			}
		}
	})
}

// A moment lies after the zero Moment and moves with time, in a bubble and
// outside of one.
func TestSystem(t *testing.T) {
	check := func(t *testing.T) {
		t.Helper()
		c := clock.System()
		began := c.Mono()
		if began < clock.Moment(10*365*24*time.Hour) {
			t.Errorf("a reading of %d is not long after the zero Moment", began)
		}
		<-time.After(time.Millisecond)
		if took := c.Mono().Sub(began); took < time.Millisecond {
			t.Errorf("a millisecond is %s", took)
		}
		if c.Now() < gotong.InstantOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("the time of day is %s", c.Now())
		}
		if later := began.Add(time.Second); later.Time().Sub(began.Time()) != time.Second {
			t.Error("a second is not one between two time.Time")
		}
	}
	t.Run("outside", check)
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, check) })
}
