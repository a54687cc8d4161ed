package timer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/timer"
)

// kinds is the rules of cases, with a track whose windows are minutes.
func kinds() []gotong.Kind {
	tracks, err := cases.Load(map[string][]byte{"ronda.yaml": []byte(`
profiles:
  pilih:  {gate: vote, window: 48m, quorum: 30, threshold: 50}
  rembuk: {gate: consent, window: 24m, vote: pilih}
tracks:
  ronda: {stages: [keresahan, bahas], edges: [{from: keresahan, to: bahas, gate: rembuk}]}
`)})
	if err != nil {
		panic(err)
	}
	return []gotong.Kind{cases.Rules{Tracks: tracks}.Kind()}
}

// world is a store with nodes that run timers, in a bubble of testing/synctest.
type world struct {
	testing.TB
	s     *storetest.Faulty
	codec *store.Codec
	clock *clocktest.Clock
	nodes []*engine.Engine
	stop  func()
	n     int
}

func inWorld(t *testing.T, nodes int, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		clock := clocktest.Running()
		w := &world{
			TB: t, clock: clock, codec: store.NewCodec(kinds()),
			s: storetest.NewFaulty(memory.New("", memory.Options{Now: clock.Now})),
		}
		w.start(nodes)
		defer func() { w.stop(); w.check(w.s.Close()) }()
		f(w)
	})
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// start starts nodes on the store, each with an engine and a runner.
func (w *world) start(nodes int) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	w.nodes = nil
	for range nodes {
		var run *reader.Runner
		e := engine.New(engine.Options{
			Store: w.s, Codec: w.codec, Clock: w.clock,
			Committed: func(_ context.Context, rows []store.Event) { run.Committed(rows) },
		})
		run, err := reader.New(reader.Options{Store: w.s, Clock: w.clock, Log: slog.New(slog.DiscardHandler), Shared: nodes > 1},
			[]reader.Reader{timer.Reader(kinds())}, []reader.Handler{timer.Handler(w.codec, e)})
		w.check(err)
		w.nodes = append(w.nodes, e)
		running.Go(func() { w.check(run.Run(ctx)) })
	}
	w.stop = func() {
		cancel()
		running.Wait()
		for _, e := range w.nodes {
			w.check(e.Close(context.Background()))
		}
	}
}

func (w *world) do(actor string, s gotong.Stream, typ string, data any) (gotong.Receipt, error) {
	w.n++
	return w.nodes[0].Execute(context.Background(), gotong.Command{
		Stream: s, Type: typ, Data: data, Actor: gotong.Actor{UserID: actor, Role: gotong.RoleUser},
		RequestID: fmt.Sprint("r", w.n), CorrelationID: "c",
	})
}

func (w *world) must(actor string, s gotong.Stream, typ string, data any) uint64 {
	w.Helper()
	r, err := w.do(actor, s, typ, data)
	w.check(err)
	return r.First
}

// found returns a case with the members ani and budi, and the seq of its open
// proposal.
func (w *world) found() (gotong.Stream, uint64) {
	w.Helper()
	s := cases.StreamOf("ani", fmt.Sprint("r", w.n+1))
	w.must("ani", s, cases.CmdCreate, cases.Create{ScopeID: "rt05", Track: "ronda", Title: "Selokan", Privacy: cases.Public})
	w.must("ani", s, cases.CmdSeat, cases.Seating{UserID: "budi", TrackRoles: []cases.Role{cases.Participant}})
	return s, w.must("ani", s, cases.CmdPropose, cases.Propose{From: "keresahan", To: "bahas"})
}

// types returns the types of a case's events from the proposal on.
func (w *world) types(s gotong.Stream) (types []string) {
	w.Helper()
	snap, err := w.s.Load(context.Background(), store.Need{Events: []store.EventRange{{Stream: s, From: 2, To: 1000}}})
	w.check(err)
	for _, e := range snap.Events[0] {
		types = append(types, e.Type)
	}
	return types
}

func (w *world) want(s gotong.Stream, want ...string) {
	w.Helper()
	if got := w.types(s); !slices.Equal(got, append([]string{cases.EvProposed}, want...)) {
		w.Errorf("%q, not %q", got, want)
	}
}

// wait lets time pass in the bubble.
func wait(d time.Duration) { <-time.After(d); synctest.Wait() }

// slack is more than a runner is late.
const slack = 5 * time.Second

func TestWindowsCloseAndRemind(t *testing.T) {
	inWorld(t, 1, func(w *world) {
		s, _ := w.found()
		wait(24*time.Minute - slack)
		w.want(s)
		wait(2 * slack)
		w.want(s, cases.EvApplied)

		s, gate := w.found()
		wait(23 * time.Minute)
		w.must("budi", s, cases.CmdObject, cases.Object{Gate: gate, Reason: "belum"})
		wait(2 * time.Minute) // the timer of the consent finds nothing to do
		w.want(s, cases.EvObjected)
		wait(34*time.Minute + slack)
		w.want(s, cases.EvObjected, cases.EvReminded, cases.EvReminded)
		wait(12 * time.Minute)
		w.want(s, cases.EvObjected, cases.EvReminded, cases.EvReminded, cases.EvTallied, cases.EvRejected)

		s, gate = w.found()
		w.must("budi", s, cases.CmdObject, cases.Object{Gate: gate, Reason: "belum"})
		w.must("budi", s, cases.CmdVote, cases.Cast{Gate: gate, Choice: cases.Yes})
		wait(48*time.Minute + slack) // the quorum is met, so nobody is reminded
		w.want(s, cases.EvObjected, cases.EvVoted, cases.EvTallied, cases.EvApplied)
	})
}

