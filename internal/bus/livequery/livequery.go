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

// The statements: the first reads all positions, the second follows their
// changes.
const (
	readPositions = "SELECT VALUE [record::id(id), position] FROM partition:0..=15"
	followThem    = "LIVE SELECT position FROM partition"
)

const (
	polling = 2 * time.Second // between two reads that check the live query
	reading = 2 * time.Second // for the answer to one of them
)

var (
	errSilent   = errors.New("livequery: the live query does not report new positions")
	errKilled   = errors.New("livequery: the database ended the live query")
	errNoWakeUp = errors.New("livequery: the database sent a notification that is not a position")
)

// Options are what a bus is made of. Database is required.
type Options struct {
	Database *surreal.Client
	Observer bus.Observer
}

// Bus is one node's end of the bus. It is safe for concurrent use.
type Bus struct {
	*bus.Link
	database *surreal.Client
	reported [gotong.Partitions]atomic.Uint64 // by the live query
}

// New returns a bus; Run starts it. The client remains the caller's to close.
func New(opt Options) *Bus {
	b := &Bus{database: opt.Database}
	b.Link = bus.NewLink(opt.Observer, b.follow)
	return b
}

// Publish implements [bus.Bus]. It sends nothing: the commit itself is a
// wake-up, and this bus carries no other messages.
func (b *Bus) Publish(m bus.Message) {
	if m.Wake == nil {
		b.Observer.Dropped(1)
	}
}

// follow receives notifications until an error or the end of ctx.
func (b *Bus) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	live, err := b.database.Live(ctx, followThem, nil)
	if err != nil {
		return err
	}
	defer live.Close()
	now, err := b.positions(ctx) // earlier commits are reported too
	if err != nil {
		return err
	}
	for p, position := range now {
		b.reported[p].Store(position)
		b.wake(gotong.Partition(p), position)
	}
	b.Proven()
	var checking sync.WaitGroup
	checking.Go(func() { cancel(b.poll(ctx)) })
	defer checking.Wait()
	defer cancel(nil)
	for {
		n, err := live.Next(ctx)
		if err == nil {
			err = b.receive(n)
		}
		if err != nil {
			return err
		}
	}
}

// receive turns a notification into a wake-up.
func (b *Bus) receive(n surreal.Notification) error {
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
		reported := b.reported[p].Load()
		if reported >= row.Position || b.reported[p].CompareAndSwap(reported, row.Position) {
			break
		}
	}
	b.Observer.Received(1)
	b.wake(p, row.Position)
	return nil
}

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
	return gotong.Partition(n), n < gotong.Partitions //nolint:gosec // the second value reports whether it is a partition
}

func (b *Bus) wake(p gotong.Partition, position uint64) {
	b.Receive(bus.Message{Wake: &bus.Wake{Partition: p, Position: position}})
}

// poll reads the positions at intervals. It returns an error when the live
// query has not reported a position that the previous read found.
func (b *Bus) poll(ctx context.Context) error {
	tick := time.NewTicker(polling)
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
			reported := b.reported[p].Load()
			if reported < before[p] {
				return errSilent
			}
			if reported < position {
				b.wake(gotong.Partition(p), position)
			}
		}
		before = now
	}
}

func (b *Bus) positions(ctx context.Context) (list [gotong.Partitions]uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, reading)
	defer cancel()
	var rows []struct {
		_        struct{} `cbor:",toarray"`
		No       uint64
		Position uint64
	}
	if err := b.database.Select(ctx, readPositions, nil, &rows); err != nil {
		return list, err
	}
	for _, r := range rows {
		if r.No < gotong.Partitions {
			list[r.No] = r.Position
		}
	}
	return list, nil
}
