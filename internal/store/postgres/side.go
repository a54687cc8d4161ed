package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

const (
	registerColumns = "collection, owner, name, version, body, expires"
	findRegisters   = "SELECT " + registerColumns + ` FROM registers WHERE collection = $1 AND owner = $2 AND name BETWEEN $3 AND $4
		AND (expires = 0 OR expires > $5) ORDER BY name`
	selectRegisters = "SELECT " + registerColumns + ` FROM registers WHERE (collection, owner, name) IN
		(SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[])) AND (expires = 0 OR expires > $4)`
)

func scanRegister(row pgx.Rows) (r store.Register, err error) {
	err = row.Scan(&r.Key.Collection, &r.Key.Owner, &r.Key.Name, &r.Version, &r.Body, &r.Expires)
	return r, err
}

func exists(r *store.Register, now gotong.Instant) bool { return r.Expires == 0 || r.Expires > now }

func (s *Store) readRegisters(b *pgx.Batch, list []gotong.Key, into map[gotong.Key]store.Register) {
	if len(list) == 0 {
		return
	}
	each(b, func(row pgx.Rows) error {
		r, err := scanRegister(row)
		into[r.Key] = r
		return err
	}, selectRegisters, append(keyArgs(list), int64(s.now()))...)
}

// FindRegisters implements [store.Registers].
func (s *Store) FindRegisters(ctx context.Context, of store.KeyRange) (found []store.Register, err error) {
	sql := findRegisters
	if of.Descending {
		sql += " DESC"
	}
	err = s.read(ctx, func(b *pgx.Batch) {
		found = nil
		each(b, func(row pgx.Rows) error {
			r, err := scanRegister(row)
			found = append(found, r)
			return err
		}, sql+" LIMIT $6", of.Collection, of.Owner, of.From, of.To, int64(s.now()), store.Bound(of.Limit))
	})
	return found, err
}

// writeRegister queues a change of a register; present: its row exists and is locked.
func writeRegister(b *pgx.Batch, r gotong.RegisterChange, present bool) {
	k := r.Key
	switch {
	case r.Body == nil && present:
		b.Queue("DELETE FROM registers WHERE collection = $1 AND owner = $2 AND name = $3", k.Collection, k.Owner, k.Name)
	case r.Body == nil:
	case present:
		b.Queue("UPDATE registers SET version = $4, body = $5, expires = $6 WHERE collection = $1 AND owner = $2 AND name = $3",
			k.Collection, k.Owner, k.Name, number(r.Expect+1), r.Body, int64(r.Expires))
	default:
		b.Queue("INSERT INTO registers VALUES ($1, $2, $3, $4, $5, $6)",
			k.Collection, k.Owner, k.Name, number(r.Expect+1), r.Body, int64(r.Expires))
	}
}

