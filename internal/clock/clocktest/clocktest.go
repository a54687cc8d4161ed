// Package clocktest has clocks that tests set and move.
package clocktest

import (
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
)

// Clock is a clock in the hands of a test. It is safe for concurrent use.
type Clock struct {
	now  func() gotong.Instant
	mono func() clock.Moment

	stepped atomic.Int64 // the time of day beside the machine's or the start
	passed  atomic.Int64 // and what Pass added to both forms
}

// Running is a clock that runs on by itself as the machine's does, or the time
// in a bubble of testing/synctest.
func Running() *Clock { return Showing(clock.System().Now) }

// Showing is a clock with a time of day of the test's own making; its moments
// are the machine's.
func Showing(now func() gotong.Instant) *Clock { return &Clock{now: now, mono: clock.System().Mono} }

// Stopped is a clock that shows this time of day and moves only by Pass and
// Step.
func Stopped(at gotong.Instant) *Clock {
	return &Clock{
		now:  func() gotong.Instant { return at },
		mono: func() clock.Moment { return clock.Moment(60 * 365 * 24 * time.Hour) },
	}
}

// Now implements [clock.Clock].
func (c *Clock) Now() gotong.Instant {
	return c.now().Add(time.Duration(c.stepped.Load() + c.passed.Load()))
}

// Mono implements [clock.Clock].
func (c *Clock) Mono() clock.Moment { return c.mono().Add(time.Duration(c.passed.Load())) }

// Pass lets time pass: both forms move. d is not negative.
func (c *Clock) Pass(d time.Duration) { c.passed.Add(int64(d)) }

// Step sets the time of day forward, or back, while no time passes.
func (c *Clock) Step(d time.Duration) { c.stepped.Add(int64(d)) }

// Steps are the ways in which every test of deadlines and silence sets the
// time of day, each a list of steps one after the other.
func Steps() map[string][]time.Duration {
	const week = 7 * 24 * time.Hour
	return map[string][]time.Duration{
		"back an hour":            {-time.Hour},
		"forward 61 s":            {61 * time.Second},
		"forward a week and back": {week, -week},
	}
}
