package gates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
)

// Why a run could not be carried out.
var (
	// ErrUnknownGate is a name in [Options.Only] that no gate has.
	ErrUnknownGate = errors.New("gates: there is no such gate")
	// ErrScratch: the user may not create a scratch database.
	ErrScratch = errors.New("gates: no scratch database could be created beside yours")
)

// Adapter is what the gates need of the store on SurrealDB.
type Adapter struct {
	// Supported is the list of tested versions, such as "2.6.x and 3.0.x".
	Supported string
	// Properties are what the store promises where stores differ.
	Properties store.Properties
	// Open opens a store and creates its schema. It accepts any engine and any
	// version, which the gates judge. The zero storetest.Options stand for the
	// program's own collections and clock.
	Open func(ctx context.Context, cfg surreal.Config, o storetest.Options, client surreal.Options) (store.Whole, error)
}

// Options are the settings of a [Run].
type Options struct {
	Target        Target        // a SurrealDB
	Adapter       Adapter       // of the store on it
	Postgres      *Postgres     // instead of both
	Only          []string      // names of gates; empty: all
	AllowUntested bool          // an unsupported version is a warning
	For           time.Duration // how long each probe runs; 0 is [DefaultFor]
	Now           func() gotong.Instant
	Progress      func(Progress) // is called when a gate begins and when it ends; may be nil

	limit   time.Duration // of a gate, 0 for the default; for tests
	lag     time.Duration // of a standby until it is a warning, 0 for the default; for tests
	version string        // replaces the server's; for tests
}

// DefaultFor is how long each probe runs by default.
const DefaultFor = 5 * time.Second

// Progress is a gate that begins (Result is nil) or has ended.
type Progress struct {
	Number, Of int
	Name       string
	Result     *Result
}

type gate struct {
	name  string
	asks  string
	check func(ctx context.Context, r *run, f *findings) error
	apart bool // it needs a scratch
}

// all returns every gate, in the order in which they run.
func all(onPostgres bool) []gate {
	first, last := surrealGates()
	if onPostgres {
		first, last = postgresGates()
	}
	return slices.Concat(first, suiteGates(), last)
}

// Names returns the names of all gates of an engine, in their order.
func Names(onPostgres bool) []string {
	var names []string
	for _, g := range all(onPostgres) {
		names = append(names, g.name)
	}
	return names
}

// run is the state that the gates of one run share.
type run struct {
	o     Options
	place place

	pg *onPostgres // nil on SurrealDB

	scratch *scratch
	db      *surreal.Client // in a database of the scratch
	store   surreal.Config  // of the store of the scratch
}

// place is where the probes of a run work, on one engine.
type place interface {
	// about returns the version of the server, and the scratches that other runs left.
	about() (server string, others []string)
	// missing returns why there is no scratch; "" if there is one.
	missing() string
	// open opens the store of the scratch as one more node.
	open(ctx context.Context) (store.Whole, error)
	// harness returns an unused part of the scratch as a place for a store.
	harness(ctx context.Context) storetest.Harness
	// now returns the time of the server's clock.
	now(ctx context.Context) (time.Time, error)
	// leave removes the scratch, even if ctx has ended, and returns what remains.
	leave(ctx context.Context) (left []string)
}

// enter connects and makes the scratch.
func (r *run) enter(ctx context.Context) (err error) {
	if r.o.Postgres != nil {
		r.pg, err = enterPostgres(ctx, r.o)
		r.place = r.pg
		return err
	}
	r.place = onSurreal{r}
	if r.scratch, r.db, err = makeScratch(ctx, r.o.Target); err == nil {
		r.store = r.scratch.config("store")
	}
	return err
}

func (o *Options) target() string {
	if o.Postgres != nil {
		return o.Postgres.String()
	}
	return o.Target.Config.String()
}

