package storetest

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/store"
)

// T is what the suite needs of a test; *testing.T implements it. Fatalf and Skipf
// must end the calling goroutine.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
	Logf(format string, args ...any)
	Context() context.Context
	Cleanup(f func())
}

// Options are those with which the suite opens a store.
type Options struct {
	Collections []string
	Now         func() gotong.Instant
}

// Harness is one empty place for a store.
type Harness struct {
	// Open opens the store of this place. Where the store is durable, the suite
	// closes and opens it again and expects all that was there. Where it is
	// shared, the suite calls Open while the store of this place is open, and
	// expects one more node on the same log.
	Open       func(Options) (store.Whole, error)
	Properties store.Properties
	// Lose removes the row of an event behind the back of the open store. If it
	// is nil, the cases that need it are skipped.
	Lose func(s gotong.Stream, seq uint64) error

	// Through opens one more node whose connections to the database pass a
	// proxy. It is nil where errors of the store are definite.
	Through func(Options) (store.Whole, *netfault.Proxy, error)
	// For is how long each case that looks for lost writes runs; 0: for a fixed
	// number of writes.
	For time.Duration
}

// The collections that the suite uses.
const (
	things = "things"
	others = "other_things"
)

// env is what one case of the suite works with.
type env struct {
	T
	ctx     context.Context //nolint:containedctx // the context of one test, for all its calls
	harness Harness
	again   func() Harness // another empty place
	s       store.Whole
	m       *Maker
	clock   atomic.Int64
	looks   atomic.Int64 // at the clock, until it breaks
}

// Part is a group of cases that answer one question.
type Part struct {
	Name  string
	Asks  string // the question that its cases answer
	Tests []Test // in order of name
}

// Test is one case of the suite.
type Test struct {
	Name string // the name of its part, a slash, and what it checks
	run  func(*env)
}

// questions are the parts in their order.
var questions = [...]Part{
	{Name: "commit", Asks: "Does each commit of a batch have an outcome of its own, all or nothing?"},
	{Name: "race", Asks: "Of writers that compete at one moment, does exactly one win?"},
	{Name: "order", Asks: "Are seq, time and id one order, and does the chain hold?"},
	{Name: "partition", Asks: "Do positions appear in order, in whole commits, without gaps?"},
	{Name: "events", Asks: "Are pages of a stream complete and bounded?"},
	{Name: "holes", Asks: "Is a missing row reported, and never mistaken for the end?"},
	{Name: "erase", Asks: "Is erased content removed, and nothing else?"},
	{Name: "documents", Asks: "Are documents read by ranges, in order, as they were written?"},
	{Name: "registers", Asks: "Do registers compare and set, and expire?"},
	{Name: "readers", Asks: "Is the advance of a reader fenced and all or nothing?"},
	{Name: "jobs", Asks: "Is each job leased once at a time?"},
	{Name: "life", Asks: "Is everything there after the store was closed and opened?"},
	{Name: "move", Asks: "Is a whole log moved unchanged?"},
	{Name: "nodes", Asks: "Do several nodes on one log lose nothing and keep one order?"},
	{Name: "cuts", Asks: "Is nothing lost or doubled when connections are cut?"},
}

// Parts returns the whole suite.
func Parts() []Part {
	suite := map[string]func(*env){}
	for _, part := range []map[string]func(*env){
		commitTests, commitRegisterTests, registerFaultTests, raceTests, orderTests, eventTests, holeTests, documentTests, textTests, registerTests, readerTests, lifeTests, moveTests,
		nodeTests, cutTests,
	} {
		maps.Copy(suite, part)
	}
	parts := slices.Clone(questions[:])
	for _, name := range slices.Sorted(maps.Keys(suite)) {
		of, _, _ := strings.Cut(name, "/")
		i := slices.IndexFunc(parts, func(p Part) bool { return p.Name == of })
		if i < 0 {
			panic("storetest: no part is named " + of)
		}
		parts[i].Tests = append(parts[i].Tests, Test{name, suite[name]})
	}
	return parts
}

