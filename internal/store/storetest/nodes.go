package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// The cases for stores that several nodes have open at once. A database that
// loses an acknowledged write fails them too.
var nodeTests = map[string]func(*env){
	"nodes/one stream":    nodesOneStream,
	"nodes/one partition": nodesOnePartition,
	"nodes/races":         nodesRace,
	"nodes/new epoch":     nodesNewEpoch,
}

// nodeCount is how many nodes share a log in these cases.
const nodeCount = 3

// nodes opens the log of the case on several nodes.
func (e *env) nodes() []store.Whole {
	e.Helper()
	e.needs(e.harness.Properties.Shared)
	list := []store.Whole{e.s}
	for len(list) < nodeCount {
		s, err := e.harness.Open(e.options())
		e.check(err)
		e.Cleanup(func() { e.check(s.Close()) })
		list = append(list, s)
	}
	return list
}

// eachNode runs f on every node at once.
func eachNode(e *env, nodes []store.Whole, f func(node int, s store.Whole) error) {
	e.Helper()
	together(e, len(nodes), func(i int) (struct{}, error) { return struct{}{}, f(i, nodes[i]) })
}

// figuref logs the figures of a case that found no fault.
func (e *env) figuref(format string, args ...any) {
	if !e.Failed() {
		e.Logf(format, args...)
	}
}

// goes reports whether a probe continues: for the time that the harness sets, or
// for so many rounds if it sets none.
func (e *env) goes(began time.Time, round, rounds int) bool {
	if e.harness.For > 0 {
		return time.Since(began) < e.harness.For && e.ctx.Err() == nil
	}
	return round < rounds
}

// settle repeats a batch until its outcome is known, as a client repeats a
// request.
func settle(ctx context.Context, s store.Committer, batch ...store.Commit) (out []store.Outcome, repeats int, err error) {
	const most = 500
	for ; repeats < most; repeats++ {
		out, err := store.CommitAll(ctx, s, batch)
		switch {
		case err == nil:
			return out, repeats, nil
		case errors.Is(err, store.ErrFailed) || errors.Is(err, store.ErrSealed) || errors.Is(err, store.ErrClock) || ctx.Err() != nil:
			return nil, repeats, err
		}
		pause(ctx, time.Millisecond) // as a client backs off
	}
	return nil, repeats, errors.New("the outcome of a request is still unknown after 500 repeats")
}

// pause waits; no case judges by how long.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// acked is the commits that were acknowledged to the writers of a case.
type acked struct {
	mu      sync.Mutex
	records map[gotong.EventID]store.Record
	repeats int
}

func (a *acked) add(c *store.Commit, record store.Record, repeats int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.records == nil {
		a.records = map[gotong.EventID]store.Record{}
	}
	a.records[c.Events[0].ID] = record
	a.repeats += repeats
}

// compare reads a partition after the position from. It checks that each
// acknowledged commit of one event is there once, at the position of its record,
// and that no other commit is there.
func (a *acked) compare(e *env, s store.Whole, home gotong.Stream, from uint64) {
	e.Helper()
	p, at := gotong.PartitionOf(home), from
	seen := 0
	for {
		rows, err := s.ReadPartition(e.ctx, p, at, math.MaxUint64, 0)
		e.check(err)
		if len(rows) == 0 {
			break
		}
		for i := range rows {
			row := &rows[i]
			record, ok := a.records[row.ID]
			switch at++; {
			case row.Position != at:
				e.Fatalf("position %d after %d", row.Position, at-1)
			case !ok:
				e.Fatalf("event %s at position %d was acknowledged to no writer", row.ID, row.Position)
			case record.Position != row.Position || record.First != row.Seq:
				e.Fatalf("event %s has seq %d at position %d, but was acknowledged with seq %d at %d", row.ID, row.Seq, row.Position, record.First, record.Position)
			}
			seen++
		}
	}
	if len(a.records) == 0 {
		e.Errorf("not one commit was acknowledged")
	}
	if seen != len(a.records) {
		e.Errorf("of %d acknowledged commits %d are there", len(a.records), seen)
	}
}