// Run runs the gates and returns their report. It returns an error if the server
// does not answer, rejects the login or allows no scratch, or if ctx ends; the
// report then has the results so far.
func Run(ctx context.Context, o Options) (report Report, err error) {
	chosen, err := choose(o.Only, o.Postgres != nil)
	if err != nil {
		return Report{}, err
	}
	if o.For <= 0 {
		o.For = DefaultFor
	}
	if o.limit <= 0 {
		o.limit = 4*o.For + 40*time.Second
	}
	if o.lag <= 0 {
		o.lag = time.Second
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	report = Report{Target: o.target(), At: o.Now(), For: o.For.String()}
	r := &run{o: o}
	if err := r.enter(ctx); err != nil {
		return report, err
	}
	defer func() { report.Left = append(report.Left, r.place.leave(ctx)...) }()
	report.Server, report.Others = r.place.about()
	for i, g := range chosen {
		o.Progress(Progress{Number: i + 1, Of: len(chosen), Name: g.name})
		result := r.carryOut(ctx, g)
		if ctx.Err() != nil {
			report.Verdict = NotChecked
			return report, fmt.Errorf("gates: interrupted in %s: %w", g.name, context.Cause(ctx))
		}
		report.add(result)
		o.Progress(Progress{Number: i + 1, Of: len(chosen), Name: g.name, Result: &result})
	}
	return report, nil
}

// choose returns the gates of these names; "store" means all parts of the store's
// suite.
func choose(only []string, onPostgres bool) ([]gate, error) {
	every := all(onPostgres)
	if len(only) == 0 {
		return every, nil
	}
	var chosen []gate
	for _, name := range only {
		named := slices.DeleteFunc(slices.Clone(every), func(g gate) bool { return g.name != name && !strings.HasPrefix(g.name, name+"/") })
		if len(named) == 0 {
			return nil, fmt.Errorf("%w: %q; there are %s", ErrUnknownGate, name, strings.Join(Names(onPostgres), ", "))
		}
		chosen = append(chosen, named...)
	}
	return chosen, nil
}

var errSlow = errors.New("the gate took too long")

// carryOut runs one gate under its deadline.
func (r *run) carryOut(ctx context.Context, g gate) Result {
	ctx, cancel := context.WithTimeoutCause(ctx, r.o.limit, errSlow)
	defer cancel()
	began := r.o.Now()
	var f findings
	if why := r.place.missing(); why != "" && g.apart {
		f.skipf("mend that, then run the gates again", "%s, so nothing can be tried apart from your data", why)
		return f.result(g, 0)
	}
	err := g.check(ctx, r, &f)
	switch {
	case ctx.Err() != nil:
		f.badf("look at the server's log and load, then run the gates again; --only "+g.name+" runs this one alone",
			"it did not end within %s", r.o.limit)
	case err != nil:
		f.badf("the server's log says more; --only "+g.name+" runs this gate alone", "it could not be carried out: %s", err)
	}
	return f.result(g, r.since(began))
}

func (r *run) since(began gotong.Instant) time.Duration {
	return time.Duration(r.o.Now()-began) * time.Microsecond
}

// openStore opens the store of the scratch as one more node.
func (r *run) openStore(ctx context.Context) (store.Whole, error) {
	s, err := r.place.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening a store: %w", err)
	}
	return s, nil
}

const suiteGate = "store"

func suiteGates() []gate {
	var list []gate
	for _, part := range storetest.Parts() {
		list = append(list, gate{suiteGate + "/" + part.Name, part.Asks, func(ctx context.Context, r *run, f *findings) error {
			r.carryOutPart(ctx, f, part)
			return nil
		}, true})
	}
	return list
}

// carryOutPart runs each case of a part, each in a database of its own.
func (r *run) carryOutPart(ctx context.Context, f *findings, part storetest.Part) {
	const way = "do not use this server with this program: the store relies on it. Report it with this table"
	held, left := 0, 0
	for _, c := range part.Tests {
		result := c.Try(ctx, func() storetest.Harness { return r.place.harness(ctx) })
		switch {
		case ctx.Err() != nil:
			return
		case len(result.Faults) > 0:
			f.badf(way, "%s: %s", c.Name, strings.Join(result.Faults, "; "))
		case result.Skipped != "":
			left++
			f.skipf("the tests of this program check it where they can", "%s: %s", c.Name, result.Skipped)
		default:
			held++
		}
		for _, note := range result.Notes {
			f.goodf("%s: %s", c.Name, note)
		}
	}
	if held > 0 {
		f.goodf("%d of %s hold", held, count(len(part.Tests)-left, "case"))
	}
}

// cases numbers the databases of the scratch.
var cases atomic.Int64
