package auth

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// guessesName is the collection of what is held against accounts and addresses
// where several nodes share the store.
const guessesName = "auth_guesses"

// guesses slows down who guesses, on all nodes together: each asks its own
// memory first, and where the store is shared also a register, so that more
// nodes are not more tries. Registers are named by a MAC of the key.
type guesses struct {
	*failures
	space  string
	shared Store // nil where this node is the only one
	name   func(fields ...string) []byte
	clock  clock.Clock
}

// guess is the register of one key.
type guess struct {
	Tries int            `json:"tries"`
	Last  gotong.Instant `json:"last"`
}

func (g *guesses) key(key string) gotong.Key {
	return gotong.Key{Collection: guessesName, Owner: g.space, Name: hex.EncodeToString(g.name("guess", g.space, key)[:16])}
}

// held reads what is held against a key, and the version of its register. A
// try in the future was stored by a clock that ran ahead: it counts as of now,
// and is stored so, because the pause after it would not end before that clock's
// time has come.
func (g *guesses) held(ctx context.Context, key string) (failure, uint64, error) {
	var held guess
	version, err := load(ctx, g.shared, g.key(key), &held)
	if err != nil || version == 0 {
		return failure{}, 0, err
	}
	now, mono := g.clock.Now(), g.clock.Mono()
	if held.Last <= now {
		return failure{held.Tries, mono.Add(-time.Duration(now-held.Last) * time.Microsecond)}, version, nil
	}
	switch err := g.hold(ctx, key, version, held.Tries); {
	case err == nil:
		version++
	case !errors.Is(err, store.ErrConflict): // another node did it
		return failure{}, 0, store.CodedWrite(err)
	}
	return failure{held.Tries, mono}, version, nil
}

// hold writes so many tries, the last of them now.
func (g *guesses) hold(ctx context.Context, key string, version uint64, tries int) error {
	now := g.clock.Now()
	return save(ctx, g.shared, g.key(key), version, guess{Tries: tries, Last: now}, now.Add(4*g.longest))
}

// wait is how long the key has to wait now; 0 where it may go on.
func (g *guesses) wait(ctx context.Context, key string) (time.Duration, error) {
	now := g.clock.Mono()
	wait := g.failures.wait(key, now)
	if wait > 0 || g.shared == nil {
		return wait, nil
	}
	held, _, err := g.held(ctx, key)
	return max(0, g.left(held, now)), err
}

// count holds an attempt against the key, unless it has to wait: then it
// returns how long.
func (g *guesses) count(ctx context.Context, key string) (time.Duration, error) {
	now := g.clock.Mono()
	wait := g.failures.count(key, now)
	if wait > 0 || g.shared == nil {
		return wait, nil
	}
	for range maxTries {
		held, version, err := g.held(ctx, key)
		if err != nil {
			return 0, err
		}
		if wait := g.left(held, now); wait > 0 {
			return wait, nil
		}
		if g.forgotten(held, now) {
			held.tries = 0
		}
		err = g.hold(ctx, key, version, held.tries+1)
		if !errors.Is(err, store.ErrConflict) {
			return 0, store.CodedWrite(err)
		}
	}
	return time.Second, nil // so many at once are guesses
}

// succeeded takes everything back that is held against the key. Where the
// register stays, the pause after further failures is longer than it need be.
func (g *guesses) succeeded(ctx context.Context, key string) {
	g.failures.succeeded(key)
	if g.shared == nil {
		return
	}
	if _, version, err := g.held(ctx, key); err == nil && version > 0 {
		_ = g.shared.SetRegister(ctx, g.key(key), version, nil, 0)
	}
}

// undo takes one counted attempt back, which was none.
func (g *guesses) undo(ctx context.Context, key string) {
	g.failures.undo(key)
	if g.shared == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if held, version, err := g.held(ctx, key); err == nil && held.tries > 0 {
		_ = g.hold(ctx, key, version, held.tries-1)
	}
}
