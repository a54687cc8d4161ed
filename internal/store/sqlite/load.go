package sqlite

import (
	"context"
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// reading is one read transaction, and where the log ended when it began.
type reading struct {
	*conn
	ends
	eras  store.Eras
	tip   *tip
	known int64          // the newest row that the tip knew of before it began
	later map[int64]bool // the streams of the rows after that one
}

// begin begins to read. The ends are exact: those of the tip, which are of this
// moment or before it, and the rows that were written since.
func (s *Store) begin(c *conn) (*reading, error) {
	r := &reading{conn: c, ends: s.writer.tip.now(), eras: s.Eras(), tip: &s.writer.tip}
	r.known = r.key
	err := c.exec("BEGIN")
	if err == nil {
		r.later, err = r.catchUp(c)
	}
	if s.readOnly && err == nil { // nobody else moves the tip
		s.writer.tip.reset(r.ends)
	}
	return r, err
}

// head is the head of a stream at the moment that is read: as the writer knows
// it, unless more was written since.
func (r *reading) head(s gotong.Stream) (head, error) {
	if found := r.tip.head(s, r.known); found != nil && !r.later[found.no] {
		return *found, nil
	}
	return readHead(r.conn, s, r.eras)
}

// headOf is head for a stream whose row was read.
func (r *reading) headOf(s gotong.Stream, no int64, home gotong.Stream) (head, error) {
	if found := r.tip.head(s, r.known); found != nil && !r.later[no] {
		h := *found
		h.Home = home
		return h, nil
	}
	h := head{Head: gotong.Head{Home: home}, no: no}
	err := h.read(r.conn, s, r.eras)
	return h, err
}

// read runs f in a read transaction of its own, so all it reads is of one
// moment.
func (s *Store) read(ctx context.Context, f func(*reading) error) error {
	select {
	case <-s.closed:
		return store.ErrClosed
	default:
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	select {
	case c := <-s.readers:
		return s.readOn(c, f)
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return store.ErrClosed
	}
}

// ask is read for what the stores on SQL databases have in common.
func (s *Store) ask(ctx context.Context, ask func(sqlstore.Batch)) error {
	return s.read(ctx, func(r *reading) error {
		b := batch{conn: r.conn, ends: &r.ends, reading: r}
		ask(&b)
		return b.err
	})
}

// readOn reads on a connection and gives it back, or one in its place where a
// fault may have left it within a transaction.
func (s *Store) readOn(c *conn, f func(*reading) error) error {
	err := store.Guard(func() error {
		if err := c.fit(int(s.size.Load())); err != nil {
			return fmt.Errorf("sqlite: read: %w", err)
		}
		r, err := s.begin(c)
		if err != nil {
			err = fmt.Errorf("sqlite: read: %w", err)
		} else {
			err = f(r)
		}
		if c.db.AutocommitEnabled() { // a failed statement may have ended it
			return err
		}
		return errors.Join(err, c.exec("COMMIT"))
	})
	if errors.Is(err, store.ErrFault) || !c.db.AutocommitEnabled() {
		c = s.replaced(c)
	}
	s.readers <- c
	return err
}

// replaced is a new connection in place of one that is closed; the old one
// where there is none to be had.
func (s *Store) replaced(old *conn) *conn {
	c, err := s.openReader()
	if err != nil {
		_ = store.Guard(func() error { return old.exec("ROLLBACK") }) // else every read on it fails
		return old
	}
	_ = store.Guard(old.db.Close) // it has nothing to lose
	return c
}

// log reads heads, records and events.
func (r *reading) log(need *store.Need, snap *store.Snapshot) error {
	for _, stream := range need.Heads {
		h, err := r.head(stream)
		if err != nil {
			return err
		}
		if h.Seq > 0 {
			snap.Heads[stream] = h.Head
		}
	}
	for _, key := range need.Records {
		h, err := r.head(key.Stream)
		if err != nil {
			return err
		}
		if record, ok, err := readRecord(r.conn, h.no, key); err != nil {
			return err
		} else if ok {
			snap.Records[key] = record
		}
	}
	for i, of := range need.Events {
		var err error
		if snap.Events[i], err = r.eventsIn(of); err != nil {
			return err
		}
	}
	return nil
}

// Positions implements [store.Log].
func (s *Store) Positions(ctx context.Context) (all [gotong.Partitions]uint64, err error) {
	err = s.read(ctx, func(r *reading) error { all = r.positions; return nil })
	return all, err
}
