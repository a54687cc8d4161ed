package surreal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// MaxSkew is the largest difference between a node's clock and the database's at
// which the node accepts writes. Beyond it, the instants of several nodes would
// contradict each other.
const MaxSkew = 2 * time.Second

const clockEvery = 15 * time.Second

// skew compares this node's clock with the database's.
type skew struct {
	now func() gotong.Instant // nil: never compared

	mu  sync.Mutex
	err error
}

// fault returns why the clock forbids writing; nil if it does not.
func (c *skew) fault() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *skew) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// Time returns the time of the database's clock.
func (s *Store) Time(ctx context.Context) (gotong.Instant, error) {
	var micros int64
	err := s.db.Select(ctx, "RETURN time::micros(time::now())", nil, &micros)
	return gotong.Instant(micros), failure(err)
}

// checkClock compares this node's clock with the database's. It returns
// [store.ErrClock] if the difference exceeds MaxSkew wherever, between question
// and answer, the database read its clock.
func (s *Store) checkClock(ctx context.Context) error {
	if s.clock.now == nil {
		return nil
	}
	before := s.clock.now()
	theirs, err := s.Time(ctx)
	if err != nil {
		return err
	}
	after := s.clock.now()
	err = nil
	if skew := max(before-theirs, theirs-after); skew > gotong.Instant(MaxSkew.Microseconds()) {
		ahead := time.Duration(before+(after-before)/2-theirs) * time.Microsecond
		err = fmt.Errorf("%w: by %s; set this machine's clock by NTP", store.ErrClock, ahead.Round(100*time.Millisecond))
	}
	s.clock.set(err)
	return err
}

// keep compares the clocks and deletes expired registers until the store is
// closed. A comparison without an answer changes nothing, because a database that
// does not answer writes nothing either.
func (s *Store) keep() {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			ctx, cancel := context.WithTimeout(s.ctx, clockEvery)
			_ = store.Guard(func() error {
				_ = s.checkClock(ctx) // kept in the clock
				s.clear(ctx)
				return nil
			})
			cancel()
		case <-s.ctx.Done():
			return
		}
	}
}
