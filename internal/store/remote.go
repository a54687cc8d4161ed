package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
)

// MaxSkew is the largest difference between a node's clock and the database's at
// which the node accepts writes. Beyond it, the instants of several nodes would
// contradict each other.
const MaxSkew = 2 * time.Second

// Skew compares a node's clock with the database's. With a nil Now it compares
// nothing.
type Skew struct {
	Now func() gotong.Instant

	mu  sync.Mutex
	err error
}

// Fault returns the [ErrClock] that forbids writing; nil if there is none.
func (c *Skew) Fault() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Compare asks the database for its time. It returns [ErrClock] if the difference
// exceeds [MaxSkew] wherever, between question and answer, the database read its
// clock. Without an answer, the result of Fault stays.
func (c *Skew) Compare(ctx context.Context, ask func(context.Context) (gotong.Instant, error)) error {
	if c.Now == nil {
		return nil
	}
	before := c.Now()
	theirs, err := ask(ctx)
	if err != nil {
		return err
	}
	after := c.Now()
	err = nil
	if skew := max(before-theirs, theirs-after); skew > gotong.Instant(MaxSkew.Microseconds()) {
		ahead := time.Duration(before+(after-before)/2-theirs) * time.Microsecond
		err = fmt.Errorf("%w: by %s; set this machine's clock by NTP", ErrClock, ahead.Round(100*time.Millisecond))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	return err
}

// keepEvery is how often a node cares for a shared database.
const keepEvery = 15 * time.Second

// Keep calls each of tasks every 15 seconds until ctx ends. Their errors change
// nothing: the next call tries again.
func Keep(ctx context.Context, tasks ...func(context.Context) error) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, task := range tasks {
				limited, cancel := context.WithTimeout(ctx, keepEvery)
				_ = Guard(func() error { return task(limited) })
				cancel()
			}
		case <-ctx.Done():
			return
		}
	}
}

// Calls counts the calls that run, so that Close can wait for them.
type Calls struct {
	group  sync.WaitGroup
	mu     sync.Mutex // guards closed, so that no call begins once End waits
	closed bool
}

// Begin lets a call run until it calls end. It returns [ErrClosed] after End, and the
// error of a ctx that is done already.
func (c *Calls) Begin(ctx context.Context) (end func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, ErrClosed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	c.group.Add(1)
	return c.group.Done, nil
}

// End lets no more calls begin and waits for those that run.
func (c *Calls) End() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.group.Wait()
}

// MaxTries bounds how often a transaction that collided with another one is
// repeated. Of those that collide, one always succeeds.
const MaxTries = 64

// Retry repeats f while its error is one for which that may help, at most
// [MaxTries] times.
func Retry(ctx context.Context, f func() error, helps func(error) bool) error {
	for tries := 0; ; tries++ {
		err := f()
		if err == nil || tries >= MaxTries || !helps(err) {
			return err
		}
		if err := Pause(ctx, tries); err != nil {
			return err
		}
	}
}

// Pause waits for a random time, on average longer with each try, and at most 64
// ms.
func Pause(ctx context.Context, tries int) error {
	clock.Pause(ctx, rand.N(time.Millisecond<<min(tries, 6))) //nolint:gosec // spreads load, guards nothing
	return ctx.Err()
}
