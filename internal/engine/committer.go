package engine

import (
	"context"
	"errors"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// committer gathers what the lanes decided and commits it in batches: one
// transaction, one sync, one fate for each commit.
type committer struct {
	engine *Engine
	wake   chan struct{} // holds at most one wake-up
	stop   chan struct{}
	done   chan struct{}
	failed chan struct{} // closed by the committer's goroutine alone
	cause  error         // why; set before failed is closed

	mu    sync.Mutex
	queue []*task
	ended bool // nothing is committed any more

	stopOnce sync.Once
}

func newCommitter(e *Engine) *committer {
	c := &committer{
		engine: e, wake: make(chan struct{}, 1), stop: make(chan struct{}),
		done: make(chan struct{}), failed: make(chan struct{}),
	}
	go c.run()
	return c
}

// add hands over a decided task. One that comes after the end is answered as
// unknown, which is true, and frees those that wait behind it.
func (c *committer) add(t *task) {
	c.mu.Lock()
	late := c.ended
	if !late {
		c.queue = append(c.queue, t)
	}
	c.mu.Unlock()
	if late {
		t.done(gotong.Receipt{}, errUnknown())
		t.lane.settle(t, false, false)
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// close lets what is queued be committed and ends the goroutine.
func (c *committer) close(ctx context.Context) error {
	c.stopOnce.Do(func() { close(c.stop) })
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *committer) run() {
	defer close(c.done)
	for {
		batch := c.take()
		if len(batch) > 0 {
			c.commit(batch)
			continue
		}
		select {
		case <-c.wake:
		case <-c.stop:
			if c.end() {
				return
			}
		}
	}
}

// end ends the committing, unless something waits for it.
func (c *committer) end() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = len(c.queue) == 0
	return c.ended
}

func (c *committer) take() []*task {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.queue), c.engine.opts.MaxBatch)
	batch := c.queue[:n:n]
	c.queue = c.queue[n:]
	return batch
}

// commit is the commit point: before it nothing happened, after it everything
// did, and only then is anybody told.
func (c *committer) commit(batch []*task) {
	commits := make([]store.Commit, len(batch))
	for i, t := range batch {
		commits[i] = t.commit
	}
	began := c.engine.opts.Clock.Mono()
	// Nobody's deadline: a commit that has begun runs to its end.
	var outcomes []store.Outcome
	err := store.Guard(func() (err error) {
		outcomes, err = c.engine.opts.Store.Commit(context.WithoutCancel(batch[0].ctx), commits)
		return err
	})
	c.engine.opts.Observer.Committing(len(batch), c.engine.opts.Clock.Mono().Sub(began))
	if err != nil {
		c.fail(batch, err)
		return
	}
	for i, t := range batch {
		if outcomes[i].Status == store.Committed && len(commits[i].Events) > 0 {
			c.announce(t, commits[i].Events, outcomes[i].Record)
		}
	}
	for i, t := range batch {
		c.settle(t, commits[i].Events, outcomes[i])
	}
}

func (c *committer) announce(t *task, rows []store.Event, record store.Record) {
	for i := range rows {
		rows[i].Position, rows[i].Partition = record.Position, record.Partition
	}
	c.engine.guard(t.ctx, func() { c.engine.opts.Committed(context.WithoutCancel(t.ctx), rows) })
}

// settle gives one task its outcome.
func (c *committer) settle(t *task, rows []store.Event, o store.Outcome) {
	again := false
	switch o.Status {
	case store.Committed:
		receipt := receiptOf(o.Record, rows)
		receipt.Access = t.access
		t.done(receipt, nil)
	case store.Replayed:
		go c.engine.replay(t, o.Record) // reads the store
	case store.Taken:
		t.done(gotong.Receipt{}, taken(o.Claim))
	case store.Moved, store.Stale:
		t.tries++
		again = t.tries < maxTries
		if !again {
			t.done(gotong.Receipt{}, errUnknown())
		}
	}
	t.lane.settle(t, o.Status == store.Committed, again)
}

// fail answers a whole batch whose fate is one error.
func (c *committer) fail(batch []*task, err error) {
	if errors.Is(err, store.ErrFault) {
		c.engine.opts.Fault(batch[0].ctx, err)
	}
	if errors.Is(err, store.ErrFailed) {
		select {
		case <-c.failed:
		default:
			c.cause = err
			close(c.failed)
		}
	}
	for _, t := range batch {
		t.done(gotong.Receipt{}, store.CodedWrite(err))
		t.lane.settle(t, false, false)
	}
}

func taken(claim gotong.Claim) *gotong.Error {
	return &gotong.Error{
		Code: gotong.CodeExists, Detail: "This " + claim.Space + " is taken.",
		Fields: []gotong.FieldError{{Field: claim.Space, Detail: "is taken"}},
	}
}
