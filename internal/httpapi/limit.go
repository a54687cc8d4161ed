package httpapi

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/clock"
)

// Rate is a number of requests per second and at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Limits bound requests. A zero Rate is no limit.
type Limits struct {
	User    Rate // per user, on authenticated routes
	Address Rate // per client address (an IPv6 /64 is one address), on all
	Strict  Rate // per client address, on routes where a password is guessed
	Login   Rate // per login, for those of them where a token proves that it was there before

	Shared Shared // nil: the limits are of this node
}

// Shared spends up to want of an allowance that all nodes share, by the name of
// the limit and a key. It returns the number granted or, with 0, the time to
// wait. It returns an error if that is unknown; the node's own bucket then
// decides alone. It must return soon.
type Shared func(ctx context.Context, name, key string, r Rate, want int) (given int, wait time.Duration, err error)

// maxBuckets bounds the keys that a limiter remembers.
const maxBuckets = 65536

// Limiter holds one token bucket per key, up to maxBuckets. If nodes share
// allowances, both must have a token: the node's own bucket keeps a flood from
// the other nodes, and decides alone while they cannot be asked. It is safe for
// concurrent use.
type Limiter struct {
	name   string
	rate   Rate
	shared Shared
	crowd  bool // many clients may share one key
	mu     sync.Mutex
	keys   map[string]*bucket
}

// bucket is what one key has left, and what was fetched for it in advance.
type bucket struct {
	*rate.Limiter
	fetched int
	till    time.Time // when fetched expires
}

const (
	// fetchLife is how long fetched tokens can be spent.
	fetchLife = time.Second
	// fetchShare is the divisor of the burst that is fetched at once, so that
	// not every request asks.
	fetchShare = 20
)

// NewLimiter returns a Limiter with this rate for each key; a zero Rate is no
// limit. Name distinguishes it from the other limits that nodes share. If
// shared is nil, the limit applies to this node alone.
func NewLimiter(name string, r Rate, shared Shared) *Limiter {
	return &Limiter{name: name, rate: r, shared: shared, keys: map[string]*bucket{}}
}

// newCrowdLimiter returns a limiter whose keys are addresses, each of which may
// serve many clients. Their Retry-After is spread over the time in which the
// bucket fills, so that they do not all return at once.
func newCrowdLimiter(name string, r Rate, shared Shared) *Limiter {
	l := NewLimiter(name, r, shared)
	l.crowd = true
	return l
}

// Take spends one token of the key. If there is none, it returns false and the
// time to wait.
func (l *Limiter) Take(ctx context.Context, key string, now clock.Moment) (ok bool, wait time.Duration) {
	if l.rate.PerSecond <= 0 || key == "" {
		return true, 0
	}
	wait, ask := l.own(key, now.Time())
	if wait == 0 && ask {
		wait = l.ask(ctx, key, now.Time())
	}
	if wait == 0 {
		return true, 0
	}
	if l.crowd {
		wait += time.Duration(rand.Float64() * float64(l.rate.Burst) / l.rate.PerSecond * float64(time.Second)) //nolint:gosec // no secret
	}
	return false, max(time.Millisecond, wait)
}

// allow is Take with an error that contains the wait.
func (l *Limiter) allow(ctx context.Context, key string, now clock.Moment) error {
	if ok, wait := l.Take(ctx, key, now); !ok {
		return auth.Later(wait, "Too many requests; send fewer.")
	}
	return nil
}

// own spends one token of this node's bucket, or returns the wait; ask reports
// that the other nodes must be asked too.
func (l *Limiter) own(key string, now time.Time) (wait time.Duration, ask bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.keys[key]
	if !ok {
		l.makeRoom(now)
		b = &bucket{Limiter: rate.NewLimiter(rate.Limit(l.rate.PerSecond), max(1, l.rate.Burst))}
		l.keys[key] = b
	}
	if !b.AllowN(now, 1) {
		missing := (1 - b.TokensAt(now)) / l.rate.PerSecond
		return max(1, time.Duration(missing*float64(time.Second))), false
	}
	if b.fetched > 0 && now.Before(b.till) {
		b.fetched--
		return 0, false
	}
	return 0, l.shared != nil
}

// ask fetches some of the shared allowance, or returns the wait.
func (l *Limiter) ask(ctx context.Context, key string, now time.Time) time.Duration {
	given, wait, err := l.shared(ctx, l.name, key, l.rate, max(1, l.rate.Burst/fetchShare))
	switch {
	case err != nil:
		return 0
	case given == 0:
		return max(1, wait)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.keys[key]; ok && given > 1 {
		b.fetched, b.till = given-1, now.Add(fetchLife)
	}
	return 0
}

// makeRoom drops full buckets, which equal absent ones. If none of those looked
// at is full, it drops one that is not. Map order makes both random.
func (l *Limiter) makeRoom(now time.Time) {
	const look = 16
	if len(l.keys) < maxBuckets {
		return
	}
	seen := 0
	for key, b := range l.keys {
		seen++
		if b.TokensAt(now) >= float64(b.Burst()) || seen == look {
			delete(l.keys, key)
		}
		if seen == look {
			return
		}
	}
}
