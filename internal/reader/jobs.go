package reader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// How jobs are run.
const (
	term        = 30 * time.Second // of a lease
	beat        = term / 3         // between two renewals of a lease
	scan        = time.Second      // at most, between two looks for due jobs
	scanLeases  = 30 * time.Second // between two searches for leases of a clock that was set back
	grace       = 5 * time.Second  // for the jobs that run when the node stops
	maxFailures = 20               // then a job is dead: after about three hours
	maxCrashes  = 10               // then too, if none of its runs ended between them
	firstRetry  = time.Second
	lastRetry   = 15 * time.Minute
	soonest     = time.Second // from now, at which a job that was too early is due again
)

// Observer is called for what happened. It must not block.
type Observer struct {
	// Advanced is called after changes of documents were written; it may miss some. For
	// what a rebuild makes again, it is not called.
	Advanced func(changes []store.Change)

	// Ended is called when a job ended: done, early, failed, dead, returned, or
	// lost if its lease had ended.
	Ended func(queue, outcome string)
}

type queue struct {
	runner   *Runner
	handler  *Handler
	parallel int
	wake     chan struct{}
	jobs     sync.WaitGroup
	searched clock.Moment // when leases of a clock that was set back were last searched for

	mu      sync.Mutex
	running map[string]*claim
	next    gotong.Instant // when a job is due, at the last look; 0: there is none
}

func newQueue(r *Runner, h *Handler) *queue {
	q := &queue{runner: r, handler: h, parallel: h.Parallel, wake: make(chan struct{}, 1), running: map[string]*claim{}}
	if q.parallel <= 0 {
		q.parallel = 4
	}
	return q
}

// run runs jobs until ctx ends, and then waits for those that run. After the
// grace their context ends, and they are returned.
func (q *queue) run(ctx context.Context) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for ctx.Err() == nil {
		pause(ctx, q.turn(ctx, work), q.wake)
	}
	defer time.AfterFunc(grace, cancel).Stop()
	q.jobs.Wait()
}

// turn starts the jobs that are due, as many as there is room for. It returns how
// long the next look may wait.
func (q *queue) turn(ctx, work context.Context) time.Duration {
	q.mu.Lock()
	free := q.parallel - len(q.running)
	q.mu.Unlock()
	if free == 0 { // the end of a job is a wake-up
		return scan
	}
	var jobs []store.Job
	next, err := q.runner.opt.Store.NextDue(ctx, q.handler.Queue)
	now, moment := q.runner.opt.Clock.Now(), q.runner.opt.Clock.Mono()
	if search := next > 0 && moment.Sub(q.searched) >= scanLeases; err == nil && (search || next > 0 && next <= now) {
		q.searched = moment
		jobs, err = q.runner.opt.Store.ClaimJobs(ctx, q.handler.Queue, now, now.Add(term), free)
	}
	if err != nil {
		if ctx.Err() == nil {
			q.runner.fault(ctx, err)
		}
		return scan
	}
	q.begin(work, next, jobs)
	switch {
	case next > now:
		return min(scan, next.Sub(now))
	case len(jobs) == free: // there may be more
		return 0
	}
	return scan
}

// begin starts jobs that were claimed. One that still runs here, because the clock
// was set past the end of its lease, goes on under the new claim.
func (q *queue) begin(work context.Context, next gotong.Instant, jobs []store.Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = next
	for _, job := range jobs {
		if c := q.running[job.ID]; c != nil {
			job.Crashes--
			c.mu.Lock()
			c.job = job
			c.mu.Unlock()
			continue
		}
		c := &claim{q: q, job: job}
		q.running[job.ID] = c
		q.jobs.Go(func() { c.one(work) })
	}
}

type claim struct {
	q *queue

	mu  sync.Mutex
	job store.Job
}

// one runs the job and makes room for the next one.
func (c *claim) one(ctx context.Context) {
	outcome := c.run(ctx)
	c.q.mu.Lock()
	delete(c.q.running, c.current().ID)
	c.q.mu.Unlock()
	if ended := c.q.runner.opt.Observer.Ended; ended != nil {
		ended(c.q.handler.Queue, outcome)
	}
	signal(c.q.wake)
}

