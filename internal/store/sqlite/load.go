package sqlite

import (
	"context"
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

// read runs f in a read transaction of its own, so all it reads is of one
// moment.
func (s *Store) read(ctx context.Context, f func(*conn) error) error {
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

// readOn reads on a connection and gives it back, or one in its place where a
// fault may have left it within a transaction.
func (s *Store) readOn(c *conn, f func(*conn) error) error {
	err := store.Guard(func() error {
		if err := c.exec("BEGIN"); err != nil {
			return fmt.Errorf("sqlite: read: %w", err)
		}
		err := f(c)
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

// Load implements [store.Committer].
func (s *Store) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	var snap store.Snapshot
	err := s.read(ctx, func(c *conn) (err error) {
		if snap.Positions, err = readPositions(c); err != nil {
			return err
		}
		if err := s.loadRows(c, need, &snap); err != nil {
			return err
		}
		for _, r := range need.Ranges {
			found, err := s.documentsIn(c, r)
			if err != nil {
				return err
			}
			snap.Ranges = append(snap.Ranges, found)
		}
		for _, r := range need.Events {
			found, err := s.eventsIn(c, r)
			if err != nil {
				return err
			}
			snap.Events = append(snap.Events, found)
		}
		return nil
	})
	if err != nil {
		return store.Snapshot{}, err
	}
	return snap, nil
}

func (s *Store) loadRows(c *conn, need store.Need, snap *store.Snapshot) error {
	snap.Heads = make(map[gotong.Stream]gotong.Head, len(need.Heads))
	snap.Documents = make(map[gotong.Key][]byte, len(need.Documents))
	snap.Records = make(map[gotong.RequestKey]store.Record, len(need.Records))
	snap.Claims = make(map[gotong.Claim]gotong.Stream, len(need.Claims))
	for _, stream := range need.Heads {
		h, err := readHead(c, stream)
		if err != nil {
			return err
		}
		if h.Seq > 0 {
			snap.Heads[stream] = h.Head
		}
	}
	for _, key := range need.Documents {
		if err := s.document(c, key, func(body []byte) { snap.Documents[key] = body }); err != nil {
			return err
		}
	}
	for _, key := range need.Records {
		h, err := readHead(c, key.Stream)
		if err != nil {
			return err
		}
		if r, ok, err := readRecord(c, h.no, key); err != nil {
			return err
		} else if ok {
			snap.Records[key] = r
		}
	}
	for _, claim := range need.Claims {
		if stream, ok, err := readClaim(c, claim); err != nil {
			return err
		} else if ok {
			snap.Claims[claim] = stream
		}
	}
	return s.loadSide(c, need, snap)
}

// loadSide reads what is not the log.
func (s *Store) loadSide(c *conn, need store.Need, snap *store.Snapshot) error {
	snap.Registers = make(map[gotong.Key]store.Register, len(need.Registers))
	snap.Cursors = make(map[store.CursorKey]uint64, len(need.Cursors))
	for _, key := range need.Registers {
		r, err := readRegister(c, key, s.now())
		if err != nil {
			return err
		}
		if r.Version > 0 {
			snap.Registers[key] = r
		}
	}
	for _, key := range need.Cursors {
		at, err := readCursor(c, key.Reader, key.Partition)
		if err != nil {
			return err
		}
		if at > 0 {
			snap.Cursors[key] = at
		}
	}
	return nil
}

// Positions implements [store.Log].
func (s *Store) Positions(ctx context.Context) (all [gotong.Partitions]uint64, err error) {
	err = s.read(ctx, func(c *conn) error { all, err = readPositions(c); return err })
	return all, err
}

func readPositions(c *conn) (all [gotong.Partitions]uint64, err error) {
	err = c.query("SELECT no, position FROM partitions", func(row *sqlite.Stmt) error {
		no := row.ColumnInt64(0)
		if no < 0 || no >= gotong.Partitions {
			return fmt.Errorf("%w: there is no partition %d", store.ErrCorrupt, no)
		}
		all[no] = unsigned(row, 1)
		return nil
	})
	return all, err
}
