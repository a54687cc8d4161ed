package gates

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// orderWriters is how many write into one partition, each a stream of its own.
const orderWriters = 8

// tail is a reader that follows a partition and judges what it sees.
type tail struct {
	partition gotong.Partition
	at        uint64 // the last position that it has seen
	events    map[gotong.EventID]int
	reads     int
	faults    []string
}

const maxFaults = 5

func (t *tail) faultf(format string, args ...any) {
	if len(t.faults) < maxFaults {
		t.faults = append(t.faults, fmt.Sprintf(format, args...))
	}
}

// follow reads what is new once. Each commit of a probe has one event, so the
// positions must be one after the other.
func (t *tail) follow(ctx context.Context, s prober) (to uint64, err error) {
	positions, err := s.Positions(ctx)
	if err != nil {
		return 0, err
	}
	to = positions[t.partition]
	t.reads++
	if to < t.at {
		t.faultf("the last position went back from %d to %d", t.at, to)
		return to, nil
	}
	for t.at < to {
		page, err := s.ReadPartition(ctx, t.partition, t.at, to, readPage)
		if err != nil {
			return to, err
		}
		if len(page) == 0 {
			t.faultf("positions %d to %d were announced and are not there", t.at+1, to)
			t.at = to
		}
		for i := range page {
			e := &page[i]
			if e.Position != t.at+1 {
				t.faultf("position %d comes after %d", e.Position, t.at)
			}
			t.at = max(t.at, e.Position)
			t.events[e.ID]++
		}
	}
	return to, nil
}

// newTail begins at the present end of a partition.
func newTail(ctx context.Context, s prober, p gotong.Partition) (*tail, error) {
	positions, err := s.Positions(ctx)
	return &tail{partition: p, at: positions[p], events: map[gotong.EventID]int{}}, err
}

// followUntil follows until the writers are done and all of it was read.
func (t *tail) followUntil(ctx context.Context, s prober, done *atomic.Bool) error {
	for {
		last := done.Load()
		before := t.at
		to, err := t.follow(ctx, s)
		if err != nil {
			return err
		}
		if last && t.at >= to {
			return nil
		}
		if t.at == before && !wait(ctx, patience) {
			return context.Cause(ctx)
		}
	}
}

// missing says how many of the acknowledged were not seen exactly once, and
// how many more were seen.
func (t *tail) missing(acknowledged []gotong.EventID) (lost, doubled, more int) {
	for _, id := range acknowledged {
		switch t.events[id] {
		case 0:
			lost++
		case 1:
		default:
			doubled++
		}
	}
	return lost, doubled, len(t.events) - (len(acknowledged) - lost)
}

func checkOrder(ctx context.Context, r *run, f *findings) error {
	const way = "do not use this engine: a reader that follows the log would miss events"
	nodes, closeAll, err := r.openStores(ctx, 3)
	if err != nil {
		return err
	}
	defer closeAll()
	home := unused()
	t, err := newTail(ctx, nodes[2], gotong.PartitionOf(home))
	if err != nil {
		return err
	}
	first := t.at
	var done atomic.Bool
	var reading sync.WaitGroup
	var readErr error
	reading.Go(func() { readErr = t.followUntil(ctx, nodes[2], &done) })
	acknowledged, starved, writeErr := r.writeAll(ctx, nodes[:2], home)
	done.Store(true)
	reading.Wait()
	if err := errors.Join(writeErr, readErr); err != nil {
		return err
	}
	lost, doubled, more := t.missing(acknowledged)
	again, err := partitionOf(ctx, nodes[0], t.partition, first, t.at)
	if err != nil {
		return err
	}
	if len(again) != len(t.events) {
		t.faultf("read again, the partition has %d events where the follower saw %d", len(again), len(t.events))
	}
	for _, fault := range t.faults {
		f.badf(way, "%s", fault)
	}
	if starved > 0 {
		f.warnf("nothing is lost, but two nodes that write to one home keep each other waiting: "+
			"let one node serve the writers of a busy home",
			"%s gave up, because the other node was faster again and again, and went through when asked anew", count(starved, "commit"))
	}
	if len(acknowledged) == 0 {
		f.skipf(longer, "not one commit was acknowledged")
		return nil
	}
	f.judgef(lost+doubled+more == 0 && t.at-first == uint64(len(acknowledged)), way,
		"%s commits by %d writers on two nodes into one partition, followed in %s reads: %d missed, %d doubled, %d nobody wrote; "+
			"positions %d to %d, of which %d out of order",
		grouped(len(acknowledged)), orderWriters, grouped(t.reads), lost, doubled, more, first+1, t.at, len(t.faults))
	return nil
}

// writeAll lets the writers commit for a while, and counts how often a store
// gave up because it lost to the other node again and again.
func (r *run) writeAll(
	ctx context.Context, nodes []store.Store, home gotong.Stream,
) (acknowledged []gotong.EventID, starved int, err error) {
	var mu sync.Mutex
	var errs []error
	var all sync.WaitGroup
	began := r.o.Now()
	for w := range orderWriters {
		all.Go(func() {
			mine, again, err := r.writeFor(ctx, nodes[w%len(nodes)], home, began)
			mu.Lock()
			defer mu.Unlock()
			acknowledged, starved, errs = append(acknowledged, mine...), starved+again, append(errs, err)
		})
	}
	all.Wait()
	return acknowledged, starved, errors.Join(errs...)
}

// writeFor commits to a stream of its own for a while, each commit on the head
// that the one before it made. What failed is asked again under the same
// request until its fate is known.
func (r *run) writeFor(
	ctx context.Context, s prober, home gotong.Stream, began gotong.Instant,
) (acknowledged []gotong.EventID, again int, err error) {
	stream := unused()
	var head gotong.Head
	for n := 0; r.since(began) < r.o.For && n < maxAdditions; n++ {
		c, err := r.commit(s.Epoch(), draft{stream: stream, home: home, request: fmt.Sprint("w", n), prev: head, events: 1})
		if err != nil {
			return acknowledged, again, err
		}
		repeats, _, err := settle(ctx, s, c)
		again += repeats
		if err != nil {
			return acknowledged, again, err
		}
		head = c.Head()
		acknowledged = append(acknowledged, c.Events[0].ID)
	}
	return acknowledged, again, nil
}

// settle commits until there is a fate.
func settle(ctx context.Context, s store.Committer, c store.Commit) (repeats int, status store.Status, err error) {
	for {
		out, err := s.Commit(ctx, []store.Commit{c})
		switch {
		case err == nil && (out[0].Status == store.Committed || out[0].Status == store.Replayed):
			return repeats, out[0].Status, nil
		case err == nil:
			return repeats, out[0].Status, fmt.Errorf("a commit that nobody competes with was given fate %d", out[0].Status)
		case !cut(err) && !surreal.Conflict(err) || ctx.Err() != nil:
			return repeats, 0, err
		}
		repeats++
		if !wait(ctx, patience) {
			return repeats, 0, context.Cause(ctx)
		}
	}
}
