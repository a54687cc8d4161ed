package reader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// put puts jobs into the queue "q".
func (w *world) put(jobs ...store.Job) {
	w.Helper()
	for i := range jobs {
		jobs[i].Queue = "q"
	}
	at := store.CursorKey{Reader: "maker"}
	snap, err := w.s.Load(w.Context(), store.Need{Cursors: []store.CursorKey{at}})
	w.check(err)
	w.check(w.s.Advance(w.Context(), store.Step{Reader: "maker", From: snap.Cursors[at], To: snap.Cursors[at] + 1, Jobs: jobs}))
}

func (w *world) job(id string) (job store.Job, found bool) {
	w.Helper()
	jobs, err := Jobs(w.Context(), w.s, false, 0)
	w.check(err)
	for _, j := range jobs {
		if j.ID == id {
			return j, true
		}
	}
	return job, false
}

// handled is a handler that counts how often each job ran.
type handled struct {
	mu   sync.Mutex
	runs map[string]int
}

func (h *handled) handler(run func(ctx context.Context, job store.Job) (Result, error)) Handler {
	h.runs = map[string]int{}
	return Handler{Queue: "q", Run: func(ctx context.Context, job store.Job) (Result, error) {
		h.mu.Lock()
		h.runs[job.ID]++
		h.mu.Unlock()
		return run(ctx, job)
	}}
}

func (h *handled) of(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.runs[id]
}

// outcomes counts how jobs ended.
type outcomes struct {
	mu sync.Mutex
	n  map[string]int
}

func (o *outcomes) observer() Observer {
	o.n = map[string]int{}
	return Observer{Ended: func(_, outcome string) { o.mu.Lock(); o.n[outcome]++; o.mu.Unlock() }}
}

func (o *outcomes) String() string { o.mu.Lock(); defer o.mu.Unlock(); return fmt.Sprint(o.n) }

func done(context.Context, store.Job) (Result, error) { return Done, nil }

// A job runs when it is due, to the instant, and a job that a reader makes runs
// at once.
func TestJobsRunWhenDue(t *testing.T) {
	inWorld(t, func(w *world) {
		var h handled
		var late atomic.Int64
		due := w.clock.Now().Add(700 * time.Millisecond)
		r := w.runner([]Reader{tally("q", "as", nil)}, h.handler(func(_ context.Context, job store.Job) (Result, error) {
			if job.ID == "a" {
				late.Store(int64(w.clock.Now().Sub(due)))
			}
			return Done, nil
		}))
		w.put(store.Job{ID: "a", Due: due}, store.Job{ID: "b", Due: due.Add(time.Hour)})
		defer w.start(r)()
		wait(699 * time.Millisecond)
		if h.of("a") != 0 {
			t.Error("it ran too early")
		}
		wait(2 * time.Millisecond)
		if h.of("a") != 1 || late.Load() != 0 {
			t.Errorf("it ran %d times, %v late", h.of("a"), time.Duration(late.Load()))
		}
		p := w.commit(1, r).Partition
		wait(gap)
		w.commit(1, r)
		wait(gap)
		if id := fmt.Sprintf("%02d/2", p); h.of(id) != 1 {
			t.Errorf("job %s of a reader did not run", id)
		}
		wait(time.Hour)
		if _, found := w.job("b"); found || h.of("b") != 1 {
			t.Errorf("b ran %d times", h.of("b"))
		}
	})
}

