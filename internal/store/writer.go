package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrBusy is the error of a write that the [Writer] rejected because its queue is
// full, or that collided with other writes too often; nothing was written.
var ErrBusy = errors.New("store: too many writes wait or collide")

// Writer is the one queue in front of a database. It writes everything that
// waits in one transaction and then answers each caller. W is what the adapter
// writes: a function, or a batch of commits.
//
// Two goroutines share the work. One holds the turn, and with it the connection
// that writes; when its transaction has ended, it passes the turn on and answers
// its callers while the other one writes. Callers are answered in the order of
// transactions.
type Writer[W any] struct {
	o WriterOptions[W]

	mu     sync.Mutex
	wake   sync.Cond // the turn is offered, or the writer closed
	queue  []*Work[W]
	bytes  int // in the queue
	turn   turn
	closed bool

	failed    atomic.Pointer[error]
	answering chan struct{} // holds a token while callers are answered; taken before the turn is passed on
	workers   sync.WaitGroup
}

type turn uint8

const (
	free    turn = iota
	offered      // a worker was woken for it
	held
)

// WriterOptions configure a [Writer]. Write is required.
type WriterOptions[W any] struct {
	// Write writes a batch with one sync, or with none if every write is Lazy. It sets the Err of each write that
	// failed alone; the error that it returns is that of the whole batch. A panic
	// in it is an [ErrFault] of the whole batch. After an [ErrFailed] it is not
	// called again.
	Write func(batch []*Work[W]) error

	// Observe is called when a transaction with commits begins, with their
	// number; the function that it returns is called when the transaction has
	// ended. Nil: nothing is called.
	Observe func(commits int) (ended func())

	MaxBatch      int // units in one transaction; 0 is 256
	MaxBatchBytes int // bytes in one transaction; 0 is 8 MiB
	MaxQueue      int // writes that wait; 0 is 16,384
	MaxQueueBytes int // bytes that wait; 0 is 64 MiB
}

// Work is one write. The callbacks run one after the other on the goroutine
// that wrote; they must neither block nor panic.
type Work[W any] struct {
	What    W
	Commits int   // how many commits it holds
	Bytes   int   // about how many it writes
	Lazy    bool  // it needs no sync of its own
	Err     error // set by [WriterOptions.Write]

	// Announce is called if Err is nil, before any caller of the same transaction
	// is answered. Nil: nothing is called.
	Announce func()
	// Done is called once, with the error of the write.
	Done func(error)

	unhook func() bool // stops watching the context
}

// CommitWork returns the write of a batch. The adapter puts the outcomes into
// out.
func CommitWork[W any](
	what W, batch []Commit, out []Outcome, announce func([]Outcome), done func([]Outcome, error),
) *Work[W] {
	k := &Work[W]{What: what, Commits: len(batch), Done: func(err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(out, nil)
	}}
	if announce != nil {
		k.Announce = func() { announce(out) }
	}
	for i := range batch {
		k.Bytes += batch[i].Size()
	}
	return k
}

// units returns what the work counts against MaxBatch.
func (k *Work[W]) units() int { return max(1, k.Commits) }

// NewWriter starts a writer; [Writer.Close] ends it.
func NewWriter[W any](o WriterOptions[W]) *Writer[W] {
	o.MaxBatch = cmp.Or(o.MaxBatch, 256)
	o.MaxBatchBytes = cmp.Or(o.MaxBatchBytes, 8<<20)
	o.MaxQueue = cmp.Or(o.MaxQueue, 16<<10)
	o.MaxQueueBytes = cmp.Or(o.MaxQueueBytes, 64<<20)
	w := &Writer[W]{o: o, answering: make(chan struct{}, 1)}
	w.wake.L = &w.mu
	for range 2 { // one writes, one answers
		w.workers.Go(w.run)
	}
	return w
}

// Submit queues a write and returns at once. Writes submitted one after the
// other are written in that order. Done receives [ErrClosed] or [ErrBusy] if the
// write is rejected, possibly before Submit returns, and the error of ctx if ctx
// ends before the transaction has begun; afterwards ctx has no effect.
func (w *Writer[W]) Submit(ctx context.Context, k *Work[W]) {
	err := ctx.Err()
	if err == nil {
		err = w.add(ctx, k)
	}
	if err != nil {
		k.Done(err)
	}
}

