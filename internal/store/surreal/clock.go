package surreal

import (
	"context"

	"gotong.dev/gotong"
)

// ClockFault returns why the node's clock forbids writing; nil if it does not.
func (s *Store) ClockFault() error { return s.clock.Fault() }

// Time returns the time of the database's clock.
func (s *Store) Time(ctx context.Context) (gotong.Instant, error) {
	var micros int64
	err := s.db.Select(ctx, "RETURN time::micros(time::now())", nil, &micros)
	return gotong.Instant(micros), failure(err)
}

func (s *Store) checkClock(ctx context.Context) error { return s.clock.Compare(ctx, s.Time) }
