package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"sync/atomic"
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

// Patience is how long a call is repeated while a shared database does not answer.
const Patience = 20 * time.Second

// ErrOtherEpoch says that a tool has begun a new epoch, or moved another log in here.
var ErrOtherEpoch = fmt.Errorf("%w: the log has begun another epoch since this node was started", ErrFailed)

// Base is what an adapter knows of the database that it opened; adapters embed it.
type Base struct {
	Now         func() gotong.Instant // by which registers expire
	Collections map[string]bool

	eras atomic.Pointer[Eras]
}

// NewBase returns a base with these collections. Without now, registers never expire.
func NewBase(collections []string, now func() gotong.Instant) (*Base, error) {
	b := &Base{Now: now, Collections: map[string]bool{}}
	if now == nil {
		b.Now = func() gotong.Instant { return 0 }
	}
	for _, name := range collections {
		if !collectionName.MatchString(name) {
			return nil, fmt.Errorf("store: collection %q: a name has 1 to 48 characters of a-z0-9_", name)
		}
		b.Collections[name] = true
	}
	return b, nil
}

// Knows returns [ErrMalformed] if the need names another collection.
func (b *Base) Knows(need *Need) error {
	for _, key := range need.Documents {
		if !b.Collections[key.Collection] {
			return unknownCollection(key.Collection)
		}
	}
	for _, of := range need.Ranges {
		if !b.Collections[of.Collection] {
			return unknownCollection(of.Collection)
		}
	}
	return nil
}

// Eras returns the epochs of the log.
func (b *Base) Eras() Eras { return *b.eras.Load() }

// SetEras replaces the epochs of the log.
func (b *Base) SetEras(eras Eras) { b.eras.Store(&eras) }

// Epoch implements [Log].
func (b *Base) Epoch() gotong.Epoch { return b.Eras().Epoch() }

// Node is what the adapters of shared databases have in common; they embed it.
type Node struct {
	*Base
	Calls

	Clock   Skew
	Context context.Context //nolint:containedctx // ends with Stop, for what outlives the call of Open

	cancel  context.CancelFunc
	queue   *Writer[Batch]
	closing sync.Once
	ended   sync.WaitGroup
}

var collectionName = regexp.MustCompile(`^[a-z0-9_]{1,48}$`)

// NewNode returns a node with these collections. Without now, registers never expire;
// without clock, no clock is compared.
func NewNode(ctx context.Context, collections []string, now, clock func() gotong.Instant) (*Node, error) {
	base, err := NewBase(collections, now)
	if err != nil {
		return nil, err
	}
	n := &Node{Base: base, Clock: Skew{Now: clock}}
	n.Context, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return n, nil
}

// Start begins to write batches with settle, see [WriteBatches], and to call tasks, see
// [Keep].
func (n *Node) Start(
	settle func(context.Context, []Commit) ([]Outcome, error), observe func(int) func(), tasks ...func(context.Context) error,
) {
	n.ended.Go(func() { Keep(n.Context, tasks...) })
	n.queue = NewWriter(WriterOptions[Batch]{
		Observe: observe, MaxBatch: MaxTogether, MaxBatchBytes: MaxBytesTogether,
		Write: func(ops []*Work[Batch]) error {
			ctx, cancel := context.WithTimeout(n.Context, Patience)
			defer cancel()
			return WriteBatches(ops, func(batch []Commit) ([]Outcome, error) { return settle(ctx, batch) })
		},
	})
}

// Stop writes what is queued, waits for the calls that run, ends the tasks and then
// calls disconnect. Only the first call does anything.
func (n *Node) Stop(disconnect func()) {
	n.closing.Do(func() {
		if n.queue != nil {
			n.queue.Close()
		}
		n.End()
		n.cancel()
		n.ended.Wait()
		disconnect()
	})
}

// Submit implements [Committer]. Batches that wait at the same time share a
// transaction. Other writes are transactions of their own, which the database runs
// beside them.
func (n *Node) Submit(
	ctx context.Context, batch []Commit, announce func([]Outcome), done func([]Outcome, error),
) {
	if err := CheckBatch(batch, n.Collections); err != nil {
		done(nil, err)
		return
	}
	b := Batch{batch, make([]Outcome, len(batch))}
	n.queue.Submit(ctx, CommitWork(b, batch, b.Out, announce, done))
}

// Failed implements [Health]. No state of a node outlives a failed call, so later
// writes can always succeed.
func (*Node) Failed() error { return nil }

// ClockFault returns why the node's clock forbids writing; nil if it does not.
func (n *Node) ClockFault() error { return n.Clock.Fault() }
