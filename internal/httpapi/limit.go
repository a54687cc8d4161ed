package httpapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gotong.dev/gotong"
)

// Rate is how many requests a second, and how many at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Limits bound requests. A zero Rate is no limit.
type Limits struct {
	User    Rate // per user, on authenticated routes
	Address Rate // per client address (an IPv6 /64 is one address), on all
	Strict  Rate // per client address, on routes where a password is guessed
}

// maxBuckets bounds how many keys a limiter remembers.
const maxBuckets = 65536

// limiter holds one token bucket per key, as many as maxBuckets.
type limiter struct {
	rate Rate
	mu   sync.Mutex
	keys map[string]*rate.Limiter
}

func newLimiter(r Rate) *limiter { return &limiter{rate: r, keys: map[string]*rate.Limiter{}} }

// allow takes one token of the key, or tells when there will be one.
func (l *limiter) allow(key string, now time.Time) error {
	if l.rate.PerSecond <= 0 || key == "" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.keys[key]
	if !ok {
		l.makeRoom(now)
		bucket = rate.NewLimiter(rate.Limit(l.rate.PerSecond), max(1, l.rate.Burst))
		l.keys[key] = bucket
	}
	if bucket.AllowN(now, 1) {
		return nil
	}
	missing := (1 - bucket.TokensAt(now)) / l.rate.PerSecond
	return &limited{
		err:  gotong.NewError(gotong.CodeRateLimited, "Too many requests; slow down."),
		wait: time.Duration(missing * float64(time.Second)),
	}
}

// makeRoom forgets full buckets, which hold nothing against anybody; where none
// of those looked at is full, one goes that is not. Map order makes both random.
func (l *limiter) makeRoom(now time.Time) {
	const look = 16
	if len(l.keys) < maxBuckets {
		return
	}
	seen := 0
	for key, bucket := range l.keys {
		seen++
		if bucket.TokensAt(now) >= float64(bucket.Burst()) || seen == look {
			delete(l.keys, key)
		}
		if seen == look {
			return
		}
	}
}
