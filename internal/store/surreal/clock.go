package surreal

import (
	"context"

	"gotong.dev/gotong"
)

// Time returns the time of the database's clock.
func (s *Store) Time(ctx context.Context) (gotong.Instant, error) {
	var micros int64
	err := s.db.Select(ctx, "RETURN time::micros(time::now())", nil, &micros)
	return gotong.Instant(micros), failure(err)
}

func (s *Store) checkClock(ctx context.Context) error { return s.Clock.Compare(ctx, s.Time) }
