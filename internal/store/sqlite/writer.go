package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// op is one thing to write. It runs inside a transaction that it shares with
// others, and reads all it depends on before it writes: when it returns an
// error that is harmless it has written nothing. Any other error takes the
// whole transaction back.
type op struct {
	run  func(*writer) error
	done chan struct{}
	err  error
}

// queue holds what waits for the next transaction. Whoever gets the turn
// writes for all that wait.
type queue struct {
	turn chan struct{}
	mu   *sync.Mutex
	ops  *[]*op
}

func newQueue() queue {
	return queue{turn: make(chan struct{}, 1), mu: new(sync.Mutex), ops: new([]*op)}
}

func (q queue) add(o *op) {
	q.mu.Lock()
	defer q.mu.Unlock()
	*q.ops = append(*q.ops, o)
}

// drop removes what nobody has begun; false where it is too late.
func (q queue) drop(o *op) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(*q.ops, o)
	if i >= 0 {
		*q.ops = slices.Delete(*q.ops, i, i+1)
	}
	return i >= 0
}

// maxOps bounds one transaction, and with it how long a latecomer waits.
const maxOps = 256

func (q queue) take() []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(*q.ops), maxOps)
	taken := slices.Clone((*q.ops)[:n])
	*q.ops = slices.Delete(*q.ops, 0, n)
	return taken
}

// write is perform for all that a sealed or unfinished store refuses.
func (s *Store) write(ctx context.Context, run func(*writer) error) error {
	return s.perform(ctx, func(w *writer) error {
		if err := w.gate(); err != nil {
			return err
		}
		return run(w)
	})
}

// perform runs an op to its end. Only while nobody has begun it may ctx end
// the wait.
func (s *Store) perform(ctx context.Context, run func(*writer) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	o := &op{run: run, done: make(chan struct{})}
	s.queue.add(o)
	given, closed := ctx.Done(), s.closed
	for {
		select {
		case <-o.done:
			return o.err
		case s.queue.turn <- struct{}{}:
			s.takeTurn()
		case <-given:
			if s.queue.drop(o) {
				return ctx.Err()
			}
			given = nil
		case <-closed:
			if s.queue.drop(o) {
				return store.ErrClosed
			}
			closed = nil
		}
	}
}

// takeTurn writes what waits. Whatever happens, the turn is given back.
func (s *Store) takeTurn() {
	defer func() { <-s.queue.turn }()
	s.writer.write(s.queue.take(), s.keeper)
}

// Failed implements [store.Health].
func (s *Store) Failed() error { return s.writer.failed.get() }

