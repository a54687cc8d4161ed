package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var lifeTests = map[string]func(*env){
	"life/epoch":          epochs,
	"life/reopen":         reopen,
	"life/closed":         closed,
	"life/close in a run": closeWhileBusy,
	"life/empty":          empty,
	"life/fault":          lifeFault,
	"life/properties":     lifeProperties,
}

func epochs(e *env) {
	epoch := e.s.Epoch()
	if _, err := gotong.ParseCursor(string(epoch) + ":0"); err != nil {
		e.Errorf("epoch %q cannot stand in a cursor: %v", epoch, err)
	}
	e.next(Draft{Stream: "thread/a", Events: 1})
	equal(e, "epoch", e.s.Epoch(), epoch)
}

func empty(e *env) {
	equal(e, "positions", e.positions(), [gotong.Partitions]uint64{})
	snap := e.load(store.Need{})
	if len(snap.Heads)+len(snap.Documents)+len(snap.Ranges)+len(snap.Events)+len(snap.Records)+len(snap.Claims) != 0 {
		e.Errorf("snapshot %+v", snap)
	}
	for p := range gotong.Partition(gotong.Partitions) {
		if rows := e.partition(p, 0, math.MaxUint64, 0); len(rows) != 0 {
			e.Errorf("partition %d: %v", p, rows)
		}
	}
}

// reopen: all that was there is there again, with the same epoch, and goes on
// from there.
func reopen(e *env) {
	e.needs(e.harness.Properties.Durable)
	claim := gotong.Claim{Space: "s", Name: "n"}
	noop := Draft{Stream: "thread/noop", RequestID: "noop"}
	e.next(Draft{Stream: "thread/a", Home: "group/g", Events: 3, RequestID: "one", Claims: []gotong.Claim{claim}, Changes: []store.Change{put("x", `{"n":1}`)}})
	e.next(Draft{Stream: "thread/a", Events: 1, Erase: []uint64{2}})
	e.next(noop)
	e.set(key("r"), 0, "body", 0, true)
	e.set(key("r"), 1, "body", e.now()+9, true)
	e.jobs(store.Job{Queue: "q", ID: "j", Due: 5, Body: []byte("b")})
	lease := e.claim("q", 5, 50, 1)
	need := store.Need{
		Heads:     []gotong.Stream{"thread/a", "thread/noop"},
		Documents: []gotong.Key{key("x")}, Ranges: []store.KeyRange{{Collection: things, Owner: "owner", To: "~"}},
		Events:  []store.EventRange{{Stream: "thread/a", To: 99}},
		Records: []gotong.RequestKey{{Stream: "thread/a", Actor: "u1", RequestID: "one"}, {Stream: "thread/noop", Actor: "u1", RequestID: "noop"}},
		Claims:  []gotong.Claim{claim},
	}
	before, epoch, r := e.load(need), e.s.Epoch(), e.register(key("r"))
	for range 2 {
		e.restart()
		equal(e, "epoch", e.s.Epoch(), epoch)
		equal(e, "snapshot", e.load(need), before)
		equal(e, "register", e.register(key("r")), r)
		equal(e, "cursor", e.cursor("maker", 0), 1)
		equal(e, "leased still", len(e.claim("q", 49, 60, 9)), 0)
	}
	e.check(e.s.SettleJob(e.ctx, lease[0], nil))
	out := e.commit(
		Build(epoch, Draft{Stream: "thread/a", Events: 1, RequestID: "one"}), Build(epoch, noop),
		e.m.Peek(Draft{Stream: "thread/z", Events: 1, Claims: []gotong.Claim{claim}}),
		e.m.Next(Draft{Stream: "thread/a", Events: 2}), e.m.Next(Draft{Stream: "thread/new", Home: "group/g", Events: 1}),
	)
	want := []store.Status{store.Replayed, store.Replayed, store.Taken, store.Committed, store.Committed}
	for i := range out {
		equal(e, fmt.Sprint("outcome ", i), out[i].Status, want[i])
	}
	equal(e, "position", out[4].Record.Position, 4)
	e.verifyStream("thread/a")
}

