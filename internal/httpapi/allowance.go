package httpapi

import (
	"context"
	"errors"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// Limiter spends allowances by key, for what does not come as a request:
// commands over a WebSocket. It is safe for concurrent use.
type Limiter struct{ buckets *limiter }

// NewLimiter gives every key this rate; a zero Rate is no limit. Name tells it
// from the other limits that nodes share; a nil shared is of this node alone.
func NewLimiter(name string, r Rate, shared Shared) *Limiter {
	return &Limiter{newLimiter(name, r, shared)}
}

// Take spends one of the key's allowance; where there is none left, it says
// how long to wait.
func (l *Limiter) Take(ctx context.Context, key string, now clock.Moment) (ok bool, wait time.Duration) {
	var spent *limited
	if err := l.buckets.allow(ctx, key, now); errors.As(err, &spent) {
		return false, max(time.Millisecond, spent.wait)
	}
	return true, 0
}
