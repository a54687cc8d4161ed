package webhook_test

import (
	"net/http"
	"testing"
	"time"

	"gotong.dev/gotong"
	rules "gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/webhook"
)

// TestWarningsByTheHour: an attempt that fails 24, 72 or 96 hours after the first one
// warns once, one that fails at 120 hours disables, and none does a second earlier.
func TestWarningsByTheHour(t *testing.T) {
	const second = time.Second
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusUnprocessableEntity} {
		for _, c := range []struct {
			failing       time.Duration
			warned        int // before
			warnings, now int // of this attempt, and in all
			disabled      bool
		}{
			{0, 0, 0, 0, false},
			{24*time.Hour - second, 0, 0, 0, false}, {24 * time.Hour, 0, 1, 1, false}, {24 * time.Hour, 1, 0, 1, false},
			{72*time.Hour - second, 1, 0, 1, false}, {72 * time.Hour, 1, 1, 2, false}, {72 * time.Hour, 2, 0, 2, false},
			{72 * time.Hour, 0, 1, 2, false}, // this attempt passes two steps
			{96*time.Hour - second, 2, 0, 2, false}, {96 * time.Hour, 2, 1, 3, false}, {96 * time.Hour, 3, 0, 3, false}, {96 * time.Hour, 0, 1, 3, false},
			{120*time.Hour - second, 3, 0, 3, false}, {120 * time.Hour, 3, 0, 3, true}, {500 * time.Hour, 0, 0, 0, true},
		} {
			w := newWorld(t, rules.Standard)
			w.say("halo")
			w.status = status
			since := w.clock.Now().Add(-c.failing)
			w.set(gotong.Key{Collection: "webhook_states", Owner: hook.ID()}, webhook.State{Epoch: "k3f9", FailingSince: since, Warned: c.warned})
			if n := len(w.turn()); n != 1 {
				t.Fatalf("%d requests", n)
			}
			s := w.state()
			if disabled := w.hooked().Disabled == rules.Failing; disabled != c.disabled || s.Warned != c.now || len(w.warnings) != c.warnings || w.counted["warned"] != c.warnings {
				t.Errorf("%d, %v after the first failure, %d warnings before: disabled %v, warned %d, %+v; want %+v",
					status, c.failing, c.warned, disabled, s.Warned, w.warnings, c)
			}
			for _, got := range w.warnings {
				if want := (warning{"wati", hook.ID(), c.failing, webhook.DisableAfter - c.failing}); got != want {
					t.Errorf("warned %+v, want %+v", got, want)
				}
			}
		}
	}
}