// everything calls each method of a store.
func everything(ctx context.Context, s store.Whole, c store.Commit) map[string]error {
	_, commit := store.CommitAll(ctx, s, []store.Commit{c})
	_, load := s.Load(ctx, store.Need{})
	_, positions := s.Positions(ctx)
	_, partition := s.ReadPartition(ctx, 0, 0, 9, 9)
	_, find := s.FindRegisters(ctx, store.KeyRange{Collection: things, To: "~"})
	_, claim := s.ClaimJobs(ctx, "q", 0, 1, 1)
	_, next := s.NextDue(ctx, "q")
	return map[string]error{
		"Commit": commit, "Load": load, "Positions": positions, "NextDue": next, "ReadPartition": partition,
		"SetRegister": s.SetRegister(ctx, key("x"), 0, []byte("x"), 0), "FindRegisters": find,
		"Advance": s.Advance(ctx, store.Step{Reader: "r", To: 1}), "ClaimJobs": claim,
		"SettleJob": s.SettleJob(ctx, store.Job{Queue: "q", ID: "i", Lease: 1}, nil),
	}
}

func closed(e *env) {
	epoch := e.s.Epoch()
	e.check(e.s.Close())
	for name, err := range everything(e.ctx, e.s, e.m.Peek(Draft{Stream: "thread/a", Events: 1})) {
		if !errors.Is(err, store.ErrClosed) {
			e.Errorf("%s: %v", name, err)
		}
	}
	equal(e, "epoch", e.s.Epoch(), epoch)
	e.check(e.s.Close())
}

// closeWhileBusy: calls that run when the store is closed end well or with
// ErrClosed, and what was acknowledged is there afterwards.
func closeWhileBusy(e *env) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[gotong.Stream]uint64{}
	for i := range 8 {
		wg.Go(func() {
			stream := gotong.Stream(fmt.Sprint("thread/", i))
			for {
				out, err := store.CommitAll(e.ctx, e.s, []store.Commit{e.m.Next(Draft{Stream: stream, Events: 1})})
				if err == nil {
					mu.Lock()
					acked[stream] = out[0].Record.Last
					mu.Unlock()
					_, err = e.s.Load(e.ctx, store.Need{Heads: []gotong.Stream{stream}})
				}
				if err != nil {
					if !errors.Is(err, store.ErrClosed) {
						e.Errorf("%v", err)
					}
					return
				}
			}
		})
	}
	for e.positions() == [gotong.Partitions]uint64{} {
		runtime.Gosched()
	}
	e.check(e.s.Close())
	wg.Wait()
	if !e.harness.Properties.Durable.Holds {
		return
	}
	e.open()
	for stream, seq := range acked {
		equal(e, "head of "+string(stream), e.head(stream).Seq, seq)
	}
}

// lifeFault: a fault of the program in the middle of a write, here in the clock,
// holds up nobody. What comes after it is written, or fails because the store
// has failed.
func lifeFault(e *env) {
	ctx, cancel := context.WithTimeout(e.ctx, 30*time.Second)
	defer cancel()
	set := func(name string, expect uint64) error {
		return store.Guard(func() error { return e.s.SetRegister(ctx, key(name), expect, []byte("x"), e.now()+9) })
	}
	e.check(set("a", 0))
	expires := e.now() + 9
	e.breakClock(0)
	err := store.Guard(func() error { return e.s.SetRegister(ctx, key("a"), 1, []byte("x"), expires) })
	e.breakClock(math.MaxInt64)
	if !errors.Is(err, store.ErrFault) {
		e.Errorf("a write with a clock that is broken: %v", err)
	}
	failed := e.s.Failed()
	if want := e.harness.Properties.Resumes; (failed == nil) != want.Holds {
		e.Errorf("the store says %v; it resumes: %v, because %s", failed, want.Holds, want.Why)
	}
	for _, name := range []string{"b", "c"} {
		if err := set(name, 0); (err != nil) != (failed != nil) || err != nil && !errors.Is(err, store.ErrFailed) {
			e.Errorf("a register after the fault: %v; the store says %v", err, failed)
		}
	}
	out, err := store.CommitAll(ctx, e.s, []store.Commit{e.m.Peek(Draft{Stream: "thread/a", Events: 1})})
	if (err != nil) != (failed != nil) || err == nil && out[0].Status != store.Committed {
		e.Errorf("a commit after the fault: %+v, %v; the store says %v", out, err, failed)
	}
	if _, err := e.s.Positions(ctx); err != nil {
		e.Errorf("a read after the fault: %v", err)
	}
}

// lifeProperties: each property has its reason, and a store whose errors may
// leave an outcome open has connections that the suite can cut.
func lifeProperties(e *env) {
	p := reflect.ValueOf(e.harness.Properties)
	for i := range p.NumField() {
		if why := p.Field(i).Interface().(store.Property).Why; why == "" || strings.Contains(why, "\n") {
			e.Errorf("%s has the reason %q, want one line", p.Type().Field(i).Name, why)
		}
	}
	equal(e, "definite errors", e.harness.Properties.Definite.Holds, e.harness.Through == nil)
}
