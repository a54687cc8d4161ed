// Package trouble logs states of a server that its operator should know of, such as a full
// disk: one line when the state begins and one when it has ended, however many requests meet
// it in between.
package trouble

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// State is a state that lasts. Its exported fields are set before its first use, and it is
// safe for concurrent use.
type State struct {
	Log   *slog.Logger
	Clock clock.Clock

	Begins string     // the line at the beginning
	Level  slog.Level // of that line
	Ends   string     // the line at the end, a warning like the other one, with took_ms

	// Rest is how long the state must not have been met before it ends: a disk that is almost
	// full takes some writes and rejects others.
	Rest time.Duration

	on    atomic.Bool
	mu    sync.Mutex // guards what follows, and changes of on
	since clock.Moment
	last  clock.Moment
}

// Met notes that the state holds. Where it begins, it logs the attributes too.
func (s *State) Met(ctx context.Context, attrs ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = s.Clock.Mono()
	if !s.on.Swap(true) {
		s.since = s.last
		s.Log.Log(ctx, s.Level, s.Begins, attrs...) //nolint:sloglint // a constant of the state
	}
}

// Over notes that the state was looked for and does not hold.
func (s *State) Over(ctx context.Context) {
	if !s.on.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Clock.Mono()
	if s.on.Load() && now.Sub(s.last) >= s.Rest {
		s.on.Store(false)
		s.Log.WarnContext(ctx, s.Ends, "took_ms", now.Sub(s.since).Milliseconds()) //nolint:sloglint // as above
	}
}

// Set calls Met or Over.
func (s *State) Set(ctx context.Context, holds bool, attrs ...any) {
	if holds {
		s.Met(ctx, attrs...)
	} else {
		s.Over(ctx)
	}
}
