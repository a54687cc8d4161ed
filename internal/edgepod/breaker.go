package edgepod

import (
	"sync"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// The bulkhead and the breaker of one contract.
const (
	inFlight  = 4 // calls at once
	failures  = 5 // in a row open the breaker
	openedFor = 15 * time.Second
)

// breaker keeps the calls of one contract from waiting for a provider that is slow or
// down, and from taking the places of other contracts.
type breaker struct {
	mu     sync.Mutex
	inside int
	failed int          // in a row
	opened clock.Moment // when the breaker opened, or a probe began
}

// enter reports whether a call may begin; then leave must follow. An open breaker
// lets one probe pass in 15 s.
func (k *breaker) enter(now clock.Moment) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed >= failures {
		if now.Sub(k.opened) < openedFor {
			return false
		}
		k.opened = now
	}
	if k.inside >= inFlight {
		return false
	}
	k.inside++
	return true
}

// leave ends a call. A call whose caller left says nothing of the provider.
func (k *breaker) leave(now clock.Moment, failed, left bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inside--
	switch {
	case left:
	case failed:
		if k.failed++; k.failed >= failures {
			k.opened = now
		}
	default:
		k.failed = 0
	}
}

// versions bounds the values of a label that providers choose.
type versions struct {
	mu    sync.Mutex
	known map[string]bool
}

const maxVersions = 16

func (v *versions) label(version string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil {
		v.known = map[string]bool{}
	}
	if !v.known[version] && len(v.known) >= maxVersions {
		return "other"
	}
	v.known[version] = true
	return version
}
