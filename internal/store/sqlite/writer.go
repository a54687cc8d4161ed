package sqlite

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// op is one thing to write. It runs inside a transaction that it shares with
// others, and reads all it depends on before it writes: when it returns an
// error that is harmless, it has written nothing. Any other error rolls the whole
// transaction back.
type op func(*writer) error

// write runs a transaction of [sqlstore.DB]. ctx takes back only what has not begun.
func (s *Store) write(ctx context.Context, how sqlstore.How, ask func(sqlstore.Batch), tell func(sqlstore.Batch) error) error {
	run := func(w *writer) error {
		b := batch{conn: w.conn, ends: &w.ends}
		if b.err = w.gate(how); b.err == nil {
			ask(&b)
		}
		if b.err != nil {
			return b.err
		}
		err := tell(&b)
		w.rows += b.writes
		if err = cmp.Or(b.err, err); err == nil && how.Moves {
			err = w.readGate()
		}
		if how.Moves {
			err = once(err)
		}
		return err
	}
	if how.Lazy {
		return s.queue.DoLazily(ctx, run, how.Size)
	}
	return s.queue.Do(ctx, run, how.Size)
}

// Failed implements [store.Health].
func (s *Store) Failed() error { return s.queue.Failed() }

// writer owns the connection that writes and what it knows of the file. One
// goroutine at a time uses it: the one that has the queue's turn.
type writer struct {
	conn        *conn
	base        *store.Base
	collections map[string]collection

	tip          tip                     // what was committed
	ends         ends                    // with what this transaction wrote
	dirty        map[gotong.Stream]*head // changed by this transaction
	rows         int                     // written since the keeper was last woken
	size         *atomic.Int64           // of the file in pages, when the writer last looked
	transactions int                     // begun
	sealed       string                  // where the log went
	progress     string                  // of a copy into this file
	purged       gotong.Instant
	erased       bool // the WAL still holds erased content
	putOff       bool // somebody reads it
	lazy         bool // transactions are not synced now
}

// writeAll writes ops in one transaction, and then tends the WAL. If one fails
// because a row was changed from outside, each op gets a transaction of its own, so
// that this one fails alone.
func (s *Store) writeAll(ops []*store.Work[op]) error {
	err := s.attempt(ops)
	if errors.Is(err, store.ErrCorrupt) && len(ops) > 1 {
		err = s.writeEach(ops)
	}
	if s.Failed() == nil && !errors.Is(err, store.ErrFailed) {
		s.mustNotFail(func() error { return s.writer.tend(s.keeper) })
	}
	return err
}

func (s *Store) writeEach(ops []*store.Work[op]) error {
	for i, o := range ops {
		switch err := s.attempt(ops[i : i+1]); {
		case errors.Is(err, store.ErrFailed):
			return err // also of the others, whose outcome is then unknown
		case err != nil:
			o.Err = err
		}
	}
	return nil
}

// attempt writes ops in one transaction, and rolls it back if that fails.
func (s *Store) attempt(ops []*store.Work[op]) error {
	lazy := !slices.ContainsFunc(ops, func(k *store.Work[op]) bool { return !k.Lazy })
	err := storage(store.Guard(func() error { return s.writer.transact(ops, lazy) }))
	if err != nil {
		s.mustNotFail(func() error { return s.writer.abandon(err) })
	}
	return err
}

// mustNotFail runs f; where that fails, nothing is written any more.
func (s *Store) mustNotFail(f func() error) {
	if err := store.Guard(f); err != nil {
		s.queue.Fail(err)
	}
}

func (w *writer) transact(ops []*store.Work[op], lazy bool) error {
	w.transactions++
	if err := w.setLazy(lazy); err != nil {
		return err
	}
	if err := w.conn.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, o := range ops {
		if o.Err = o.What(w); o.Err != nil && !harmless(o.Err) {
			return o.Err
		}
	}
	if err := w.purge(); err != nil {
		return err
	}
	if err := w.conn.exec("COMMIT"); err != nil {
		return err
	}
	w.tip.advance(w.ends, w.dirty)
	clear(w.dirty)
	return nil
}

// setLazy says whether the next transaction is only appended to the WAL. The
// next sync, of whatever transaction, then covers it too, and so does a
// checkpoint, which syncs the WAL before it copies from it.
func (w *writer) setLazy(lazy bool) error {
	if w.lazy == lazy {
		return nil
	}
	level := "FULL"
	if lazy {
		level = "NORMAL"
	}
	err := w.conn.once("PRAGMA synchronous = " + level) // never kept prepared: SQLite sets it while it prepares
	if err == nil {
		w.lazy = lazy
	}
	return err
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
	w.dirty = map[gotong.Stream]*head{}
	var err error
	if w.ends, err = readEnds(w.conn); err == nil {
		w.tip.reset(w.ends)
		err = w.readGate()
	}
	return err
}

// readGate reads why the file takes no writes.
func (w *writer) readGate() error {
	meta, err := readMeta(w.conn)
	w.sealed, w.progress = meta["sealed"], meta["progress"]
	return err
}

// purgeEvery is how often expired registers are dropped, purgeMost in one
// transaction and the rest in the next ones; the clock is the registers' own.
const (
	purgeEvery = gotong.Instant(60_000_000)
	purgeMost  = 500 // stands in the statement too
)

func (w *writer) purge() error {
	now := w.base.Now()
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
		if err := storage(w.fit()); errors.Is(err, store.ErrFailed) {
			return err
		}
	}
	return nil
}

// fit looks at the size of the file, which the caches follow.
func (w *writer) fit() error {
	pages, err := w.conn.pages()
	if err != nil {
		return err
	}
	w.size.Store(int64(pages))
	return w.conn.fit(pages)
}

// truncate takes erased content out of the WAL too. Where somebody still reads
// old pages it is put off until the next erasure, or until more was written.
func (w *writer) truncate() error {
	left, err := cut(w.conn, truncateTimeout)
	w.erased, w.putOff = left || err != nil, left || err != nil
	return err
}