// Run runs one case; harness returns a new empty place.
func (c Test) Run(t T, harness func() Harness) {
	t.Helper()
	e := &env{T: t, ctx: t.Context(), harness: harness(), again: harness}
	e.clock.Store(1_764_000_000_000_000)
	e.breakClock(math.MaxInt64)
	e.open()
	t.Cleanup(func() { e.check(e.s.Close()) })
	e.m = NewMaker(e.s.Epoch())
	c.run(e)
}

// Run runs the whole suite, each case as a subtest; harness returns a new empty
// place for each.
func Run[X interface {
	T
	Run(name string, f func(X)) bool
}](t X, harness func(X) Harness) {
	t.Helper()
	for _, part := range Parts() {
		for _, c := range part.Tests {
			t.Run(c.Name, func(t X) { c.Run(t, func() Harness { return harness(t) }) })
		}
	}
}

func (e *env) open() {
	e.Helper()
	s, err := e.harness.Open(e.options())
	e.check(err)
	e.s = s
}

// needs skips the case where a property does not hold.
func (e *env) needs(p store.Property) {
	e.Helper()
	if !p.Holds {
		e.Skipf("%s", p.Why)
	}
}

// restart closes the store and opens it again, where it is durable.
func (e *env) restart() {
	e.Helper()
	if e.harness.Properties.Durable.Holds {
		e.check(e.s.Close())
		e.open()
	}
}

func (e *env) options() Options {
	return Options{Collections: []string{things, others, notes}, Now: e.now}
}

func (e *env) now() gotong.Instant {
	if e.looks.Add(-1) < 0 {
		panic("the clock is broken")
	}
	return gotong.Instant(e.clock.Load())
}

// breakClock makes every look at the clock panic, but for the next ones.
func (e *env) breakClock(after int64) { e.looks.Store(after) }

func (e *env) check(err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("%v", err)
	}
}

// commit commits a batch and returns the outcomes.
func (e *env) commit(batch ...store.Commit) []store.Outcome {
	e.Helper()
	out, err := store.CommitAll(e.ctx, e.s, batch)
	e.check(err)
	if len(out) != len(batch) {
		e.Fatalf("%d outcomes for %d commits", len(out), len(batch))
	}
	return out
}

// must commits a batch of which every commit must be committed.
func (e *env) must(batch ...store.Commit) []store.Outcome {
	e.Helper()
	out := e.commit(batch...)
	for i := range out {
		if out[i].Status != store.Committed {
			e.Fatalf("commit %d: %+v", i, out[i])
		}
	}
	return out
}

// next makes and commits one commit.
func (e *env) next(d Draft) store.Outcome {
	e.Helper()
	return e.must(e.m.Next(d))[0]
}

func (e *env) load(need store.Need) store.Snapshot {
	e.Helper()
	snap, err := e.s.Load(e.ctx, need)
	e.check(err)
	return snap
}

func (e *env) head(s gotong.Stream) gotong.Head {
	e.Helper()
	return e.load(store.Need{Heads: []gotong.Stream{s}}).Heads[s]
}

func (e *env) events(r store.EventRange) []store.Event {
	e.Helper()
	return e.load(store.Need{Events: []store.EventRange{r}}).Events[0]
}

func (e *env) documents(r store.KeyRange) []store.Document {
	e.Helper()
	return e.load(store.Need{Ranges: []store.KeyRange{r}}).Ranges[0]
}

func (e *env) partition(p gotong.Partition, from, to uint64, limit int) []store.Event {
	e.Helper()
	rows, err := e.s.ReadPartition(e.ctx, p, from, to, limit)
	e.check(err)
	return rows
}

func (e *env) positions() [gotong.Partitions]uint64 {
	e.Helper()
	all, err := e.s.Positions(e.ctx)
	e.check(err)
	return all
}

func (e *env) record(key gotong.RequestKey) (store.Record, bool) {
	e.Helper()
	r, ok := e.load(store.Need{Records: []gotong.RequestKey{key}}).Records[key]
	return r, ok
}

func key(name string) gotong.Key { return gotong.Key{Collection: things, Owner: "owner", Name: name} }

func put(name, body string) store.Change { return store.Change{Key: key(name), Body: []byte(body)} }
