package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// guessesName is the collection of the tries that nodes count together.
const guessesName = "auth_guesses"

// maxGuesses bounds how many keys one node counts in memory.
const maxGuesses = 16384

// guesses slows down clients that guess: after the free tries of a key, which is
// an account or an address, the next one must wait for a first pause, and each further
// one twice as long, up to longest. A node counts in memory, and nodes that share
// a store also count in registers, so that more nodes do not mean more tries. The
// names of registers are MACs: they show neither accounts nor addresses.
type guesses struct {
	space   string
	free    int
	first   time.Duration // the first pause
	longest time.Duration
	shared  Store // nil if no other node uses the store
	derive  func(fields ...string) []byte
	clock   clock.Clock

	mu   sync.Mutex
	here map[[16]byte]tries
}

// tries are those of one key that count.
type tries struct {
	n    int
	last clock.Moment
}

type guess struct {
	Tries int            `json:"tries"`
	Last  gotong.Instant `json:"last"`
}

// addressKey returns the key of an address: for IPv6 its /64, because one
// subscriber has as many addresses as that.
func addressKey(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

// wait returns how long the key must wait before its next try; 0 if it need not.
func (g *guesses) wait(ctx context.Context, key string) (wait time.Duration, err error) {
	err = g.update(ctx, key, func(t *tries, now clock.Moment) bool {
		wait = g.left(*t, now)
		return wait == 0
	})
	return wait, err
}

// count counts a try of the key, unless the key must wait: then it returns how
// long.
func (g *guesses) count(ctx context.Context, key string) (wait time.Duration, err error) {
	err = g.update(ctx, key, func(t *tries, now clock.Moment) bool {
		if wait = g.left(*t, now); wait > 0 {
			return false
		}
		if g.forgotten(*t, now) {
			t.n = 0
		}
		*t = tries{t.n + 1, now}
		return true
	})
	if errors.Is(err, store.ErrConflict) {
		return time.Second, nil // so many at once are guesses
	}
	return wait, err
}

// clear forgets all tries of the key. If the register cannot be deleted, the
// pause after further failures is longer than it need be.
func (g *guesses) clear(ctx context.Context, key string) {
	_ = g.update(ctx, key, func(t *tries, _ clock.Moment) bool {
		t.n = 0
		return true
	})
}

// undo takes back one try that was counted and was no guess.
func (g *guesses) undo(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = g.update(ctx, key, func(t *tries, _ clock.Moment) bool {
		t.n = max(0, t.n-1)
		return true
	})
}

// update applies change to what this node counted for the key and then, if change
// returns true, to what all nodes counted.
func (g *guesses) update(ctx context.Context, key string, change func(t *tries, now clock.Moment) bool) error {
	if !g.updateHere(key, change) || g.shared == nil {
		return nil
	}
	register := gotong.Key{Collection: guessesName, Owner: g.space, Name: hex.EncodeToString(g.derive("guess", g.space, key)[:16])}
	return retry(func() error {
		var old guess
		version, err := load(ctx, g.shared, register, &old)
		if err != nil {
			return err
		}
		now, mono := g.clock.Now(), g.clock.Mono()
		// A try in the future was stored by a clock that was ahead. It counts as one
		// of now and is stored as such; otherwise its pause would last until then.
		t := tries{old.Tries, mono.Add(-now.Sub(min(old.Last, now)))}
		change(&t, mono)
		switch next := (guess{t.n, now.Add(-mono.Sub(t.last))}); {
		case t.n == 0 && version == 0, next == old:
			return nil
		case t.n == 0:
			return g.shared.SetRegister(ctx, register, version, nil, 0)
		default:
			return save(ctx, g.shared, register, version, next, now.Add(4*g.longest))
		}
	})
}

func (g *guesses) updateHere(key string, change func(t *tries, now clock.Moment) bool) bool {
	sum, now := sha256.Sum256([]byte(key)), g.clock.Mono()
	k := [16]byte(sum[:16])
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.here[k]
	ok := change(&t, now)
	if delete(g.here, k); t.n > 0 {
		g.makeRoom(now)
		g.here[k] = t
	}
	return ok
}

// left returns how long a key must still wait: the first pause after the last free
// try, then 2, 4, 8 … times as long.
func (g *guesses) left(t tries, now clock.Moment) time.Duration {
	if t.n < g.free {
		return 0
	}
	pause := min(g.first<<min(t.n-g.free, 20), g.longest)
	return max(0, t.last.Add(pause).Sub(now))
}

// forgotten reports whether tries no longer count: after four times the longest
// pause.
func (g *guesses) forgotten(t tries, now clock.Moment) bool {
	return now >= t.last.Add(4*g.longest)
}

// makeRoom drops keys that are forgotten. If none of 16 random ones is, it drops
// the last of those.
func (g *guesses) makeRoom(now clock.Moment) {
	if len(g.here) < maxGuesses {
		return
	}
	seen := 0
	for k, t := range g.here { // in random order
		if seen++; seen == 16 || g.forgotten(t, now) {
			delete(g.here, k)
		}
		if seen == 16 {
			return
		}
	}
}
