package sqlite

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"zombiezen.com/go/sqlite"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// Advance implements [store.Readers]. It shares the sync of the commits that
// wait beside it, and alone it causes none.
func (s *Store) Advance(ctx context.Context, steps ...store.Step) error {
	if err := store.CheckSteps(steps); err != nil {
		return err
	}
	for i := range steps {
		if err := store.CheckChanges(steps[i].Changes, s.collections); err != nil {
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
	err = errors.Join(err, w.conn.run(func(b *batch) { sqlstore.PutJobs(b, step.Jobs) }))
	w.rows += len(step.Changes) + len(step.Jobs) + 1
	if step.Erases {
		w.erased, w.putOff = true, false
	}
	return errors.Join(err, w.change(step.Changes, step.Clears))
}

const (
	// The order is that of the index jobs_due, whose expression it repeats.
	selectDue = "SELECT " + sqlstore.JobColumns + ` FROM jobs
		WHERE queue = +? AND dead = 0 AND max(due, lease) <= ? ORDER BY max(due, lease), id`
	// Leases that a clock gave which has been set back since.
	selectFar = "SELECT " + sqlstore.JobColumns + ` FROM jobs
		WHERE queue = +? AND dead = 0 AND lease > 0 AND lease > +? AND due <= +? ORDER BY lease`
	selectNext = "SELECT max(due, lease) FROM jobs WHERE queue = +? AND dead = 0 ORDER BY max(due, lease)"
)

// ClaimJobs implements [store.Jobs].
func (s *Store) ClaimJobs(
	ctx context.Context, queue string, now, lease gotong.Instant, limit int,
) (claimed []store.Job, err error) {
	err = s.writeLazily(ctx, 0, func(w *writer) error {
		claimed = nil
		take := func(row sqlstore.Row) error {
			j, err := sqlstore.ScanJob(row)
			claimed = append(claimed, j)
			return err
		}
		err := errors.Join(
			w.conn.ask(selectFar, take, queue, max(store.FarLease(now, lease), now), now),
			w.conn.ask(selectDue, atMost(max(limit, 0), take), queue, now))
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
		err := w.conn.ask(sqlstore.SelectHeld, func(row sqlstore.Row) error { held = true; return row.Scan(&again) },
			job.Queue, job.ID, job.Claims, job.Lease)
		if err != nil {
			return err
		}
		if !held {
			return store.ErrConflict
		}
		w.rows++
		return w.conn.run(func(b *batch) { sqlstore.SettleJob(b, &job, store.Again(next, again)) })
	})
}

// NextDue implements [store.Jobs].
func (s *Store) NextDue(ctx context.Context, queue string) (next gotong.Instant, err error) {
	err = s.read(ctx, func(c *reading) error {
		return c.ask(selectNext, atMost(1, func(row sqlstore.Row) error {
			err := row.Scan(&next)
			next = max(next, 1)
			return err
		}), queue)
	})
	return next, err
}

const (
	selectRegister = "SELECT " + sqlstore.RegisterColumns + ` FROM registers
		WHERE collection = ? AND owner = ? AND name = ? AND (expires = 0 OR expires > +?)`
	findRegisters = "SELECT " + sqlstore.RegisterColumns + ` FROM registers
		WHERE collection = +? AND owner = +? AND name BETWEEN ? AND ? AND (expires = 0 OR expires > +?) ORDER BY name`
)

func readRegister(c *conn, key gotong.Key, now gotong.Instant) (store.Register, error) {
	r := store.Register{Key: key}
	err := c.ask(selectRegister, func(row sqlstore.Row) (err error) {
		r, err = sqlstore.ScanRegister(row)
		return err
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
		return c.ask(sql, atMost(store.Bound(r.Limit), func(row sqlstore.Row) error {
			found = append(found, store.Register{})
			found[len(found)-1], err = sqlstore.ScanRegister(row)
			return err
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
