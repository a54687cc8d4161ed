package surreal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// MaxSkew is how far a node's clock may be from the database's: beyond it the
// node takes no writes, because instants of several nodes would not fit
// together.
const MaxSkew = 2 * time.Second

// clockEvery is how often the clocks are compared.
const clockEvery = 15 * time.Second

// clock compares this node's clock with the database's.
type clock struct {
	now func() gotong.Instant // nil: never compared

	mu  sync.Mutex
	err error
}

// fault is why the clock forbids writing; nil where it does not.
func (c *clock) fault() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *clock) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// Time is what the database's clock says, in the middle of the question and
// the answer.
func (s *Store) Time(ctx context.Context) (gotong.Instant, error) {
	var micros int64
	err := s.db.Select(ctx, "RETURN time::micros(time::now())", nil, &micros)
	return gotong.Instant(micros), failure(err)
}

// checkClock asks for the database's time. It fails where the difference is
// certain: what the question took is in nobody's favour.
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

// keep compares the clocks and clears up until the store is closed. A question
// without an answer changes nothing: without the database there are no writes
// either.
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