// The clock of the node is set while a window is open: the gate closes once, and
// never before its time by the clock that shows then.
func TestClocksThatAreSet(t *testing.T) {
	for name, steps := range clocktest.Steps() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(w *world) {
				s, gate := w.found()
				w.must("budi", s, cases.CmdObject, cases.Object{Gate: gate, Reason: "belum"})
				w.must("budi", s, cases.CmdVote, cases.Cast{Gate: gate, Choice: cases.Yes})
				for _, step := range steps {
					wait(20 * time.Minute)
					w.clock.Step(step)
				}
				wait(10 * time.Hour)
				w.want(s, cases.EvObjected, cases.EvVoted, cases.EvTallied, cases.EvApplied)
			})
		})
	}
}

// Two nodes run the timers of one log: each has its effect once.
func TestTwoNodesCloseOnce(t *testing.T) {
	inWorld(t, 2, func(w *world) {
		var all []gotong.Stream
		for range 20 {
			s, _ := w.found()
			all = append(all, s)
		}
		wait(25 * time.Minute)
		for _, s := range all {
			w.want(s, cases.EvApplied)
		}
	})
}

// A write around the opening, the vote or the close fails, or is written although
// it seems to fail, or the node ends and another one begins. The gate closes once,
// with the outcome that the votes before it give.
func TestFaultsAroundAGate(t *testing.T) {
	broken := errors.New("broken by the test")
	faults := map[string]func(w *world, op storetest.Op){
		"fails":                  func(w *world, op storetest.Op) { w.s.Fail(op, 1, broken) },
		"fails but is persisted": func(w *world, op storetest.Op) { w.s.FailAfter(op, 1, broken) },
		"the node ends":          func(w *world, _ storetest.Op) { w.stop(); w.start(1) },
	}
	for name, fault := range faults {
		for _, op := range []storetest.Op{storetest.OpCommit, storetest.OpAdvance, storetest.OpClaim, storetest.OpSettle} {
			for stage := range 3 {
				t.Run(fmt.Sprint(name, " ", op, " ", stage), func(t *testing.T) {
					inWorld(t, 1, func(w *world) { w.through(stage, func() { fault(w, op) }) })
				})
			}
		}
	}
}

// through moves a case through an objection and a vote, with a fault before the
// opening, the vote or the close.
func (w *world) through(stage int, fault func()) {
	s, first := w.found()
	w.must("ani", s, cases.CmdWithdraw, cases.Withdraw{Gate: first})
	wait(slack)
	repeat := func(actor, typ string, data any) uint64 {
		var err error
		id := w.n
		for range 5 {
			w.n = id
			var r gotong.Receipt
			if r, err = w.do(actor, s, typ, data); err == nil {
				return r.First
			}
			wait(slack)
		}
		w.Fatal(typ, err)
		return 0
	}
	at := func(n int) {
		if n == stage {
			fault()
		}
	}
	at(0)
	gate := repeat("ani", cases.CmdPropose, cases.Propose{From: "keresahan", To: "bahas"})
	repeat("budi", cases.CmdObject, cases.Object{Gate: gate, Reason: "belum"})
	at(1)
	repeat("budi", cases.CmdVote, cases.Cast{Gate: gate, Choice: cases.Yes})
	wait(47 * time.Minute)
	at(2)
	wait(3 * time.Minute)
	want := []string{cases.EvProposed, cases.EvCancelled, cases.EvProposed, cases.EvObjected, cases.EvVoted, cases.EvTallied, cases.EvApplied}
	if got := w.types(s); !slices.Equal(got, want) {
		w.Errorf("%q", got)
	}
}

// Rows of jobs are lost, or damaged. A rebuild makes the jobs of open gates again;
// those of gates that have closed do not run a second time.
func TestRebuildMakesLostJobsAgain(t *testing.T) {
	for name, damage := range map[string]func(w *world, job store.Job){
		"lost": func(*world, store.Job) {},
		"damaged": func(w *world, job store.Job) {
			job.Body = append(job.Body, ' ')
			w.check(w.s.Advance(context.Background(), store.Step{Reader: "other", Jobs: []store.Job{job}}))
		},
		"unreadable": func(w *world, job store.Job) {
			job.Body = []byte("{")
			w.check(w.s.Advance(context.Background(), store.Step{Reader: "other", Jobs: []store.Job{job}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(w *world) {
				closed, _ := w.found()
				wait(25 * time.Minute)
				vote, gate := w.found()
				w.must("budi", vote, cases.CmdObject, cases.Object{Gate: gate, Reason: "belum"})
				consent, _ := w.found()
				wait(slack)
				jobs, err := reader.Jobs(context.Background(), w.s, false, 0)
				w.check(err)
				if len(jobs) != 4 {
					w.Fatalf("%d jobs", len(jobs))
				}
				for _, job := range jobs {
					w.check(w.s.SettleJob(context.Background(), job, nil))
					damage(w, job)
				}
				wait(time.Hour)
				w.want(vote, cases.EvObjected)
				w.want(consent)
				w.check(reader.Rebuild(context.Background(), w.s, []reader.Reader{timer.Reader(kinds())}, "timer"))
				w.stop()
				w.start(1)
				wait(slack)
				w.want(vote, cases.EvObjected, cases.EvTallied, cases.EvRejected)
				w.want(consent, cases.EvApplied)
				w.want(closed, cases.EvApplied)
				if jobs, err = reader.Jobs(context.Background(), w.s, false, 0); len(jobs) > 0 || err != nil {
					w.Errorf("%v, %v", jobs, err)
				}
			})
		})
	}
}
