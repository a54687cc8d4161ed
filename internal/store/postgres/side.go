package postgres

import (
	"cmp"
	"context"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

const (
	findRegisters = "SELECT " + sqlstore.RegisterColumns + ` FROM registers WHERE collection = $1 AND owner = $2 AND name BETWEEN $3 AND $4
		AND (expires = 0 OR expires > $5) ORDER BY name`
	selectRegisters = "SELECT " + sqlstore.RegisterColumns + ` FROM registers WHERE (collection, owner, name) IN
		(SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[])) AND (expires = 0 OR expires > $4)`
)

func exists(r *store.Register, now gotong.Instant) bool { return r.Expires == 0 || r.Expires > now }

func (s *Store) readRegisters(b *batch, list []gotong.Key, into map[gotong.Key]store.Register) {
	if len(list) == 0 {
		return
	}
	b.Ask(func(row sqlstore.Row) error {
		r, err := sqlstore.ScanRegister(row)
		into[r.Key] = r
		return err
	}, selectRegisters, append(keyArgs(list), int64(s.Now()))...)
}

// FindRegisters implements [store.Registers].
func (s *Store) FindRegisters(ctx context.Context, of store.KeyRange) (found []store.Register, err error) {
	sql := findRegisters
	if of.Descending {
		sql += " DESC"
	}
	err = s.read(ctx, func(b *batch) {
		found = nil
		b.Ask(func(row sqlstore.Row) error {
			r, err := sqlstore.ScanRegister(row)
			found = append(found, r)
			return err
		}, sql+" LIMIT $6", of.Collection, of.Owner, of.From, of.To, int64(s.Now()), store.Bound(of.Limit))
	})
	return found, err
}

// writeRegister queues a change of a register; present: its row exists and is locked.
func writeRegister(b *batch, r gotong.RegisterChange, present bool) {
	k := r.Key
	switch {
	case r.Body == nil && present:
		b.Write("DELETE FROM registers WHERE collection = $1 AND owner = $2 AND name = $3", k.Collection, k.Owner, k.Name)
	case r.Body == nil:
	case present:
		b.Write("UPDATE registers SET version = $4, body = $5, expires = $6 WHERE collection = $1 AND owner = $2 AND name = $3",
			k.Collection, k.Owner, k.Name, sqlstore.Number(r.Expect+1), r.Body, int64(r.Expires))
	default:
		b.Write("INSERT INTO registers VALUES ($1, $2, $3, $4, $5, $6)",
			k.Collection, k.Owner, k.Name, sqlstore.Number(r.Expect+1), r.Body, int64(r.Expires))
	}
}

// SetRegister implements [store.Registers].
func (s *Store) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	now, present, version := s.Now(), false, uint64(0)
	return s.write(ctx, mode{}, func(b *batch) {
		present, version = false, 0
		b.Ask(func(row sqlstore.Row) error {
			r, err := sqlstore.ScanRegister(row)
			if present = true; exists(&r, now) {
				version = r.Version
			}
			return err
		}, lockRegisters, keyArgs([]gotong.Key{key})...)
	}, func(b *batch) error {
		if version != expect {
			return store.ErrConflict
		}
		writeRegister(b, gotong.RegisterChange{Key: key, Expect: expect, Body: body, Expires: expires}, present)
		return nil
	})
}

// purgeAtOnce is how many expired registers one transaction deletes.
const purgeAtOnce = 500

