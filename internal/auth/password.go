package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth/argon"
	"gotong.dev/gotong/internal/clock"
)

// DefaultCost is OWASP's minimum for argon2id: 19 MiB, two passes, one thread.
var DefaultCost = argon.Cost{MemoryKiB: 19 << 10, Time: 2, Threads: 1}

const (
	saltLen = 16
	hashLen = 32
)

// passwords hashes and checks passwords. It bounds how many are hashed at once, on
// half of the processors at most, because each one takes memory and time.
type passwords struct {
	cost    argon.Cost
	keys    *argon.Pool
	slots   chan struct{}
	queue   int64
	waiting atomic.Int64
	now     func() clock.Moment
	busy    func() bool
	observe Observer
	dummy   string // the hash that is checked if there is no account
}

func newPasswords(o *Options, keys *argon.Pool) *passwords {
	return &passwords{
		cost: o.Cost, keys: keys, slots: make(chan struct{}, o.Hashes), queue: int64(o.Queue),
		now: o.Clock.Mono, busy: o.Busy, observe: o.Observer,
		dummy: format(o.Cost, random(saltLen), random(hashLen)),
	}
}

// Hash returns the PHC string of a password.
func (p *passwords) Hash(ctx context.Context, pass string) (string, error) {
	var text string
	err := p.inTurn(ctx, func() {
		salt := random(saltLen)
		text = format(p.cost, salt, p.keys.Key(p.cost, pass, salt, hashLen))
	})
	return text, err
}

// Check reports whether the password is the one of a PHC string, with the parameters
// in that string. For an empty string it takes as long and reports false.
func (p *passwords) Check(ctx context.Context, pass, phc string) (bool, error) {
	known := phc != ""
	if !known {
		phc = p.dummy
	}
	cost, salt, want, err := parsePHC(phc)
	if err != nil {
		return false, err
	}
	same := false
	err = p.inTurn(ctx, func() {
		same = subtle.ConstantTimeCompare(p.keys.Key(cost, pass, salt, len(want)), want) == 1
	})
	return same && known, err
}

// inTurn runs work when a slot is free. It returns an error, without running work,
// if too many callers wait already or ctx ends.
func (p *passwords) inTurn(ctx context.Context, work func()) error {
	if p.waiting.Add(1) > p.queue+int64(cap(p.slots)) {
		p.waiting.Add(-1)
		return Later(2*time.Second+spread(8*time.Second), "Too many users are signing in at once; try again in a moment.")
	}
	p.observe.HashWaiting(1)
	defer func() { p.waiting.Add(-1) }()
	select {
	case p.slots <- struct{}{}:
		p.observe.HashWaiting(-1)
	case <-ctx.Done():
		p.observe.HashWaiting(-1)
		return gotong.NewError(gotong.CodeBusy, "The request ended before its turn came.")
	}
	defer func() { <-p.slots }()
	p.yield(ctx)
	from := p.now()
	work()
	p.observe.Hashed(p.now().Sub(from))
	return nil
}

const (
	// yieldStep is how often a hash that waits checks whether it may begin.
	yieldStep = 2 * time.Millisecond
	// maxYield bounds how long a hash waits for posts, so that users can still sign
	// in to a server that always has posts.
	maxYield = 100 * time.Millisecond
)

// yield waits for commands in progress: a hash occupies a processor for longer than
// a whole post, and cannot be interrupted.
func (p *passwords) yield(ctx context.Context) {
	for waited := time.Duration(0); waited < maxYield && p.busy(); waited += yieldStep {
		select {
		case <-time.After(yieldStep):
		case <-ctx.Done():
			return
		}
	}
}

// spread returns a random part of d, so that many clients that were rejected at once
// do not return at once.
func spread(d time.Duration) time.Duration { return rand.N(d) } //nolint:gosec // no secret

// format returns the PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func format(c argon.Cost, salt, hash []byte) string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.MemoryKiB, c.Time, c.Threads,
		enc.EncodeToString(salt), enc.EncodeToString(hash))
}

var errPHC = errors.New("auth: a stored password hash cannot be read")

// parsePHC reads what format writes, within bounds: a stored string must not make
// the server use any amount of memory or time.
func parsePHC(s string) (c argon.Cost, salt, hash []byte, err error) {
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errPHC
	}
	if _, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &c.MemoryKiB, &c.Time, &c.Threads); err != nil {
		return c, nil, nil, errPHC
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(part[4])
	hash, err2 := base64.RawStdEncoding.DecodeString(part[5])
	bounded := c.MemoryKiB >= 8 && c.MemoryKiB <= 256<<10 && c.Time >= 1 && c.Time <= 16 &&
		c.Threads >= 1 && c.Threads <= 8 && len(salt) >= 8 && len(salt) <= 64 && len(hash) >= 16 && len(hash) <= 64
	if err1 != nil || err2 != nil || !bounded || format(c, salt, hash) != s {
		return c, nil, nil, errPHC
	}
	return c, salt, hash, nil
}