func (w *Writer[W]) add(ctx context.Context, k *Work[W]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return ErrClosed
	case len(w.queue) >= w.o.MaxQueue, len(w.queue) > 0 && w.bytes+k.Bytes > w.o.MaxQueueBytes:
		return ErrBusy
	}
	if ctx.Done() != nil {
		k.unhook = context.AfterFunc(ctx, func() { w.drop(ctx, k) })
	}
	w.queue = append(w.queue, k)
	w.bytes += k.Bytes
	if w.turn == free {
		w.offer()
	}
	return nil
}

// offer wakes a worker to take the turn. w.mu is held.
func (w *Writer[W]) offer() {
	w.turn = offered
	w.wake.Signal()
}

// drop removes a write whose context has ended and answers it, unless its
// transaction has begun.
func (w *Writer[W]) drop(ctx context.Context, k *Work[W]) {
	w.mu.Lock()
	i := slices.Index(w.queue, k)
	if i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
		w.bytes -= k.Bytes
	}
	w.mu.Unlock()
	if i >= 0 {
		k.Done(ctx.Err())
	}
}

// Do submits a write and returns its error.
func (w *Writer[W]) Do(ctx context.Context, what W, size int) error {
	return w.do(ctx, &Work[W]{What: what, Bytes: size})
}

// DoLazily is Do for a write that needs no sync of its own.
func (w *Writer[W]) DoLazily(ctx context.Context, what W, size int) error {
	return w.do(ctx, &Work[W]{What: what, Bytes: size, Lazy: true})
}

func (w *Writer[W]) do(ctx context.Context, k *Work[W]) error {
	answered := make(chan error, 1)
	k.Done = func(err error) { answered <- err }
	w.Submit(ctx, k)
	return <-answered
}

// Failed returns the first [ErrFailed] of a write; nil if there was none.
func (w *Writer[W]) Failed() error {
	if p := w.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// Fail ends all writing: every later write fails with an [ErrFailed] of the
// first cause.
func (w *Writer[W]) Fail(cause error) {
	if !errors.Is(cause, ErrFailed) {
		cause = fmt.Errorf("%w: %w", ErrFailed, cause)
	}
	w.failed.CompareAndSwap(nil, &cause)
}

// Close rejects later writes, and returns when those that wait have been written
// and answered. It must not be called from a callback.
func (w *Writer[W]) Close() {
	w.mu.Lock()
	w.closed = true
	w.wake.Broadcast()
	w.mu.Unlock()
	w.workers.Wait()
}

func (w *Writer[W]) run() {
	for batch := w.take(); batch != nil; batch = w.take() {
		err := w.write(batch)
		w.answering <- struct{}{}
		w.pass()
		answer(batch, err)
		<-w.answering
		clear(batch) // the queue still uses its array
	}
}

// take waits for the turn and returns the writes of the next transaction, at
// least one; nil when the writer is closed and nothing waits.
func (w *Writer[W]) take() []*Work[W] {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.turn != offered || len(w.queue) == 0 {
		switch {
		case w.turn == offered: // every write that waited was dropped
			w.turn = free
		case w.closed && len(w.queue) == 0:
			return nil
		default:
			w.wake.Wait()
		}
	}
	w.turn = held
	n, units, bytes := 0, 0, 0
	for n < len(w.queue) {
		k := w.queue[n]
		if units, bytes = units+k.units(), bytes+k.Bytes; n > 0 && (units > w.o.MaxBatch || bytes > w.o.MaxBatchBytes) {
			bytes -= k.Bytes
			break
		}
		n++
	}
	batch := w.queue[:n:n]
	w.queue = w.queue[n:]
	w.bytes -= bytes
	return batch
}

// pass offers the turn to the other worker if something waits.
func (w *Writer[W]) pass() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn = free
	if len(w.queue) > 0 {
		w.offer()
	} else if w.closed {
		w.wake.Broadcast()
	}
}

func (w *Writer[W]) write(batch []*Work[W]) error {
	if err := w.Failed(); err != nil {
		return err
	}
	commits := 0
	for _, k := range batch {
		commits += k.Commits
	}
	if commits > 0 && w.o.Observe != nil {
		defer w.o.Observe(commits)()
	}
	err := Guard(func() error { return w.o.Write(batch) })
	if errors.Is(err, ErrFailed) {
		w.Fail(err)
	}
	return err
}

// answer announces the commits that were written, and only then answers the
// callers.
func answer[W any](batch []*Work[W], err error) {
	for _, k := range batch {
		if err != nil {
			k.Err = err
		}
		if k.Err == nil && k.Announce != nil {
			k.Announce()
		}
	}
	for _, k := range batch {
		if k.unhook != nil {
			k.unhook()
		}
		k.Done(k.Err)
	}
}