// How a job ends decides what becomes of it.
func TestJobOutcomes(t *testing.T) {
	inWorld(t, func(w *world) {
		var h handled
		var o outcomes
		now := w.clock.Now()
		handler := h.handler(func(_ context.Context, job store.Job) (Result, error) {
			switch {
			case job.ID == "early" && w.clock.Now() < now.Add(time.Minute):
				return TooEarly(now.Add(time.Minute)), nil
			case job.ID == "early at once" && job.Claims < 3:
				return TooEarly(0), nil
			case job.ID == "fails once" && job.Attempt == 0, job.ID == "dies":
				return Result{}, errBroken
			case job.ID == "panics once" && job.Attempt == 0:
				panic("broken")
			}
			return Done, nil
		})
		handler.Parallel = 10
		r := w.runnerWith(Options{Observer: o.observer()}, nil, handler)
		for _, id := range []string{"done", "early", "early at once", "fails once", "panics once", "dies"} {
			w.put(store.Job{ID: id})
		}
		defer w.start(r)()
		for id, want := range map[string]store.Job{
			"early": {Due: now.Add(time.Minute)}, "early at once": {Due: now.Add(soonest)},
			"dies": {Attempt: 1, Error: errBroken.Error()}, "panics once": {Attempt: 1},
		} {
			job, found := w.job(id)
			if !found || want.Due > 0 && job.Due != want.Due || job.Attempt != want.Attempt ||
				!strings.HasPrefix(job.Error, want.Error) || job.Dead || job.Lease != 0 || strings.Contains(job.Error, "\n") {
				t.Errorf("%s: %+v", id, job)
			}
		}
		wait(2 * time.Minute)
		if !strings.Contains(o.String(), "done:5 early:3 ") {
			t.Error(o.String())
		}
		for _, id := range []string{"done", "early", "early at once", "fails once", "panics once"} {
			if job, found := w.job(id); found {
				t.Errorf("%s: %+v", id, job)
			}
		}
		began := w.clock.Now()
		for !must(w.job("dies")).Dead {
			wait(time.Minute)
		}
		if took := w.clock.Now().Sub(began); took < time.Hour || took > 4*time.Hour {
			t.Errorf("it was given up after %v", took)
		}
		dead, err := Jobs(w.Context(), w.s, true, 0)
		w.check(err)
		if len(dead) != 1 || dead[0].Attempt != maxFailures || h.of("dies") != maxFailures {
			t.Errorf("%+v, ran %d times", dead, h.of("dies"))
		}
		wait(time.Hour)
		w.check(Retry(w.Context(), w.s, "q", "dies", w.clock.Now()))
		wait(scan)
		if job := must(w.job("dies")); job.Dead || job.Attempt == 0 || h.of("dies") != maxFailures+job.Attempt {
			t.Errorf("after a retry: %+v, ran %d times", job, h.of("dies"))
		}
		if err := Retry(w.Context(), w.s, "q", "none", 0); !errors.Is(err, ErrNoJob) {
			t.Error(err)
		}
	})
}

func must(job store.Job, _ bool) store.Job { return job }

// A job that runs longer than its lease keeps it; one whose node is gone comes
// again when the lease has ended, which counts as a crash and not as a failure.
func TestLeases(t *testing.T) {
	inWorld(t, func(w *world) {
		var h handled
		r := w.runner(nil, h.handler(func(_ context.Context, _ store.Job) (Result, error) {
			pause(context.Background(), 5*term, nil)
			return Done, nil
		}))
		w.put(store.Job{ID: "long"}, store.Job{ID: "orphan"})
		_, err := w.s.ClaimJobs(w.Context(), "q", w.clock.Now(), w.clock.Now().Add(term), 9) // by a node that is gone
		w.check(err)
		defer w.start(r)()
		wait(term - time.Millisecond)
		if h.of("long") != 0 {
			t.Fatal("the lease of another node was ignored")
		}
		wait(4 * term)
		if job := must(w.job("long")); job.Crashes != 1 || job.Attempt != 0 || job.Claims != 2 {
			t.Errorf("while it runs: %+v", job)
		}
		wait(3 * term)
		if _, found := w.job("long"); found || h.of("long") != 1 || h.of("orphan") != 1 {
			t.Errorf("they ran %d and %d times", h.of("long"), h.of("orphan"))
		}
	})
}

// A job that crashes its process again and again is dead, without being run.
func TestCrashesMakeAJobDead(t *testing.T) {
	inWorld(t, func(w *world) {
		var h handled
		w.put(store.Job{ID: "a"})
		for range maxCrashes {
			_, err := w.s.ClaimJobs(w.Context(), "q", w.clock.Now(), w.clock.Now().Add(term), 9)
			w.check(err)
			wait(term)
		}
		defer w.start(w.runner(nil, h.handler(done)))()
		wait(term)
		if job := must(w.job("a")); !job.Dead || job.Crashes != maxCrashes || h.of("a") != 0 || !strings.Contains(job.Error, "10 times") {
			t.Errorf("%+v, ran %d times", job, h.of("a"))
		}
	})
}

// So do failures: those of a job that goes on for weeks never add up to a dead job.
func TestARunThatSucceedsForgivesFailures(t *testing.T) {
	inWorld(t, func(w *world) {
		var h handled
		w.put(store.Job{ID: "a"})
		defer w.start(w.runner(nil, h.handler(func(_ context.Context, job store.Job) (Result, error) {
			if job.Claims%2 == 1 {
				return Result{}, errBroken
			}
			return TooEarly(0), nil
		})))()
		for range 3 * maxFailures {
			wait(10 * time.Second)
		}
		if job := must(w.job("a")); job.Dead || job.Attempt > 1 || h.of("a") < 3*maxFailures {
			t.Errorf("%+v, ran %d times", job, h.of("a"))
		}
	})
}

