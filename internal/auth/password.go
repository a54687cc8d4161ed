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

// passwords hashes and checks passwords, so many at once and no more, on half of
// the processors at most: each takes memory and time that an attacker could
// otherwise multiply.
type passwords struct {
	cost    argon.Cost
	keys    *argon.Pool
	slots   chan struct{}
	queue   int64
	waiting atomic.Int64
	now     func() clock.Moment
	busy    func() bool
	observe Observer
	dummy   string // checked for accounts that do not exist
}

func newPasswords(o *Options, keys *argon.Pool) *passwords {
	return &passwords{
		cost: o.Cost, keys: keys, slots: make(chan struct{}, o.Hashes), queue: int64(o.Queue),
		now: o.Clock.Mono, busy: o.Busy, observe: o.Observer,
		dummy: format(o.Cost, random(saltLen), random(hashLen)),
	}
}

// Hash makes the PHC string of a password.
func (p *passwords) Hash(ctx context.Context, pass string) (string, error) {
	var text string
	err := p.gated(ctx, func() {
		salt := random(saltLen)
		text = format(p.cost, salt, p.keys.Key(p.cost, pass, salt, hashLen))
	})
	return text, err
}

// Check reports whether the password is the one of a PHC string, with the
// parameters that stand in it. An empty string takes as long and is false.
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
	err = p.gated(ctx, func() {
		same = subtle.ConstantTimeCompare(p.keys.Key(cost, pass, salt, len(want)), want) == 1
	})
	return same && known, err
}

// gated runs work when it is its turn. Where too many wait already, or the
// caller gives up, it does not run.
func (p *passwords) gated(ctx context.Context, work func()) error {
	if p.waiting.Add(1) > p.queue+int64(cap(p.slots)) {
		p.waiting.Add(-1)
		return later(2*time.Second+spread(8*time.Second), "Too many users are signing in at once; try again in a moment.")
	}
	p.observe.HashWaiting(1)
	defer func() { p.waiting.Add(-1) }()
	select {
	case p.slots <- struct{}{}:
		p.observe.HashWaiting(-1)
	case <-ctx.Done():
		p.observe.HashWaiting(-1)
		return gotong.NewError(gotong.CodeBusy, "The request was given up before its turn came.")
	}
	defer func() { <-p.slots }()
	p.yield(ctx)
	from := p.now()
	work()
	p.observe.Hashed(p.now().Sub(from))
	return nil
}

const (
	// yieldStep is how often a hash looks whether it may begin.
	yieldStep = 2 * time.Millisecond
	// maxYield is how long posting goes first, so that users can still sign in
	// to a server that always has posts.
	maxYield = 100 * time.Millisecond
)

// yield lets commands that are under way go first: a hash takes a processor for
// longer than a post takes in all, and cannot be interrupted.
func (p *passwords) yield(ctx context.Context) {
	for waited := time.Duration(0); waited < maxYield && p.busy(); waited += yieldStep {
		select {
		case <-time.After(yieldStep):
		case <-ctx.Done():
			return
		}
	}
}

// spread is a random part of d, so that many who were refused at once do not
// come back at once.
func spread(d time.Duration) time.Duration { return rand.N(d) } //nolint:gosec // no secret

// format is the PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func format(c argon.Cost, salt, hash []byte) string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.MemoryKiB, c.Time, c.Threads,
		enc.EncodeToString(salt), enc.EncodeToString(hash))
}

var errPHC = errors.New("auth: a stored password hash cannot be read")

// parsePHC reads what format writes, within bounds: a stored string must not
// make the server take any amount of memory or time.
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
