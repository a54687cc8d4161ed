// Package clock is the time as one process has it, in two forms that must not
// be mixed: the time of day, which may be set forward and back while the
// process runs, and a moment, which only moves forward.
//
// What is stored, shared with other nodes or shown to people is an instant of
// the time of day. A duration within the process lies between two moments.
//
// # Caveats
//
// A moment means nothing outside its process: it is neither stored nor sent,
// and it cannot be compared with an instant.
package clock

import (
	"context"
	"time"

	"gotong.dev/gotong"
)

// Clock is the time of a process. It is safe for concurrent use.
type Clock interface {
	// Now is the time of day.
	Now() gotong.Instant

	// Mono is the present moment.
	Mono() Moment
}

// Moment is a point in the life of one process, in nanoseconds. The zero
// Moment lies decades before any reading, so that it can stand for "never".
type Moment int64

// Add moves the moment by d.
func (m Moment) Add(d time.Duration) Moment { return m + Moment(d) }

// Sub is the time from an earlier moment to m.
func (m Moment) Sub(earlier Moment) time.Duration { return time.Duration(m - earlier) }

// Time is the moment for libraries that measure durations between two
// time.Time. It is no date.
func (m Moment) Time() time.Time { return time.Unix(0, int64(m)) }

// System is the clock of the machine. In a bubble of testing/synctest, both of
// its forms follow the time of the bubble.
func System() Clock { return system{} }

type system struct{}

// origin is the zero Moment. It keeps the monotonic reading of time.Now, and it
// is so long ago that a bubble's time, which begins in the year 2000 and has no
// such reading, comes after it too.
var origin = time.Now().Add(-60 * 365 * 24 * time.Hour)

func (system) Now() gotong.Instant { return gotong.InstantOf(time.Now()) }

func (system) Mono() Moment { return Moment(time.Since(origin)) }

// Pause waits for d. It returns false at once where ctx ends first.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