// Crashes count in a row: a run that returns or fails shows that the job does not end
// its process, so the kills of others never add up to a dead job.
func TestARunThatEndsForgivesCrashes(t *testing.T) {
	for name, end := range map[string]func() (Result, error){
		"too early": func() (Result, error) { return TooEarly(0), nil },
		"failed":    func() (Result, error) { return Result{}, errBroken },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				var h handled
				handler := h.handler(func(context.Context, store.Job) (Result, error) { return end() })
				w.put(store.Job{ID: "a"})
				for round := range 3 {
					for range maxCrashes - 1 {
						_, err := w.s.ClaimJobs(w.Context(), "q", w.clock.Now(), w.clock.Now().Add(term), 9)
						w.check(err)
						wait(term)
					}
					ran := h.of("a")
					stop := w.start(w.runner(nil, handler))
					wait(scan)
					stop()
					if job := must(w.job("a")); job.Dead || job.Crashes != 0 || h.of("a") == ran {
						t.Fatalf("round %d: %+v, ran %d times", round, job, h.of("a")-ran)
					}
					wait(lastRetry)
				}
			})
		})
	}
}

// The end of a node waits for the jobs that run, and returns those that take too
// long: another node runs them at once, and they did not fail.
func TestJobsAtTheEndOfANode(t *testing.T) {
	inWorld(t, func(w *world) {
		var h handled
		r := w.runner(nil, h.handler(func(ctx context.Context, job store.Job) (Result, error) {
			if job.ID == "quick" {
				pause(context.Background(), grace/2, nil)
				return Done, ctx.Err()
			}
			<-ctx.Done()
			return Result{}, ctx.Err()
		}))
		w.put(store.Job{ID: "quick"}, store.Job{ID: "long"})
		stop := w.start(r)
		w.put(store.Job{ID: "later", Due: w.clock.Now().Add(time.Second)})
		began := w.clock.Now()
		stop()
		if took := w.clock.Now().Sub(began); took != grace {
			t.Errorf("it took %v", took)
		}
		_, quick := w.job("quick")
		long, later := must(w.job("long")), must(w.job("later"))
		if quick || long.Lease != 0 || long.Attempt != 0 || long.Dead || later.Claims != 0 {
			t.Errorf("%v %+v %+v", quick, long, later)
		}
	})
}

// Two nodes race for jobs, and the store fails now and then: each job has its
// effect once, because its command has the same request id each time.
func TestNodesRaceForJobs(t *testing.T) {
	for name, fault := range map[string]func(s *storetest.Faulty, op storetest.Op, nth int){
		"no faults":            func(*storetest.Faulty, storetest.Op, int) {},
		"failed":               func(s *storetest.Faulty, op storetest.Op, nth int) { s.Fail(op, nth, errBroken) },
		"failed but persisted": func(s *storetest.Faulty, op storetest.Op, nth int) { s.FailAfter(op, nth, errBroken) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				for nth := range 30 {
					fault(w.s, storetest.OpClaim, 3*nth+1)
					fault(w.s, storetest.OpSettle, 2*nth+1)
				}
				var mu sync.Mutex
				effects := map[string]int{}
				handler := Handler{Queue: "q", Parallel: 3, Run: func(ctx context.Context, job store.Job) (Result, error) {
					id := RequestID("close", job.Queue, job.ID)
					c := storetest.Build(w.s.Epoch(), storetest.Draft{Stream: gotong.Stream("thread/" + id), RequestID: id, Actor: System().UserID, Events: 1})
					out, err := store.CommitAll(ctx, w.s, []store.Commit{c})
					if err == nil && out[0].Status == store.Committed {
						mu.Lock()
						effects[job.ID]++
						mu.Unlock()
					}
					return Done, err
				}}
				one, two := w.runner(nil, handler), w.runner(nil, handler)
				for i := range 50 {
					w.put(store.Job{ID: fmt.Sprint(i), Due: w.clock.Now().Add(time.Duration(i%3) * time.Second)})
				}
				stops := []func(){w.start(one), w.start(two)}
				wait(10 * time.Minute)
				for i := range 50 {
					if id := fmt.Sprint(i); effects[id] != 1 {
						t.Errorf("job %s had %d effects", id, effects[id])
					}
				}
				if left, err := Jobs(w.Context(), w.s, false, 0); err != nil || len(left) > 0 {
					t.Errorf("left: %v %v", left, err)
				}
				for _, stop := range stops {
					stop()
				}
			})
		})
	}
}

