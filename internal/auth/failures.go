package auth

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// maxFailures bounds how many keys one table remembers.
const maxFailures = 16384

// failures slows down who guesses: after a few free tries each further one
// must wait twice as long, up to a limit. A key is an address or an account.
type failures struct {
	free    int
	longest time.Duration

	mu   sync.Mutex
	keys map[[16]byte]failure
}

// failure is what is held against a key.
type failure struct {
	tries int
	last  clock.Moment
}

func newFailures(free int, longest time.Duration) *failures {
	return &failures{free: free, longest: longest, keys: map[[16]byte]failure{}}
}

// addressKey is what is counted of an address: a whole /64 of IPv6, because
// one subscriber has that many.
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

func failureKey(s string) [16]byte {
	sum := sha256.Sum256([]byte(s))
	return [16]byte(sum[:16])
}

// wait is how long the key has to wait now; 0 where it may go on.
func (f *failures) wait(key string, now clock.Moment) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(0, f.left(f.keys[failureKey(key)], now))
}

// count holds an attempt against the key, unless it has to wait: then it
// returns how long.
func (f *failures) count(key string, now clock.Moment) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := failureKey(key)
	old := f.keys[k]
	if wait := f.left(old, now); wait > 0 {
		return wait
	}
	if f.forgotten(old, now) {
		old.tries = 0
	}
	f.makeRoom(now)
	f.keys[k] = failure{old.tries + 1, now}
	return 0
}

// succeeded takes everything back that is held against the key.
func (f *failures) succeeded(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.keys, failureKey(key))
}

// undo takes one counted attempt back, which was none.
func (f *failures) undo(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := failureKey(key)
	if old, ok := f.keys[k]; ok && old.tries > 0 {
		old.tries--
		f.keys[k] = old
	}
}

// left is how long a key still has to wait: 1 s after the last free try, then
// 2, 4, 8 …
func (f *failures) left(e failure, now clock.Moment) time.Duration {
	if e.tries < f.free {
		return 0
	}
	pause := min(time.Second<<min(e.tries-f.free, 20), f.longest)
	return e.last.Add(pause).Sub(now)
}

// forgotten: after four times the longest pause nothing is held any more.
func (f *failures) forgotten(e failure, now clock.Moment) bool {
	return now >= e.last.Add(4*f.longest)
}

// makeRoom drops what is forgotten; where all of some entries looked at still
// count, one of them goes. Map order makes them random.
func (f *failures) makeRoom(now clock.Moment) {
	if len(f.keys) < maxFailures {
		return
	}
	const look = 16
	seen := 0
	for k, e := range f.keys {
		seen++
		if f.forgotten(e, now) || seen == look {
			delete(f.keys, k)
		}
		if seen == look {
			return
		}
	}
}