// clear deletes registers that have expired.
func (s *Store) clear(ctx context.Context) error {
	for gone := purgeAtOnce; gone == purgeAtOnce; {
		err := s.write(ctx, mode{lazy: true}, func(b *batch) {
			gone = 0
			b.Ask(func(sqlstore.Row) error { gone++; return nil },
				`DELETE FROM registers WHERE (collection, owner, name) IN (SELECT collection, owner, name FROM registers
				WHERE expires > 0 AND expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1`, int64(s.Now()), purgeAtOnce)
		}, func(*batch) error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

const selectCursor = "SELECT reader, partition, position FROM cursors WHERE reader = $1 AND partition = $2"

func readCursor(b *batch, sql string, key store.CursorKey, into map[store.CursorKey]uint64) {
	b.Ask(func(row sqlstore.Row) error {
		r, err := sqlstore.ScanCursor(row)
		into[key] = r.Position
		return err
	}, sql, key.Reader, int16(key.Partition))
}

// Advance implements [store.Readers].
func (s *Store) Advance(ctx context.Context, steps ...store.Step) error {
	docs, jobs, err := store.MergeSteps(steps, s.Collections)
	if err != nil {
		return err
	}
	steps = slices.SortedFunc(slices.Values(steps), func(a, b store.Step) int { // so that nodes cannot deadlock
		return cmp.Or(cmp.Compare(a.Reader, b.Reader), cmp.Compare(a.Partition, b.Partition))
	})
	at := map[store.CursorKey]uint64{}
	return s.write(ctx, mode{lazy: true}, func(b *batch) {
		clear(at)
		for _, step := range steps {
			b.Write("INSERT INTO cursors VALUES ($1, $2, 0) ON CONFLICT DO NOTHING", step.Reader, int16(step.Partition))
			readCursor(b, selectCursor+" FOR NO KEY UPDATE", store.CursorKey{Reader: step.Reader, Partition: step.Partition}, at)
		}
	}, func(b *batch) error {
		for _, step := range steps {
			if at[store.CursorKey{Reader: step.Reader, Partition: step.Partition}] != step.From {
				return store.ErrConflict
			}
			b.Write("UPDATE cursors SET position = $3 WHERE reader = $1 AND partition = $2",
				step.Reader, int16(step.Partition), sqlstore.Number(step.To))
		}
		writeDocuments(b, docs)
		sqlstore.PutJobs(b, jobs)
		return nil
	})
}

// claimJobs picks jobs that no other node is claiming: those that are due, and those
// with a lease that a clock gave which has been set back since.
const claimJobs = `WITH far AS (SELECT queue, id, due AS next FROM jobs
		WHERE queue = $1 AND NOT dead AND lease > 0 AND lease > $3 AND due <= $2 FOR UPDATE SKIP LOCKED),
	due AS (SELECT queue, id, greatest(due, lease) AS next FROM jobs
		WHERE queue = $1 AND NOT dead AND greatest(due, lease) <= $2 ORDER BY greatest(due, lease), id LIMIT $4 FOR UPDATE SKIP LOCKED),
	picked AS (SELECT queue, id, next FROM far UNION ALL SELECT queue, id, next FROM due ORDER BY next, id LIMIT $4)
	UPDATE jobs j SET crashes = j.crashes + (j.lease > 0)::int, claims = j.claims + 1, lease = $5, again = 0
	FROM picked p WHERE j.queue = p.queue AND j.id = p.id
	RETURNING j.queue, j.id, j.due, j.attempt, j.crashes, j.claims, j.lease, j.dead, j.error, j.body`

// ClaimJobs implements [store.Jobs].
func (s *Store) ClaimJobs(
	ctx context.Context, queue string, now, lease gotong.Instant, limit int,
) (jobs []store.Job, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = s.write(ctx, mode{lazy: true}, func(b *batch) {
		jobs = nil
		b.Ask(func(row sqlstore.Row) error {
			j, err := sqlstore.ScanJob(row)
			jobs = append(jobs, j)
			return err
		}, claimJobs, queue, int64(now), int64(max(store.FarLease(now, lease), now)), limit, int64(lease))
	}, func(*batch) error { return nil })
	if err != nil {
		return nil, err
	}
	store.SortJobs(jobs)
	return jobs, nil
}

// SettleJob implements [store.Jobs].
func (s *Store) SettleJob(ctx context.Context, job store.Job, next *store.Job) error {
	held, again := false, gotong.Instant(0)
	return s.write(ctx, mode{lazy: true}, func(b *batch) {
		held = false
		b.Ask(func(row sqlstore.Row) error { held = true; return row.Scan(&again) },
			sqlstore.SelectHeld+" FOR UPDATE", job.Queue, job.ID, sqlstore.Number(job.Claims), int64(job.Lease))
	}, func(b *batch) error {
		if !held {
			return store.ErrConflict
		}
		sqlstore.SettleJob(b, &job, store.Again(next, again))
		return nil
	})
}

// NextDue implements [store.Jobs].
func (s *Store) NextDue(ctx context.Context, queue string) (next gotong.Instant, err error) {
	err = s.read(ctx, func(b *batch) {
		b.Ask(func(row sqlstore.Row) error {
			err := row.Scan(&next)
			next = max(next, 1)
			return err
		}, "SELECT greatest(due, lease) FROM jobs WHERE queue = $1 AND NOT dead ORDER BY greatest(due, lease) LIMIT 1", queue)
	})
	return next, err
}
