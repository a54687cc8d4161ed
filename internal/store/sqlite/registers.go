package sqlite

import (
	"context"
	"errors"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

const (
	selectRegister = `SELECT name, version, body, expires FROM registers
		WHERE collection = ? AND owner = ? AND name = ? AND (expires = 0 OR expires > +?)`
	findRegisters = `SELECT name, version, body, expires FROM registers
		WHERE collection = +? AND owner = +? AND name BETWEEN ? AND ? AND (expires = 0 OR expires > +?) ORDER BY name`
)

func scanRegister(row *sqlite.Stmt, collection, owner string) store.Register {
	return store.Register{
		Key:     gotong.Key{Collection: collection, Owner: owner, Name: row.ColumnText(0)},
		Version: unsigned(row, 1), Body: blob(row, 2), Expires: gotong.Instant(row.ColumnInt64(3)),
	}
}

func readRegister(c *conn, key gotong.Key, now gotong.Instant) (store.Register, error) {
	r := store.Register{Key: key}
	err := c.query(selectRegister, func(row *sqlite.Stmt) error {
		r = scanRegister(row, key.Collection, key.Owner)
		return nil
	}, key.Collection, key.Owner, key.Name, now)
	return r, err
}

// SetRegister implements [store.Registers]. Concurrent calls share a sync with
// each other and with commits.
func (s *Store) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	return s.write(ctx, len(body), func(w *writer) error {
		r, err := readRegister(w.conn, key, s.now())
		if err != nil {
			return err
		}
		if r.Version != expect {
			return store.ErrConflict
		}
		return w.setRegister(gotong.RegisterChange{Key: key, Expect: expect, Body: body, Expires: expires})
	})
}

func (w *writer) setRegister(r gotong.RegisterChange) error {
	w.rows++
	if r.Body == nil {
		return w.conn.exec("DELETE FROM registers WHERE collection = ? AND owner = ? AND name = ?",
			r.Key.Collection, r.Key.Owner, r.Key.Name)
	}
	return w.conn.exec("INSERT OR REPLACE INTO registers VALUES (?, ?, ?, ?, ?, ?)",
		r.Key.Collection, r.Key.Owner, r.Key.Name, r.Expect+1, r.Body, r.Expires)
}

// FindRegisters implements [store.Registers].
func (s *Store) FindRegisters(ctx context.Context, r store.KeyRange) (found []store.Register, err error) {
	sql := findRegisters
	if r.Descending {
		sql += " DESC"
	}
	err = s.read(ctx, func(c *reading) error {
		return c.query(sql, atMost(store.Bound(r.Limit), func(row *sqlite.Stmt) error {
			found = append(found, scanRegister(row, r.Collection, r.Owner))
			return nil
		}), r.Collection, r.Owner, r.From, r.To, s.now())
	})
	return found, err
}

func readCursor(c *conn, reader string, p gotong.Partition) (at uint64, err error) {
	err = c.query("SELECT position FROM cursors WHERE reader = ? AND partition = ?", func(row *sqlite.Stmt) error {
		at = unsigned(row, 0)
		return nil
	}, reader, p)
	return at, err
}

// Advance implements [store.Readers].
func (s *Store) Advance(ctx context.Context, step store.Step) error {
	if err := s.known(step.Changes); err != nil {
		return err
	}
	return s.write(ctx, step.Size(), func(w *writer) error {
		at, err := readCursor(w.conn, step.Reader, step.Partition)
		if err != nil {
			return err
		}
		if at != step.From {
			return store.ErrConflict
		}
		for _, job := range step.Jobs {
			body := job.Body
			if body == nil {
				body = []byte{}
			}
			err = errors.Join(err, w.conn.exec("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, 0, ?)",
				job.Queue, job.ID, job.Due, job.Attempt, body))
		}
		w.rows += len(step.Changes) + len(step.Jobs) + 1
		return errors.Join(err, w.change(step.Changes),
			w.conn.exec("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", step.Reader, step.Partition, step.To))
	})
}

// ClaimJobs implements [store.Jobs].
func (s *Store) ClaimJobs(
	ctx context.Context, queue string, now, lease gotong.Instant, limit int,
) (claimed []store.Job, err error) {
	err = s.write(ctx, 0, func(w *writer) error {
		err := w.conn.query(`SELECT id, due, attempt, body FROM jobs
			WHERE queue = +? AND due <= ? AND lease <= ? ORDER BY due, id`, atMost(max(limit, 0), func(row *sqlite.Stmt) error {
			claimed = append(claimed, store.Job{
				Queue: queue, ID: row.ColumnText(0), Due: gotong.Instant(row.ColumnInt64(1)),
				Attempt: row.ColumnInt(2), Lease: lease, Body: blob(row, 3),
			})
			return nil
		}), queue, now, now)
		for i := range claimed {
			err = errors.Join(err, w.conn.exec("UPDATE jobs SET lease = ? WHERE queue = ? AND id = ?", lease, queue, claimed[i].ID))
		}
		w.rows += len(claimed)
		return err
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// SettleJob implements [store.Jobs].
func (s *Store) SettleJob(ctx context.Context, job store.Job, next *gotong.Instant) error {
	return s.write(ctx, 0, func(w *writer) error {
		held := false
		err := w.conn.query("SELECT 1 FROM jobs WHERE queue = ? AND id = ? AND lease = ? AND lease <> 0",
			func(*sqlite.Stmt) error { held = true; return nil }, job.Queue, job.ID, job.Lease)
		if err != nil {
			return err
		}
		if !held {
			return store.ErrConflict
		}
		w.rows++
		if next == nil {
			return w.conn.exec("DELETE FROM jobs WHERE queue = ? AND id = ?", job.Queue, job.ID)
		}
		return w.conn.exec("UPDATE jobs SET due = ?, attempt = ?, lease = 0 WHERE queue = ? AND id = ?",
			*next, job.Attempt, job.Queue, job.ID)
	})
}
