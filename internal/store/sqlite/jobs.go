package sqlite

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"zombiezen.com/go/sqlite"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Advance implements [store.Readers]. It shares the sync of the commits that
// wait beside it, and alone it causes none.
func (s *Store) Advance(ctx context.Context, steps ...store.Step) error {
	if err := store.CheckSteps(steps); err != nil {
		return err
	}
	for i := range steps {
		if err := s.known(steps[i].Changes); err != nil {
			return err
		}
	}
	return s.writeLazily(ctx, store.StepsSize(steps), func(w *writer) error {
		for i := range steps { // all of them before the first write
			at, err := readCursor(w.conn, steps[i].Reader, steps[i].Partition)
			if err != nil {
				return err
			}
			if at != steps[i].From {
				return store.ErrConflict
			}
		}
		var err error
		for i := range steps {
			err = errors.Join(err, w.advance(&steps[i]))
		}
		return err
	})
}

func (w *writer) advance(step *store.Step) error {
	err := w.conn.exec("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", step.Reader, step.Partition, step.To)
	for i := range step.Jobs {
		err = errors.Join(err, w.putJob(&step.Jobs[i], putAgain))
	}
	w.rows += len(step.Changes) + len(step.Jobs) + 1
	if step.Erases {
		w.erased, w.putOff = true, false
	}
	return errors.Join(err, w.change(step.Changes, step.Clears))
}

// putJob inserts a job that nobody has claimed. The clause says what happens if it
// exists.
func (w *writer) putJob(j *store.Job, exists string) error {
	body := j.Body
	if body == nil {
		body = []byte{}
	}
	return w.conn.exec("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?, ?, 0)"+exists,
		j.Queue, j.ID, j.Due, j.Attempt, j.Crashes, j.Dead, j.Error, body)
}

const (
	putAgain = ` ON CONFLICT DO UPDATE SET
		again = iif(lease = 0, 0, max(1, iif(again = 0, excluded.due, min(again, excluded.due)))),
		due = iif(lease = 0, min(due, excluded.due), due) WHERE dead = 0`

	jobColumns = "queue, id, due, attempt, crashes, claims, lease, dead, error, body"

	// The order is that of the index jobs_due, whose expression it repeats.
	selectDue = "SELECT " + jobColumns + ` FROM jobs
		WHERE queue = +? AND dead = 0 AND max(due, lease) <= ? ORDER BY max(due, lease), id`
	// Leases that a clock gave which has been set back since.
	selectFar = "SELECT " + jobColumns + ` FROM jobs
		WHERE queue = +? AND dead = 0 AND lease > 0 AND lease > +? AND due <= +? ORDER BY lease`
	selectNext = "SELECT max(due, lease) FROM jobs WHERE queue = +? AND dead = 0 ORDER BY max(due, lease)"
)

func scanJob(row *sqlite.Stmt) store.Job {
	return store.Job{
		Queue: row.ColumnText(0), ID: row.ColumnText(1), Due: gotong.Instant(row.ColumnInt64(2)),
		Attempt: row.ColumnInt(3), Crashes: row.ColumnInt(4), Claims: unsigned(row, 5),
		Lease: gotong.Instant(row.ColumnInt64(6)), Dead: row.ColumnBool(7), Error: row.ColumnText(8), Body: blob(row, 9),
	}
}

// ClaimJobs implements [store.Jobs].
func (s *Store) ClaimJobs(
	ctx context.Context, queue string, now, lease gotong.Instant, limit int,
) (claimed []store.Job, err error) {
	err = s.writeLazily(ctx, 0, func(w *writer) error {
		claimed = nil
		scan := func(row *sqlite.Stmt) error { claimed = append(claimed, scanJob(row)); return nil }
		err := errors.Join(
			w.conn.query(selectFar, scan, queue, max(store.FarLease(now, lease), now), now),
			w.conn.query(selectDue, atMost(max(limit, 0), scan), queue, now))
		slices.SortStableFunc(claimed, func(a, b store.Job) int {
			return cmp.Or(cmp.Compare(a.Next(now, lease), b.Next(now, lease)), cmp.Compare(a.ID, b.ID))
		})
		claimed = claimed[:min(len(claimed), max(limit, 0))]
		for i := range claimed {
			j := &claimed[i]
			if j.Lease != 0 {
				j.Crashes++
			}
			j.Claims, j.Lease = j.Claims+1, lease
			err = errors.Join(err, w.conn.exec("UPDATE jobs SET lease = ?, claims = ?, crashes = ?, again = 0 WHERE queue = ? AND id = ?",
				j.Lease, j.Claims, j.Crashes, queue, j.ID))
		}
		w.rows += len(claimed)
		return err
	})
	if err != nil {
		return nil, err
	}
	store.SortJobs(claimed)
	return claimed, nil
}

// SettleJob implements [store.Jobs].
func (s *Store) SettleJob(ctx context.Context, job store.Job, next *store.Job) error {
	return s.writeLazily(ctx, 0, func(w *writer) error {
		held, again := false, gotong.Instant(0)
		err := w.conn.query("SELECT again FROM jobs WHERE queue = ? AND id = ? AND claims = ? AND lease = ?",
			func(row *sqlite.Stmt) error { held, again = true, gotong.Instant(row.ColumnInt64(0)); return nil },
			job.Queue, job.ID, job.Claims, job.Lease)
		if err != nil {
			return err
		}
		if !held {
			return store.ErrConflict
		}
		w.rows++
		if next = store.Again(next, again); next == nil {
			return w.conn.exec("DELETE FROM jobs WHERE queue = ? AND id = ?", job.Queue, job.ID)
		}
		return w.conn.exec("UPDATE jobs SET due = ?, attempt = ?, crashes = ?, lease = ?, dead = ?, error = ?,"+
			" again = iif(?4 = 0, 0, again) WHERE queue = ? AND id = ?",
			next.Due, next.Attempt, next.Crashes, next.Lease, next.Dead, next.Error, job.Queue, job.ID)
	})
}

// NextDue implements [store.Jobs].
func (s *Store) NextDue(ctx context.Context, queue string) (next gotong.Instant, err error) {
	err = s.read(ctx, func(c *reading) error {
		return c.query(selectNext, atMost(1, func(row *sqlite.Stmt) error {
			next = max(gotong.Instant(row.ColumnInt64(0)), 1)
			return nil
		}), queue)
	})
	return next, err
}

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