// nodesOneStream: nodes that write to the same streams at once lose nothing,
// overwrite nothing and repeat nothing.
func nodesOneStream(e *env) {
	const writers, rounds = 4, 8 // of each node
	const home = gotong.Stream("group/g")
	nodes := e.nodes()
	var got acked
	var moved atomic.Int64
	began := time.Now()
	eachNode(e, nodes, func(node int, s store.Whole) error {
		var group sync.WaitGroup
		errs := make([]error, writers)
		for w := range writers {
			group.Go(func() {
				for n := 0; errs[w] == nil && e.goes(began, n, rounds); n++ {
					var again int64
					again, errs[w] = writeShared(e, s, &got, gotong.Stream(fmt.Sprint("thread/", n%2)), home, fmt.Sprintf("%d-%d-%d", node, w, n))
					moved.Add(again)
				}
			})
		}
		group.Wait()
		return errors.Join(errs...)
	})
	for _, s := range nodes {
		got.compare(e, s, home, 0)
	}
	e.figuref("%d commits of %d nodes to two streams: none lost, overwritten or doubled; %d were decided again because another came first",
		len(got.records), len(nodes), moved.Load())
}

// writeShared commits one event to a stream that others write to; it reports
// how often another commit came first.
func writeShared(e *env, s store.Whole, got *acked, stream, home gotong.Stream, request string) (moved int64, err error) {
	for {
		snap, err := s.Load(e.ctx, store.Need{Heads: []gotong.Stream{stream}})
		if err != nil {
			return moved, err
		}
		c := Build(s.Epoch(), Draft{Stream: stream, Home: home, Prev: snap.Heads[stream], Events: 1, RequestID: request})
		out, repeats, err := settle(e.ctx, s, c)
		if err != nil {
			return moved, err
		}
		if out[0].Status == store.Committed || out[0].Status == store.Replayed {
			got.add(&c, out[0].Record, repeats)
			return moved, nil
		}
		moved++
	}
}

// nodesOnePartition: while two nodes write into one partition, a reader on a third
// one sees every position once, in order.
func nodesOnePartition(e *env) {
	const rounds = 25
	const home = gotong.Stream("group/g")
	nodes := e.nodes()
	var got acked
	began := time.Now()
	var writing atomic.Bool
	writing.Store(true)
	var follower sync.WaitGroup
	t := tail{seqs: map[gotong.Stream]uint64{}}
	follower.Go(func() { followOn(e, nodes[nodeCount-1], home, &t, &writing) })
	eachNode(e, nodes[:nodeCount-1], func(node int, s store.Whole) error {
		return writeOwn(e, s, &got, home, fmt.Sprint("thread/", node), func(n int) bool { return e.goes(began, n, rounds) })
	})
	writing.Store(false)
	follower.Wait()
	got.compare(e, nodes[0], home, 0)
	if t.cursor != uint64(len(got.records)) {
		e.Errorf("the follower came to position %d of %d", t.cursor, len(got.records))
	}
	e.figuref("%d commits of two nodes to one partition, followed on a third: every position once and in order; %d requests were repeated",
		len(got.records), got.repeats)
}

// writeOwn commits batches of one to four to a stream of the writer's own while
// goes returns true. Each commit raises a register of the writer's own by one
// version.
func writeOwn(e *env, s store.Whole, got *acked, home gotong.Stream, stream string, goes func(n int) bool) error {
	m, commits := NewMaker(s.Epoch()), uint64(0)
	for n := 0; goes(n); n++ {
		batch := make([]store.Commit, 1+n%4)
		for i := range batch {
			d := with(gotong.Stream(stream), sets(stream, commits, "x"))
			d.Home = home
			batch[i] = m.Next(d)
			commits++
		}
		out, repeats, err := settle(e.ctx, s, batch...)
		if err != nil {
			return err
		}
		for i := range out {
			if out[i].Status != store.Committed && out[i].Status != store.Replayed {
				return fmt.Errorf("a commit that nothing competes with has status %d", out[i].Status)
			}
			got.add(&batch[i], out[i].Record, repeats)
			repeats = 0
		}
	}
	r, err := store.ReadRegister(e.ctx, e.s, key(stream))
	if err == nil && r.Version != commits {
		err = fmt.Errorf("%d commits raised their register to version %d", commits, r.Version)
	}
	return err
}