// A clock that is set forward or back delays no job for longer than it says, runs
// none twice, and loses none.
func TestJobsWhileTheClockIsSet(t *testing.T) {
	for name, steps := range map[string][]time.Duration{
		"forward": {time.Hour}, "back": {-time.Hour}, "both": {time.Hour, -2 * time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				var h handled
				r := w.runner(nil, h.handler(func(context.Context, store.Job) (Result, error) {
					pause(context.Background(), 2*term, nil)
					return Done, nil
				}))
				now := w.clock.Now()
				w.put(store.Job{ID: "orphan", Due: now.Add(-2 * time.Hour)})
				_, err := w.s.ClaimJobs(w.Context(), "q", now, now.Add(term), 9)
				w.check(err)
				w.put(store.Job{ID: "running", Due: now.Add(-2 * time.Hour)}, store.Job{ID: "soon", Due: now.Add(time.Minute)})
				defer w.start(r)()
				for _, step := range steps {
					w.clock.Step(step)
					wait(beat / 2)
				}
				wait(5 * term)
				if h.of("running") != 1 || h.of("orphan") != 1 {
					t.Errorf("they ran %d and %d times", h.of("running"), h.of("orphan"))
				}
				wait(2 * time.Hour)
				if left, err := Jobs(w.Context(), w.s, false, 0); err != nil || len(left) > 0 || h.of("soon") != 1 {
					t.Errorf("left: %v %v; soon ran %d times", left, err, h.of("soon"))
				}
			})
		})
	}
}

// A renewal that was under way while the node claimed its own job again, because
// the clock was set forward, does not end the job.
func TestRenewalBesideAClaim(t *testing.T) {
	inWorld(t, func(w *world) {
		var h handled
		end := make(chan struct{})
		r := w.runner(nil, h.handler(func(ctx context.Context, _ store.Job) (Result, error) {
			select {
			case <-end:
			case <-ctx.Done():
			}
			return Done, ctx.Err()
		}))
		w.put(store.Job{ID: "a"})
		beating := w.s.Hold(storetest.OpSettle, 1)
		defer w.start(r)()
		wait(beat)
		<-beating.Entered()
		w.clock.Step(time.Hour)
		wait(2 * scan)
		if job := must(w.job("a")); job.Claims != 2 {
			t.Fatalf("it was not claimed again: %+v", job)
		}
		beating.Release()
		wait(scan)
		close(end)
		wait(scan)
		if _, found := w.job("a"); found || h.of("a") != 1 {
			t.Errorf("left: %v; it ran %d times", found, h.of("a"))
		}
	})
}

// Nor does such a claim make a job run again that has just ended.
func TestSettlementBesideAClaim(t *testing.T) {
	inWorld(t, func(w *world) {
		var h handled
		var o outcomes
		w.put(store.Job{ID: "a"})
		settling := w.s.Hold(storetest.OpSettle, 1)
		defer w.start(w.runnerWith(Options{Observer: o.observer()}, nil, h.handler(done)))()
		<-settling.Entered()
		w.clock.Step(time.Hour)
		wait(2 * scan)
		if job := must(w.job("a")); job.Claims != 2 {
			t.Fatalf("it was not claimed again: %+v", job)
		}
		settling.Release()
		wait(2 * term)
		if _, found := w.job("a"); found || h.of("a") != 1 || o.String() != "map[done:1]" {
			t.Errorf("left: %v; it ran %d times: %s", found, h.of("a"), o.String())
		}
	})
}

// A node runs no more jobs at once than the handler says, and starts the next one
// when one ends.
func TestJobsAreBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		var now, most atomic.Int64
		handler := Handler{Queue: "q", Parallel: 3, Run: func(context.Context, store.Job) (Result, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			pause(context.Background(), 10*time.Millisecond, nil)
			now.Add(-1)
			return Done, nil
		}}
		for i := range 300 {
			w.put(store.Job{ID: fmt.Sprint(i)})
		}
		began := w.clock.Now()
		defer w.start(w.runner(nil, handler))()
		for {
			left, err := Jobs(w.Context(), w.s, false, 0)
			w.check(err)
			if len(left) == 0 {
				break
			}
			wait(10 * time.Millisecond)
		}
		if took := w.clock.Now().Sub(began); most.Load() != 3 || took > 2*time.Second {
			t.Errorf("%d at once, %v in all", most.Load(), took)
		}
		synctest.Wait()
	})
}