// SetRegister implements [store.Registers].
func (s *Store) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	now, present, version := s.now(), false, uint64(0)
	return s.write(ctx, mode{}, func(b *pgx.Batch) {
		present, version = false, 0
		each(b, func(row pgx.Rows) error {
			r, err := scanRegister(row)
			if present = true; exists(&r, now) {
				version = r.Version
			}
			return err
		}, lockRegisters, keyArgs([]gotong.Key{key})...)
	}, func(b *pgx.Batch) error {
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
		err := s.write(ctx, mode{lazy: true}, func(b *pgx.Batch) {
			gone = 0
			each(b, func(pgx.Rows) error { gone++; return nil },
				`DELETE FROM registers WHERE (collection, owner, name) IN (SELECT collection, owner, name FROM registers
				WHERE expires > 0 AND expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1`, int64(s.now()), purgeAtOnce)
		}, func(*pgx.Batch) error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

func cursorArgs(list []store.CursorKey) []any {
	var readers []string
	var partitions []int16
	for _, k := range list {
		readers, partitions = append(readers, k.Reader), append(partitions, int16(k.Partition))
	}
	return []any{readers, partitions}
}

const selectCursors = `SELECT reader, partition, position FROM cursors
	WHERE (reader, partition) IN (SELECT unnest($1::text[]), unnest($2::smallint[]))`

func readCursors(b *pgx.Batch, list []store.CursorKey, into map[store.CursorKey]uint64) {
	if len(list) == 0 {
		return
	}
	each(b, func(row pgx.Rows) error {
		r, err := scanCursor(row)
		into[store.CursorKey{Reader: r.Reader, Partition: r.Partition}] = r.Position
		return err
	}, selectCursors+" AND position > 0", cursorArgs(list)...)
}

func scanCursor(row pgx.Rows) (r store.CursorRow, err error) {
	err = row.Scan(&r.Reader, &r.Partition, &r.Position)
	return r, err
}

const (
	addCursors = `INSERT INTO cursors SELECT reader, partition, 0 FROM unnest($1::text[], $2::smallint[]) k (reader, partition)
		ORDER BY reader COLLATE "C", partition ON CONFLICT DO NOTHING`
	setCursors = `UPDATE cursors c SET position = k.at FROM unnest($1::text[], $2::smallint[], $3::bigint[]) k (reader, partition, at)
		WHERE c.reader = k.reader AND c.partition = k.partition`
)

// Advance implements [store.Readers].
func (s *Store) Advance(ctx context.Context, steps ...store.Step) error {
	if err := store.CheckSteps(steps); err != nil {
		return err
	}
	docs, keys, to := map[gotong.Key][]byte{}, []store.CursorKey(nil), []int64(nil)
	var jobs []store.Job
	for _, step := range steps {
		if err := store.CheckChanges(step.Changes, s.docs); err != nil {
			return err
		}
		keys, to = append(keys, store.CursorKey{Reader: step.Reader, Partition: step.Partition}), append(to, number(step.To))
		for _, ch := range step.Changes {
			docs[ch.Key] = ch.Body
		}
		jobs = append(jobs, step.Jobs...)
	}
	at := map[store.CursorKey]uint64{}
	return s.write(ctx, mode{lazy: true}, func(b *pgx.Batch) {
		clear(at)
		b.Queue(addCursors, cursorArgs(keys)...)
		each(b, func(row pgx.Rows) error {
			r, err := scanCursor(row)
			at[store.CursorKey{Reader: r.Reader, Partition: r.Partition}] = r.Position
			return err
		}, selectCursors+" ORDER BY reader, partition FOR NO KEY UPDATE", cursorArgs(keys)...)
	}, func(b *pgx.Batch) error {
		for i, step := range steps {
			if at[keys[i]] != step.From {
				return store.ErrConflict
			}
		}
		b.Queue(setCursors, append(cursorArgs(keys), to)...)
		writeDocuments(b, docs)
		putJobs(b, jobs, putAgain)
		return nil
	})
}

const (
	jobColumns = "queue, id, due, attempt, crashes, claims, lease, dead, error, body"
	addJobs    = "INSERT INTO jobs SELECT queue, id, due, attempt, crashes, 0, 0, dead, error, body, 0 FROM " +
		"unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::text[], $8::bytea[]) " +
		`k (queue, id, due, attempt, crashes, dead, error, body) ORDER BY queue COLLATE "C", id COLLATE "C"`
	putAgain = ` ON CONFLICT (queue, id) DO UPDATE SET
		again = CASE WHEN jobs.lease = 0 THEN 0 ELSE greatest(1, CASE WHEN jobs.again = 0 THEN excluded.due
			ELSE least(jobs.again, excluded.due) END) END,
		due = CASE WHEN jobs.lease = 0 THEN least(jobs.due, excluded.due) ELSE jobs.due END WHERE NOT jobs.dead`
)

// putJobs queues jobs that nobody has claimed: the first of each id, at the earliest
// time of all. exists says what happens if there is one.
func putJobs(b *pgx.Batch, jobs []store.Job, exists string) {
	seen := map[[2]string]int{}
	var queues, ids, errs []string
	var due, attempt, crashes []int64
	var dead []bool
	var bodies [][]byte
	for _, j := range jobs {
		key := [2]string{j.Queue, j.ID}
		if i, again := seen[key]; again {
			due[i] = min(due[i], int64(j.Due))
			continue
		}
		seen[key] = len(ids)
		body := j.Body
		if body == nil {
			body = []byte{}
		}
		queues, ids, due, attempt = append(queues, j.Queue), append(ids, j.ID), append(due, int64(j.Due)), append(attempt, int64(j.Attempt))
		crashes, dead = append(crashes, int64(j.Crashes)), append(dead, j.Dead)
		errs, bodies = append(errs, strings.ToValidUTF8(strings.ReplaceAll(j.Error, "\x00", ""), "")), append(bodies, body)
	}
	if len(ids) > 0 {
		b.Queue(addJobs+exists, queues, ids, due, attempt, crashes, dead, errs, bodies)
	}
}

func scanJob(row pgx.Rows) (j store.Job, err error) {
	err = row.Scan(&j.Queue, &j.ID, &j.Due, &j.Attempt, &j.Crashes, &j.Claims, &j.Lease, &j.Dead, &j.Error, &j.Body)
	return j, err
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
	err = s.write(ctx, mode{lazy: true}, func(b *pgx.Batch) {
		jobs = nil
		each(b, func(row pgx.Rows) error {
			j, err := scanJob(row)
			jobs = append(jobs, j)
			return err
		}, claimJobs, queue, int64(now), int64(max(store.FarLease(now, lease), now)), limit, int64(lease))
	}, func(*pgx.Batch) error { return nil })
	if err != nil {
		return nil, err
	}
	store.SortJobs(jobs)
	return jobs, nil
}

// SettleJob implements [store.Jobs].
func (s *Store) SettleJob(ctx context.Context, job store.Job, next *store.Job) error {
	held, again := false, gotong.Instant(0)
	return s.write(ctx, mode{lazy: true}, func(b *pgx.Batch) {
		held = false
		each(b, func(row pgx.Rows) error { held = true; return row.Scan(&again) },
			"SELECT again FROM jobs WHERE queue = $1 AND id = $2 AND claims = $3 AND lease = $4 FOR UPDATE",
			job.Queue, job.ID, number(job.Claims), int64(job.Lease))
	}, func(b *pgx.Batch) error {
		if !held {
			return store.ErrConflict
		}
		n := store.Again(next, again)
		if n == nil {
			b.Queue("DELETE FROM jobs WHERE queue = $1 AND id = $2", job.Queue, job.ID)
			return nil
		}
		b.Queue(`UPDATE jobs SET due = $3, attempt = $4, crashes = $5, lease = $6, dead = $7, error = $8,
			again = CASE WHEN $6::bigint = 0 THEN 0 ELSE again END WHERE queue = $1 AND id = $2`,
			job.Queue, job.ID, int64(n.Due), n.Attempt, n.Crashes, int64(n.Lease), n.Dead, n.Error)
		return nil
	})
}

// NextDue implements [store.Jobs].
func (s *Store) NextDue(ctx context.Context, queue string) (next gotong.Instant, err error) {
	err = s.read(ctx, func(b *pgx.Batch) {
		each(b, func(row pgx.Rows) error {
			err := row.Scan(&next)
			next = max(next, 1)
			return err
		}, "SELECT greatest(due, lease) FROM jobs WHERE queue = $1 AND NOT dead ORDER BY greatest(due, lease) LIMIT 1", queue)
	})
	return next, err
}