// followOn reads a partition until the writers have ended and everything was read.
// A read that fails is repeated from the same position.
func followOn(e *env, s store.Whole, home gotong.Stream, t *tail, writing *atomic.Bool) {
	for failures := 0; ; {
		last := !writing.Load()
		rows, err := s.ReadPartition(e.ctx, gotong.PartitionOf(home), t.cursor, math.MaxUint64, 50)
		switch {
		case err != nil && (e.ctx.Err() != nil || failures > 500):
			e.Errorf("following: %v", err)
			return
		case err != nil:
			failures++
			pause(e.ctx, time.Millisecond) // as a node backs off
		case len(rows) > 0:
			failures = 0
			t.take(e, rows)
		case last:
			return
		}
	}
}

// nodesRace: over several nodes one request has one effect, one claim has one
// owner, and of commits that each rest on the others' streams one happens.
func nodesRace(e *env) {
	const rounds = 20
	nodes := e.nodes()
	var mu sync.Mutex
	fates := map[string]map[store.Status]int{}
	for round := range rounds {
		name := func(what string, n int) gotong.Stream {
			return gotong.Stream(fmt.Sprintf("thread/%s-%d-%d", what, round, n%nodeCount))
		}
		eachNode(e, nodes, func(node int, s store.Whole) error {
			for what, d := range map[string]Draft{
				"twins":  {Stream: name("twin", 0), RequestID: "same"},
				"claims": {Stream: name("claim", node), Claims: []gotong.Claim{{Space: "s", Name: fmt.Sprint(round)}}},
				"skew":   {Stream: name("skew", node), Others: []store.Expectation{{Stream: name("skew", node+1)}, {Stream: name("skew", node+2)}}},
			} {
				d.Events = 1
				out, _, err := settle(e.ctx, s, Build(s.Epoch(), d))
				if err != nil {
					return err
				}
				mu.Lock()
				if fates[what] == nil {
					fates[what] = map[store.Status]int{}
				}
				fates[what][out[0].Status]++
				mu.Unlock()
			}
			return nil
		})
	}
	for what, loser := range map[string]store.Status{"twins": store.Replayed, "claims": store.Taken, "skew": store.Moved} {
		if got := fates[what]; got[store.Committed] != rounds || got[loser] != rounds*(nodeCount-1) {
			e.Errorf("%s: outcomes by status %v; want %d committed and the others %d", what, got, rounds, loser)
		}
	}
}

// nodesNewEpoch: a node that still runs when a new epoch begins rejects every
// later write, because no node of the new epoch could read it.
func nodesNewEpoch(e *env) {
	nodes := e.nodes()
	left, tool := nodes[1], nodes[2]
	m := NewMaker(left.Epoch())
	one := func(s store.Whole, c store.Commit) error {
		_, err := store.CommitAll(e.ctx, s, []store.Commit{c})
		return err
	}
	e.check(one(left, m.Next(Draft{Stream: "thread/a", Events: 1})))
	e.check(tool.Renew(e.ctx, "another0"))
	for range 2 { // as the node expects it, and after it has looked
		if err := one(left, m.Peek(Draft{Stream: "thread/a", Events: 1})); !errors.Is(err, store.ErrFailed) {
			e.Errorf("commit: %v", err)
		}
	}
	if err := left.SetRegister(e.ctx, key("n"), 0, []byte("x"), 0); !errors.Is(err, store.ErrFailed) {
		e.Errorf("register: %v", err)
	}
	if _, err := left.Positions(e.ctx); !errors.Is(err, store.ErrFailed) {
		e.Errorf("positions: %v", err)
	}
	m.Epoch = tool.Epoch()
	e.check(one(tool, m.Next(Draft{Stream: "thread/a", Events: 1})))
}
