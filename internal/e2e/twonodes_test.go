package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	surrealstore "gotong.dev/gotong/internal/store/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
	"gotong.dev/gotong/internal/timer"
)

// twoNodes is two nodes with one log: engines on connections of their own, whose clock
// the test steps.
type twoNodes struct {
	t       *testing.T
	kinds   []gotong.Kind
	clock   *clocktest.Clock
	stores  [2]store.Whole
	engines [2]*engine.Engine
	run     [2]reader.Handler
	serial  int
}

func startTwoNodes(t *testing.T) *twoNodes {
	t.Helper()
	tracks := must(cases.Load(map[string][]byte{"ronda.yaml": []byte(ronda)}))(t)
	w := &twoNodes{t: t, kinds: []gotong.Kind{cases.Rules{Tracks: tracks}.Kind()}, clock: clocktest.Running()}
	codec, cfg := store.NewCodec(w.kinds), surrealtest.Start(t, surrealtest.V3)
	for i := range w.stores {
		s := must(surrealstore.Open(t.Context(), cfg, surrealstore.Options{Collections: store.Collections(append(w.kinds, user.Kind()))}))(t)
		e := engine.New(engine.Options{Store: s, Codec: codec, Clock: w.clock})
		w.stores[i], w.engines[i], w.run[i] = s, e, timer.Handler(codec, e)
		t.Cleanup(func() {
			if err := errors.Join(e.Close(context.Background()), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	return w
}

// do runs a command at a node, each at the other one in turn.
func (w *twoNodes) do(actor string, s gotong.Stream, typ string, data any) uint64 {
	w.t.Helper()
	w.serial++
	r := must(w.engines[w.serial%2].Execute(w.t.Context(), gotong.Command{
		Stream: s, Type: typ, Data: data, Actor: gotong.Actor{UserID: actor, Role: gotong.RoleUser},
		RequestID: fmt.Sprint("r", w.serial), CorrelationID: "c",
	}))(w.t)
	return r.First
}

// voted returns a case with a vote that a member's yes lets pass.
func (w *twoNodes) voted() gotong.Stream {
	w.t.Helper()
	s := cases.StreamOf("ani", fmt.Sprint("r", w.serial+1))
	w.do("ani", s, cases.CmdCreate, cases.Create{ScopeID: "rt05", Track: "ronda", Title: "Selokan", Privacy: cases.Public})
	w.do("ani", s, cases.CmdSeat, cases.Seating{UserID: "budi", TrackRoles: []cases.Role{cases.Participant}})
	gate := w.do("ani", s, cases.CmdPropose, cases.Propose{From: "keresahan", To: "bahas"})
	w.do("budi", s, cases.CmdObject, cases.Object{Gate: gate, Reason: "Belum ada dana"})
	for _, user := range []string{"ani", "budi"} {
		w.do(user, s, cases.CmdVote, cases.Cast{Gate: gate, Choice: cases.Yes})
	}
	return s
}

// jobs lets the reader of timers make its jobs of a case's events.
func (w *twoNodes) jobs(s gotong.Stream) (jobs int) {
	w.t.Helper()
	var run []reader.Commit
	for _, e := range w.events(s) {
		run = append(run, reader.Commit{Partition: e.Partition, Position: e.Position, Events: []store.Event{e}})
	}
	step := must(timer.Reader(w.kinds).Read(nil, run))(w.t)
	if err := w.stores[0].Advance(w.t.Context(), store.Step{Reader: string(s), Jobs: step.Jobs}); err != nil {
		w.t.Fatal(err)
	}
	return len(step.Jobs)
}

func (w *twoNodes) events(s gotong.Stream) []store.Event {
	w.t.Helper()
	snap := must(w.stores[0].Load(w.t.Context(), store.Need{Events: []store.EventRange{{Stream: s, To: 1000}}}))(w.t)
	return snap.Events[0]
}

// both runs f for both nodes at once.
func both(f func(node int)) {
	var group sync.WaitGroup
	for node := range 2 {
		group.Go(func() { f(node) })
	}
	group.Wait()
}

// TestTwoNodesRaceForOneJob: two nodes on one database claim the due jobs of gates
// at once, and each job goes to one of them. Then the leases end while the handlers
// still run, so that the other node claims each job too, and both nodes issue each
// command at the same time: each gate closes once, and only the node with the newer
// lease settles.
func TestTwoNodesRaceForOneJob(t *testing.T) {
	w := startTwoNodes(t)
	var affairs []gotong.Stream
	jobs := 0
	for range 4 {
		s := w.voted()
		affairs, jobs = append(affairs, s), jobs+w.jobs(s)
	}
	w.clock.Step(25 * time.Hour) // every window has closed
	now := w.clock.Now()
	claim := func(node int, at gotong.Instant) []store.Job {
		return must(w.stores[node].ClaimJobs(t.Context(), "timer", at, at.Add(time.Minute), 100))(t)
	}
	var first [2][]store.Job
	both(func(node int) { first[node] = claim(node, now) })
	if n := len(first[0]) + len(first[1]); n != jobs || jobs != 3*len(affairs) {
		t.Fatalf("%d jobs were claimed, of %d", n, jobs)
	}
	stale := slices.Concat(first[0], first[1])
	fresh := claim(1, now.Add(2*time.Minute))
	if len(fresh) != jobs {
		t.Fatalf("%d jobs were claimed after their leases, of %d", len(fresh), jobs)
	}
	for _, job := range fresh {
		both(func(node int) {
			if result, err := w.run[node].Run(t.Context(), job); err != nil || result != reader.Done {
				t.Errorf("node %d: %v, %v", node, result, err)
			}
		})
	}
	for _, job := range stale {
		if err := w.stores[0].SettleJob(t.Context(), job, nil); !errors.Is(err, store.ErrConflict) {
			t.Errorf("settled under a lease that had ended: %v", err)
		}
	}
	for _, job := range fresh {
		if err := w.stores[1].SettleJob(t.Context(), job, nil); err != nil {
			t.Error(err)
		}
	}
	if left := claim(0, now.Add(time.Hour)); len(left) > 0 {
		t.Errorf("%d jobs are left", len(left))
	}
	for _, s := range affairs {
		events := w.events(s)
		types := map[string]int{}
		for i := range events {
			types[events[i].Type]++
		}
		if counted := checkGates(t, events); types[cases.EvTallied] != 1 || types[cases.EvApplied] != 1 || len(counted) != 1 {
			t.Errorf("%s: %v", s, types)
		}
	}
}