// run runs the job and settles it. It returns the outcome. A run that ends shows
// that the job does not end its process each time, so crashes count anew from there.
func (c *claim) run(ctx context.Context) (outcome string) {
	job := c.current()
	result, err := Done, fmt.Errorf("the process ended %d times while the job ran", job.Crashes)
	if job.Crashes < maxCrashes {
		result, err = c.handle(ctx, job)
	}
	now, next := c.q.runner.opt.Clock.Now(), &job
	switch {
	case err == nil && result == Done:
		outcome, next = "done", nil
	case err == nil:
		outcome, job.Due = "early", max(result.again, now.Add(soonest))
		job.Attempt, job.Crashes, job.Error = 0, 0, ""
	case ctx.Err() != nil:
		outcome = "returned"
	case job.Crashes >= maxCrashes || job.Attempt+1 >= maxFailures:
		outcome, job.Attempt, job.Dead, job.Error = "dead", job.Attempt+1, true, firstLine(err)
		c.q.runner.opt.Log.ErrorContext(ctx, "a job is dead; correct the cause and run gotong job retry",
			"queue", job.Queue, "job", job.ID, "failures", job.Attempt, "crashes", job.Crashes, "cause", err)
	default:
		outcome, job.Attempt, job.Error, job.Crashes = "failed", job.Attempt+1, firstLine(err), 0
		job.Due = now.Add(backOff(job.Attempt))
		c.q.runner.opt.Log.WarnContext(ctx, "a job failed; it will be tried again",
			"queue", job.Queue, "job", job.ID, "failures", job.Attempt, "due", job.Due, "cause", err)
	}
	job.Lease = 0
	return c.settle(context.WithoutCancel(ctx), next, outcome)
}

func (c *claim) current() store.Job {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.job
}

// backOff returns how long a job waits after its nth failure.
func backOff(n int) time.Duration {
	d := min(firstRetry<<min(n-1, 20), lastRetry)
	return d/2 + rand.N(d/2) //nolint:gosec // spreads load, guards nothing
}

// handle runs the handler while the lease is renewed. If the lease is lost, the
// context of the job ends.
func (c *claim) handle(ctx context.Context, job store.Job) (result Result, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var heart sync.WaitGroup
	heart.Go(func() {
		for pause(ctx, beat, nil) {
			if errors.Is(c.renew(ctx), store.ErrConflict) {
				cancel()
			}
		}
	})
	err = store.Guard(func() (err error) { result, err = c.q.handler.Run(ctx, job); return err })
	cancel()
	heart.Wait()
	return result, err
}

// renew prolongs the lease. An error of the store is no loss: another beat, or
// the end of the lease, follows.
func (c *claim) renew(ctx context.Context) error {
	held := c.current()
	longer := held
	longer.Lease = c.q.runner.opt.Clock.Now().Add(term)
	err := c.q.runner.opt.Store.SettleJob(ctx, held, &longer)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.job.Claims != held.Claims: // claimed again by this node
		return nil
	case err == nil:
		c.job = longer
	}
	return err
}

// settle writes how the job ended, and tries again until its lease would have
// ended. It returns the outcome: lost if the job belongs to somebody else by now,
// or if an earlier try took effect without an answer.
func (c *claim) settle(ctx context.Context, next *store.Job, outcome string) string {
	for began := c.q.runner.opt.Clock.Mono(); ; {
		held := c.current()
		err := c.q.runner.opt.Store.SettleJob(ctx, held, next)
		switch {
		case err == nil:
			return outcome
		case errors.Is(err, store.ErrConflict) && c.current().Claims != held.Claims: // claimed again by this node
			continue
		case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFailed),
			c.q.runner.opt.Clock.Mono().Sub(began) > term:
			return "lost"
		}
		pause(ctx, scan, nil)
	}
}
