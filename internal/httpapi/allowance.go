package httpapi

import (
	"context"
	"errors"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// Limiter spends allowances by key for commands over a WebSocket, which are not
// requests. It is safe for concurrent use.
type Limiter struct{ buckets *limiter }

// NewLimiter returns a Limiter with this rate for each key; a zero Rate is no
// limit. Name distinguishes it from the other limits that nodes share. If
// shared is nil, the limit applies to this node alone.
func NewLimiter(name string, r Rate, shared Shared) *Limiter {
	return &Limiter{newLimiter(name, r, shared)}
}

// Take spends one of the key's allowance. If nothing is left, it returns false
// and the time to wait.
func (l *Limiter) Take(ctx context.Context, key string, now clock.Moment) (ok bool, wait time.Duration) {
	err := l.buckets.allow(ctx, key, now)
	if err == nil {
		return true, 0
	}
	if spent, ok := errors.AsType[*limited](err); ok {
		return false, max(time.Millisecond, spent.wait)
	}
	return true, 0
}
