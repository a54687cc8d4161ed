package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Op names a call of a store that [Faulty] can make fail or wait.
type Op string

// The calls that can be made to fail or wait.
const (
	OpCommit      Op = "Submit"
	OpLoad        Op = "Load"
	OpRead        Op = "ReadPartition"
	OpSetRegister Op = "SetRegister"
	OpAdvance     Op = "Advance"
	OpClaim       Op = "ClaimJobs"
	OpSettle      Op = "SettleJob"
)

// Faulty is a store whose calls fail or wait as a test has planned; all other
// calls reach the store unchanged. It is safe for concurrent use.
type Faulty struct {
	store.Whole

	mu    sync.Mutex
	calls map[Op]int
	plans map[Op]map[int]plan
	lost  map[lostEvent]bool

	line line // of batches
}

// lostEvent names an event whose row is gone.
type lostEvent struct {
	stream gotong.Stream
	seq    uint64
}

type plan struct {
	err   error
	after bool
	hold  *Hold
}

// Hold is a call that waits.
type Hold struct {
	entered chan struct{}
	release chan struct{}
	once    sync.Once
}

// Entered is closed when the call has begun.
func (h *Hold) Entered() <-chan struct{} { return h.entered }

// Release ends the wait of the call. It may be called more than once.
func (h *Hold) Release() { h.once.Do(func() { close(h.release) }) }

// NewFaulty returns a wrapped store; without plans it changes nothing.
func NewFaulty(s store.Whole) *Faulty {
	return &Faulty{Whole: s, calls: map[Op]int{}, plans: map[Op]map[int]plan{}, lost: map[lostEvent]bool{}}
}

// Lose makes later reads see no row of this event.
func (f *Faulty) Lose(s gotong.Stream, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost[lostEvent{s, seq}] = true
}

// until returns the rows before the first one that is lost, or before its whole
// commit.
func (f *Faulty) until(rows []store.Event, whole bool) ([]store.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range rows {
		if !f.lost[lostEvent{rows[i].Stream, rows[i].Seq}] {
			continue
		}
		n := i
		for n > 0 && whole && rows[n-1].Position == rows[i].Position {
			n--
		}
		if n == 0 {
			return nil, fmt.Errorf("%w: %s has no event %d", store.ErrCorrupt, rows[i].Stream, rows[i].Seq)
		}
		return rows[:n], nil
	}
	return rows, nil
}

// Fail makes the nth call of op from now on (1 is the next) fail with err
// before it takes effect.
func (f *Faulty) Fail(op Op, nth int, err error) { f.plan(op, nth, plan{err: err}) }

// FailAfter makes the nth call of op from now on take effect and then fail
// with err, as if its answer were lost.
func (f *Faulty) FailAfter(op Op, nth int, err error) { f.plan(op, nth, plan{err: err, after: true}) }

// Forget makes the nth Commit from now on acknowledge its batch and write
// nothing of it.
func (f *Faulty) Forget(nth int) { f.plan(OpCommit, nth, plan{err: errForgotten}) }

var errForgotten = errors.New("storetest: acknowledged, and not written")

// Hold makes the nth call of op from now on wait, before it takes effect,
// until it is released or its context is done.
func (f *Faulty) Hold(op Op, nth int) *Hold {
	h := newHold()
	f.plan(op, nth, plan{hold: h})
	return h
}

// HoldAfter makes the nth call of op from now on take effect and then wait, as
// [Faulty.Hold] does.
func (f *Faulty) HoldAfter(op Op, nth int) *Hold {
	h := newHold()
	f.plan(op, nth, plan{hold: h, after: true})
	return h
}

// Calls returns how often op was called.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func newHold() *Hold { return &Hold{entered: make(chan struct{}), release: make(chan struct{})} }

func (f *Faulty) plan(op Op, nth int, p plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.plans[op] == nil {
		f.plans[op] = map[int]plan{}
	}
	f.plans[op][f.calls[op]+nth] = p
}

// next counts a call and returns its plan.
func (f *Faulty) next(op Op) plan {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	p := f.plans[op][f.calls[op]]
	delete(f.plans[op], f.calls[op])
	return p
}

