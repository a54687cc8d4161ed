// Package livequery is a bus without a server of its own: SurrealDB's live
// query on the table of partitions reports that one has grown.
//
// Publish sends nothing: the commit itself is the message. A live query can fail
// silently, so the bus also reads the positions every two seconds, and starts
// the query anew if it has not reported what is there.
//
// # Caveats
//
// It carries wake-ups and nothing else: typing and presence stay within their
// node, and so do rate limits; a login that ended is found by the reads that
// look for such (docs/adr/0016). A live query reports the commits that pass
// through its own database node: with several, a poll finds those of another
// node up to a second later. A node is also woken by
// its own commits, which costs it nothing.
//
// # Dependencies
//
// Packages gotong, bus and surreal, and the standard library.
package livequery

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/surreal"
)

// The statements: the first for all that is there, the second for what comes.
const (
	readPositions = "SELECT VALUE [record::id(id), position] FROM partition:0..=15"
	followThem    = "LIVE SELECT position FROM partition"
)

const (
	looking = 2 * time.Second // between two reads that check the live query
	reading = 2 * time.Second // for one of them to be answered
)

var (
	errDeaf     = errors.New("livequery: the live query does not report what is there")
	errKilled   = errors.New("livequery: the database ended the live query")
	errNotYet   = errors.New("livequery: not begun yet")
	errNoWakeUp = errors.New("livequery: the database sent what is no position")
)

// Options are what a bus is made of. Database is required.
type Options struct {
	Database *surreal.Client
	Observer Observer
}

// Observer receives what happens, for metrics and logs. Nil fields are not
// called; none may block.
type Observer struct {
	Connected func()          // wake-ups arrive from now on
	Lost      func(why error) // and no more; called once per outage
	Received  func(n int)
	Dropped   func(n int) // messages that this bus does not carry
}

func (o *Observer) fill() {
	if o.Connected == nil {
		o.Connected = func() {}
	}
	if o.Lost == nil {
		o.Lost = func(error) {}
	}
	for _, f := range []*func(int){&o.Received, &o.Dropped} {
		if *f == nil {
			*f = func(int) {}
		}
	}
}

// Bus is one node's end. It is safe for concurrent use.
type Bus struct {
	opt  Options
	in   *bus.Queue
	told [gotong.Partitions]atomic.Uint64 // by the live query

	mu   sync.Mutex // guards what follows
	why  error      // of the present outage; nil while wake-ups come
	said bool       // the observer knows of the outage
}

// New makes a bus; Run begins it. The client stays the caller's.
func New(opt Options) *Bus {
	opt.Observer.fill()
	return &Bus{opt: opt, in: bus.NewQueue(0), why: errNotYet}
}

// Publish implements [bus.Bus]. What is committed tells of itself, and nothing
// else is carried.
func (b *Bus) Publish(m bus.Message) {
	if m.Wake == nil {
		b.opt.Observer.Dropped(1)
	}
}

// Check is nil while wake-ups come, else it says why not.
func (b *Bus) Check(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}

// Run implements [bus.Bus].
func (b *Bus) Run(ctx context.Context, handle func(bus.Message)) error {
	var following sync.WaitGroup
	following.Go(func() { b.keep(ctx) })
	defer following.Wait()
	b.in.Deliver(ctx, handle)
	return nil
}

// keep begins again and again until ctx ends.
func (b *Bus) keep(ctx context.Context) {
	bus.Keep(ctx, func(ctx context.Context) bool {
		err := b.follow(ctx)
		return ctx.Err() == nil && b.lost(err)
	})
}

// lost notes why nothing comes; true where something did.
func (b *Bus) lost(why error) bool {
	b.mu.Lock()
	was, first := b.why == nil, !b.said
	b.why, b.said = why, true
	b.mu.Unlock()
	if first {
		b.opt.Observer.Lost(why)
	}
	return was
}

func (b *Bus) begun() {
	b.mu.Lock()
	b.why, b.said = nil, false
	b.mu.Unlock()
	b.opt.Observer.Connected()
}

// follow hears until something is wrong or ctx ends.
func (b *Bus) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	live, err := b.opt.Database.Live(ctx, followThem, nil)
	if err != nil {
		return err
	}
	defer live.Close()
	now, err := b.positions(ctx) // report earlier commits too
	if err != nil {
		return err
	}
	for p, position := range now {
		b.told[p].Store(position)
		b.wake(gotong.Partition(p), position)
	}
	b.begun()
	var looking sync.WaitGroup
	looking.Go(func() { cancel(b.look(ctx)) })
	defer looking.Wait()
	defer cancel(nil)
	for {
		n, err := live.Next(ctx)
		if err == nil {
			err = b.take(n)
		}
		if err != nil {
			return err
		}
	}
}

// take hands a notification on.
func (b *Bus) take(n surreal.Notification) error {
	if n.Action == "KILLED" {
		return errKilled
	}
	var id surreal.RecordID
	var row struct {
		Position uint64 `cbor:"position"`
	}
	if n.Action != "UPDATE" && n.Action != "CREATE" || surreal.Unmarshal(n.Record, &id) != nil ||
		surreal.Unmarshal(n.Result, &row) != nil {
		return errNoWakeUp
	}
	p, ok := partitionOf(id.Key)
	if !ok {
		return errNoWakeUp
	}
	for {
		told := b.told[p].Load()
		if told >= row.Position || b.told[p].CompareAndSwap(told, row.Position) {
			break
		}
	}
	b.opt.Observer.Received(1)
	b.wake(p, row.Position)
	return nil
}

// partitionOf reads the key of a row of the table.
func partitionOf(key any) (gotong.Partition, bool) {
	var n uint64
	switch k := key.(type) {
	case uint64:
		n = k
	case int64:
		if k < 0 {
			return 0, false
		}
		n = uint64(k)
	default:
		return 0, false
	}
	return gotong.Partition(n), n < gotong.Partitions //nolint:gosec // the second value says whether it is one
}

func (b *Bus) wake(p gotong.Partition, position uint64) {
	b.in.Put(bus.Message{Wake: &bus.Wake{Partition: p, Position: position}})
}

// look reads what is there, again and again, and returns when the live query
// has not told of it since the read before.
func (b *Bus) look(ctx context.Context) error {
	tick := time.NewTicker(looking)
	defer tick.Stop()
	var before [gotong.Partitions]uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := b.positions(ctx)
		if err != nil {
			return err
		}
		for p, position := range now {
			told := b.told[p].Load()
			if told < before[p] {
				return errDeaf
			}
			if told < position {
				b.wake(gotong.Partition(p), position)
			}
		}
		before = now
	}
}

// positions reads how far each partition is.
func (b *Bus) positions(ctx context.Context) (list [gotong.Partitions]uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, reading)
	defer cancel()
	var rows []struct {
		_        struct{} `cbor:",toarray"`
		No       uint64
		Position uint64
	}
	if err := b.opt.Database.Select(ctx, readPositions, nil, &rows); err != nil {
		return list, err
	}
	for _, r := range rows {
		if r.No < gotong.Partitions {
			list[r.No] = r.Position
		}
	}
	return list, nil
}
