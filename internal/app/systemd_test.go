package app

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/store"
)

// slow is a store that answers after a time that a test sets.
type slow struct {
	store.Whole
	takes atomic.Int64 // nanoseconds
}

var errSlow = errors.New("a fault of the database")

func (s *slow) Positions(ctx context.Context) (at [16]uint64, err error) {
	select {
	case <-ctx.Done():
		return at, ctx.Err()
	case <-time.After(time.Duration(s.takes.Load())):
		return at, errSlow
	}
}

func (*slow) Failed() error { return nil }

// systemd hears of a server whose own store answers, be it with an error, and no more
// of one whose store hangs. A database of many nodes may hang: to restart them all
// would not mend it.
func TestWatchdog(t *testing.T) {
	const period = 30 * time.Second // of systemd, which hears half way
	for name, c := range map[string]struct {
		store string
		takes time.Duration
		beats int64 // in ten periods
	}{
		"an answer":           {"memory:", 0, 20},
		"a late answer":       {"memory:", period/4 - 1, 20},
		"no answer":           {"memory:", time.Hour, 0},
		"no answer of SQLite": {"sqlite:/tmp/x.db", time.Hour, 0},
		"no shared database":  {"postgres://db/gotong", time.Hour, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slow{}
				s.takes.Store(int64(c.takes))
				a := &App{cfg: config.Config{Store: c.store}, store: s, log: slog.New(slog.DiscardHandler)}
				a.base, a.stop = context.WithCancel(t.Context())
				var beats atomic.Int64
				ended := make(chan error)
				go func() { ended <- a.watchdog(period/2, func() { beats.Add(1) }) }()
				time.Sleep(10*period + period/3)
				synctest.Wait()
				if beats := beats.Swap(0); beats != c.beats {
					t.Errorf("%d signs of life, want %d", beats, c.beats)
				}
				s.takes.Store(0) // it answers again
				time.Sleep(period)
				synctest.Wait()
				if beats.Load() == 0 {
					t.Error("no sign of life of a store that answers again")
				}
				a.stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