// call runs one call of op as planned.
func (f *Faulty) call(ctx context.Context, op Op, run func() error) error {
	p := f.next(op)
	if p.after {
		if err := run(); err != nil {
			return err
		}
		return p.meddle(ctx)
	}
	if err := p.meddle(ctx); err != nil {
		return err
	}
	return run()
}

func (p plan) meddle(ctx context.Context) error {
	if p.hold == nil {
		return p.err
	}
	close(p.hold.entered)
	select {
	case <-p.hold.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Submit implements [store.Committer]. Batches submitted after one that waits
// wait too, so that their order stays.
func (f *Faulty) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	p := f.next(OpCommit)
	if p.after {
		f.submitAfter(ctx, p, batch, announce, done)
		return
	}
	f.line.join(p.hold != nil, func() {
		switch err := p.meddle(ctx); {
		case errors.Is(err, errForgotten):
			out := make([]store.Outcome, len(batch))
			for i := range batch {
				out[i] = store.Outcome{Status: store.Committed, Record: batch[i].Record(1)}
			}
			if announce != nil {
				announce(out)
			}
			done(out, nil)
		case err != nil:
			done(nil, err)
		default:
			f.Whole.Submit(ctx, batch, announce, done)
		}
	})
}

// submitAfter fails or delays the answer to a batch that was written. No later
// batch is answered before it.
func (f *Faulty) submitAfter(
	ctx context.Context, p plan, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	f.line.join(false, func() {
		f.Whole.Submit(ctx, batch, nil, func(out []store.Outcome, err error) {
			if err == nil {
				err = p.meddle(ctx)
			}
			if err != nil {
				done(nil, err)
				return
			}
			if announce != nil {
				announce(out)
			}
			done(out, nil)
		})
	})
}

// line keeps submitted batches in order while one of them waits.
type line struct {
	mu      sync.Mutex
	waiting []func()
	moving  bool // a goroutine runs those that wait
}

// join runs f at once or, after those that wait, on a goroutine of its own.
func (l *line) join(waits bool, f func()) {
	l.mu.Lock()
	if !waits && !l.moving {
		l.mu.Unlock()
		f()
		return
	}
	l.waiting = append(l.waiting, f)
	if !l.moving {
		l.moving = true
		go l.move()
	}
	l.mu.Unlock()
}

func (l *line) move() {
	for {
		l.mu.Lock()
		if len(l.waiting) == 0 {
			l.moving = false
			l.mu.Unlock()
			return
		}
		f := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.mu.Unlock()
		f()
	}
}

// Load implements [store.Committer].
func (f *Faulty) Load(ctx context.Context, need store.Need) (snap store.Snapshot, err error) {
	err = f.call(ctx, OpLoad, func() error { snap, err = f.Whole.Load(ctx, need); return err })
	for i := range snap.Events {
		if err == nil {
			snap.Events[i], err = f.until(snap.Events[i], false)
		}
	}
	if err != nil {
		return store.Snapshot{}, err
	}
	return snap, nil
}

// ReadPartition implements [store.Log].
func (f *Faulty) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) (rows []store.Event, err error) {
	err = f.call(ctx, OpRead, func() error { rows, err = f.Whole.ReadPartition(ctx, p, from, to, limit); return err })
	if err != nil {
		return nil, err
	}
	return f.until(rows, true)
}

// SetRegister implements [store.Registers].
func (f *Faulty) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	return f.call(ctx, OpSetRegister, func() error { return f.Whole.SetRegister(ctx, key, expect, body, expires) })
}

// Advance implements [store.Readers].
func (f *Faulty) Advance(ctx context.Context, steps ...store.Step) error {
	return f.call(ctx, OpAdvance, func() error { return f.Whole.Advance(ctx, steps...) })
}

// ClaimJobs implements [store.Jobs].
func (f *Faulty) ClaimJobs(
	ctx context.Context, queue string, now, lease gotong.Instant, limit int,
) (jobs []store.Job, err error) {
	err = f.call(ctx, OpClaim, func() error { jobs, err = f.Whole.ClaimJobs(ctx, queue, now, lease, limit); return err })
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

// SettleJob implements [store.Jobs].
func (f *Faulty) SettleJob(ctx context.Context, job store.Job, next *store.Job) error {
	return f.call(ctx, OpSettle, func() error { return f.Whole.SettleJob(ctx, job, next) })
}