func (s *Store) usable(ctx context.Context) error {
	select {
	case <-s.closed:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

// writer owns the connection that writes and what it knows of the file. Only
// the holder of the queue's turn uses it.
type writer struct {
	conn        *conn
	now         func() gotong.Instant
	collections map[string]collection

	heads        heads
	dirty        map[gotong.Stream]*head // changed by this transaction
	positions    [gotong.Partitions]uint64
	moved        [gotong.Partitions]bool
	rows         int    // written since the keeper was last woken
	transactions int    // begun
	sealed       string // where the log went
	progress     string // of a copy into this file
	purged       gotong.Instant
	erased       bool // the WAL still holds erased content
	putOff       bool // somebody reads it
	failed       failure
}

// failure is the first [store.ErrFailed] that a writer met.
type failure struct{ first atomic.Pointer[error] }

func (f *failure) get() error {
	if p := f.first.Load(); p != nil {
		return *p
	}
	return nil
}

// set keeps the first error; where that is not an ErrFailed it becomes one.
func (f *failure) set(err error) {
	if !errors.Is(err, store.ErrFailed) {
		err = errors.Join(store.ErrFailed, err)
	}
	f.first.CompareAndSwap(nil, &err)
}

// write runs ops in one transaction and tells each how it went.
func (w *writer) write(ops []*op, k *keeper) {
	if len(ops) == 0 {
		return
	}
	err := w.failed.get()
	if err == nil {
		err = storage(store.Guard(func() error { return w.transact(ops) }))
	}
	if err != nil {
		w.guard(func() error { return w.abandon(err) })
	}
	for _, o := range ops {
		if err != nil {
			o.err = err
		}
		close(o.done)
	}
	if w.failed.get() == nil {
		w.guard(func() error { return w.tend(k) })
	}
}

// guard runs what must not fail. After that nothing is written any more.
func (w *writer) guard(f func() error) {
	if err := store.Guard(f); err != nil {
		w.failed.set(err)
	}
}

func (w *writer) transact(ops []*op) error {
	w.transactions++
	if err := w.conn.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, o := range ops {
		if o.err = o.run(w); o.err != nil && !harmless(o.err) {
			return o.err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.purge(); err != nil {
		return err
	}
	return w.conn.exec("COMMIT")
}

// abandon takes the transaction back, if there is one, and forgets what it
// taught. It fails where storage had, or does.
func (w *writer) abandon(cause error) error {
	var err error
	if !w.conn.db.AutocommitEnabled() {
		err = w.conn.exec("ROLLBACK")
	}
	if err == nil {
		err = w.reload()
	}
	if errors.Is(cause, store.ErrFailed) {
		return cause
	}
	return err
}

// reload reads anew what the writer caches.
func (w *writer) reload() error {
	w.heads, w.dirty, w.moved = heads{most: w.heads.most}, map[gotong.Stream]*head{}, [gotong.Partitions]bool{}
	var err error
	w.positions, err = readPositions(w.conn)
	if err == nil {
		w.sealed, err = readMeta(w.conn, metaSealed)
	}
	if err == nil {
		w.progress, err = readMeta(w.conn, metaProgress)
	}
	return err
}

// flush writes heads and positions, once for all commits of the transaction.
func (w *writer) flush() error {
	for _, h := range w.dirty {
		err := w.conn.exec("UPDATE streams SET home = ?, partition = ?, seq = ?, chain = ?, at = ?, count = ? WHERE no = ?",
			h.Home, gotong.PartitionOf(h.Home), h.Seq, h.Chain[:], h.At, h.Count, int(h.no))
		if err != nil {
			return err
		}
	}
	w.rows += len(w.dirty)
	clear(w.dirty)
	for p := range w.positions {
		if !w.moved[p] {
			continue
		}
		if err := w.conn.exec("INSERT OR REPLACE INTO partitions VALUES (?, ?)", p, w.positions[p]); err != nil {
			return err
		}
		w.moved[p] = false
	}
	return nil
}

// purgeEvery is how often expired registers are dropped, purgeMost in one
// transaction and the rest in the next ones; the clock is the registers' own.
const (
	purgeEvery = gotong.Instant(60_000_000)
	purgeMost  = 500 // stands in the statement too
)

func (w *writer) purge() error {
	now := w.now()
	if now < w.purged+purgeEvery {
		return nil
	}
	err := w.conn.exec(`DELETE FROM registers WHERE (collection, owner, name) IN (
		SELECT collection, owner, name FROM registers WHERE expires > 0 AND expires <= ? LIMIT 500)`, now)
	if err == nil && w.conn.db.Changes() < purgeMost {
		w.purged = now
	}
	return err
}

// tend keeps the WAL short; it is called between transactions. It fails where
// storage did.
func (w *writer) tend(k *keeper) error {
	if err := storage(k.err()); errors.Is(err, store.ErrFailed) {
		return err
	}
	k.writes.Add(1)
	awake := w.rows+transactionRows >= wakeRows
	var err error
	if w.erased && (!w.putOff || awake) {
		err = w.truncate()
	} else if k.finish.CompareAndSwap(true, false) {
		if _, err = checkpoint(w.conn, "PASSIVE"); err == nil && k.pages() > hugePages {
			_, err = cut(w.conn, 0)
		}
	}
	if err = storage(err); errors.Is(err, store.ErrFailed) {
		return err
	}
	if w.rows += transactionRows; awake {
		w.rows = 0
		k.wakeUp()
	}
	return nil
}

// truncate takes erased content out of the WAL too. Where somebody still reads
// old pages it is put off until the next erasure, or until more was written.
func (w *writer) truncate() error {
	left, err := cut(w.conn, truncateTimeout)
	w.erased, w.putOff = left || err != nil, left || err != nil
	return err
}
