package engine

import (
	"context"
	"errors"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// submit passes a decided task to the store. The store gathers the commits of
// many lanes, and calls announce and settle. submit does not block. Once the
// engine has ended, the task is answered as unknown, which is true, and the
// commands that wait behind it proceed.
func (l *lane) submit(t *task) {
	l.mu.Lock()
	l.inflight++
	if l.pending == nil {
		l.pending = map[gotong.RequestKey]int{}
	}
	l.pending[t.cmd.Key()]++
	l.mu.Unlock()
	if l.engine.ended.Load() {
		t.fail(errUnknown())
		return
	}
	err := store.Guard(func() error {
		l.engine.opts.Store.Submit(decided{t}, t.commit[:], t.announce, t.settle)
		return nil
	})
	if err != nil { // the store rejected the commit
		t.settle(nil, err)
	}
}

// announce is called when the task's commit is durable.
func (t *task) announce(outcomes []store.Outcome) {
	o, rows := &outcomes[0], t.commit[0].Events
	if o.Status != store.Committed || len(rows) == 0 {
		return
	}
	for i := range rows {
		rows[i].Position, rows[i].Partition = o.Record.Position, o.Record.Partition
	}
	e := t.engine
	e.guard(t.ctx, func() { e.opts.Committed(decided{t}, rows) })
}

func (t *task) settle(outcomes []store.Outcome, err error) {
	if err != nil {
		t.engine.note(t.ctx, err)
		t.fail(store.CodedWrite(err))
		return
	}
	again := false
	o := &outcomes[0]
	switch o.Status {
	case store.Committed:
		t.done(t.receipt(&o.Record), nil)
	case store.Replayed: // the receipt is read from the store
		t.engine.running.Go(func() { t.engine.replay(t, o.Record) })
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

func (t *task) receipt(record *store.Record) gotong.Receipt {
	r, rows := receiptOf(record), t.commit[0].Events
	r.Access = t.access
	if len(rows) == 1 {
		r.EventIDs = t.id[:0:1]
	}
	return withEvents(r, rows)
}

// fail answers a task whose commit is not known to be durable.
func (t *task) fail(err error) {
	t.done(gotong.Receipt{}, err)
	t.lane.settle(t, false, false)
}

// note reports an error of the store that rejects a command. If storage failed, it ends the engine's
// work; the cause is reported once.
func (e *Engine) note(ctx context.Context, err error) {
	if errors.Is(err, store.ErrCorrupt) {
		e.opts.Damage(err)
	}
	failed := errors.Is(err, store.ErrFailed)
	first := failed && e.cause.CompareAndSwap(nil, &err)
	if errors.Is(err, store.ErrFault) && (first || !failed) {
		e.opts.Fault(ctx, err)
	}
	if first {
		close(e.failed)
	}
}

func taken(claim gotong.Claim) *gotong.Error {
	return &gotong.Error{
		Code: gotong.CodeExists, Detail: "This " + claim.Space + " is taken.",
		Fields: []gotong.FieldError{{Field: claim.Space, Detail: "is taken"}},
	}
}
