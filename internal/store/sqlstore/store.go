package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// How is how a transaction writes.
type How struct {
	Size  int  // about how many bytes
	Lazy  bool // it needs no sync of its own
	Alone bool // no other transaction runs at the same time
	Seals bool // it is carried out in a sealed store too
	Moves bool // it is carried out while a copy is unfinished too, and in any epoch
}

// DB is a database as a [Store] uses it.
type DB struct {
	// Read reads in one snapshot. It may call ask again, with a new batch.
	Read func(ctx context.Context, ask func(Batch)) error
	// Write carries out a transaction: what ask adds, and then what tell adds, unless
	// that returns an error before it writes. It may call both again.
	Write func(ctx context.Context, how How, ask func(Batch), tell func(Batch) error) error
	// Positions reads the last position of each partition.
	Positions func(b Batch, into *[gotong.Partitions]uint64)
	// Log reads heads, records and events; finish is called after the batch.
	Log func(b Batch, need *store.Need, snap *store.Snapshot) (finish func() error)
	// Project writes what the steps of readers change; docs are the final values.
	Project func(b Batch, steps []store.Step, docs map[gotong.Key][]byte) error
	// Restore returns what a step of a copy asks, and how it writes streams, commits,
	// records, claims and documents.
	Restore func(*store.Restoring) (ask func(Batch), tell func(Batch) error)
	// Stream returns the stream of a row of Streams and its number. One without an
	// event is passed over.
	Stream func(Batch, Row) (store.StreamRow, int64, error)

	Streams  string // SELECT of streams after number $1, in order of number
	Claims   string // SELECT of claims: space, name and stream
	InCommit string // the column that orders the events of a commit by an index
	Empty    string // the condition that there are no rows but those of meta
	Lock     string // follows a SELECT of rows that the transaction changes
	Skip     string // Lock for rows that are passed over if somebody has locked them
	Greatest string // the greater one of two values, the way the index of jobs has it
	Waiting  string // the condition of that index
}

// Store is the part of an adapter that is the same on each database; adapters embed it.
type Store struct {
	db   DB
	base *store.Base
}

// NewStore returns a store on a database.
func NewStore(db DB, base *store.Base) Store { return Store{db, base} }

// Exists reports whether a register has not expired.
func Exists(r *store.Register, now gotong.Instant) bool { return r.Expires == 0 || r.Expires > now }

// Where SQLite would prepare a statement anew for each value of a parameter, because
// its plan could depend on it, the parameter stands in an expression.
const findRegisters = "SELECT " + RegisterColumns + ` FROM registers WHERE collection = CAST($1 AS text) AND owner = CAST($2 AS text)
	AND name BETWEEN $3 AND $4 AND (expires = 0 OR expires > CAST($5 AS bigint)) ORDER BY name`

// FindRegisters implements [store.Registers].
func (s *Store) FindRegisters(ctx context.Context, of store.KeyRange) (found []store.Register, err error) {
	sql := findRegisters
	if of.Descending {
		sql += " DESC"
	}
	err = s.db.Read(ctx, func(b Batch) {
		found = nil
		b.Ask(func(row Row) error {
			r, err := ScanRegister(row)
			found = append(found, r)
			return err
		}, sql+" LIMIT $6 + 0", of.Collection, of.Owner, of.From, of.To, s.base.Now(), store.Bound(of.Limit))
	})
	return found, err
}

// SetRegister implements [store.Registers].
func (s *Store) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	present, version := false, uint64(0)
	return s.db.Write(ctx, How{Size: len(body)}, func(b Batch) {
		present, version = false, 0
		ReadRegisters(b, []gotong.Key{key}, s.db.Lock, func(r store.Register) {
			if present = true; Exists(&r, s.base.Now()) {
				version = r.Version
			}
		})
	}, func(b Batch) error {
		if version != expect {
			return store.ErrConflict
		}
		WriteRegister(b, gotong.RegisterChange{Key: key, Expect: expect, Body: body, Expires: expires}, present)
		return nil
	})
}

// WriteRegister writes a change of a register; present: it has a row, expired or not.
func WriteRegister(b Batch, r gotong.RegisterChange, present bool) {
	k, version := r.Key, Number(r.Expect+1)
	switch {
	case r.Body == nil && present:
		b.Write("DELETE FROM registers WHERE collection = $1 AND owner = $2 AND name = $3", k.Collection, k.Owner, k.Name)
	case r.Body == nil:
	case present:
		b.Write("UPDATE registers SET version = $1, body = $2, expires = $3 WHERE collection = $4 AND owner = $5 AND name = $6",
			version, r.Body, r.Expires, k.Collection, k.Owner, k.Name)
	default:
		b.Write(addRegister, k.Collection, k.Owner, k.Name, version, r.Body, r.Expires)
	}
}

// Advance implements [store.Readers].
func (s *Store) Advance(ctx context.Context, steps ...store.Step) error {
	docs, jobs, err := store.MergeSteps(steps, s.base.Collections)
	if err != nil {
		return err
	}
	sorted := slices.SortedFunc(slices.Values(steps), func(a, b store.Step) int { // so that nodes cannot deadlock
		return cmp.Or(cmp.Compare(a.Reader, b.Reader), cmp.Compare(a.Partition, b.Partition))
	})
	at := map[store.CursorKey]uint64{}
	return s.db.Write(ctx, How{Lazy: true, Size: store.StepsSize(steps)}, func(b Batch) {
		clear(at)
		for _, step := range sorted {
			readCursor(b, store.CursorKey{Reader: step.Reader, Partition: step.Partition}, s.db.Lock, at)
		}
	}, func(b Batch) error {
		for _, step := range sorted {
			if at[store.CursorKey{Reader: step.Reader, Partition: step.Partition}] != step.From {
				return store.ErrConflict
			}
		}
		for _, step := range sorted {
			sql := "INSERT INTO cursors (position, reader, partition) VALUES ($1, $2, $3)"
			if _, present := at[store.CursorKey{Reader: step.Reader, Partition: step.Partition}]; present {
				sql = "UPDATE cursors SET position = $1 WHERE reader = $2 AND partition = $3"
			}
			b.Write(sql, Number(step.To), step.Reader, int64(step.Partition))
		}
		PutJobs(b, jobs)
		return s.db.Project(b, steps, docs)
	})
}

// ClaimJobs implements [store.Jobs]. It reads the jobs that are due, and those with a
// lease that a clock gave which has been set back since.
func (s *Store) ClaimJobs(
	ctx context.Context, queue string, now, lease gotong.Instant, limit int,
) (jobs []store.Job, err error) {
	if limit <= 0 {
		return nil, nil
	}
	next := s.db.Greatest + "(due, lease)"
	from := "SELECT " + JobColumns + " FROM jobs WHERE queue = CAST($1 AS text) AND " + s.db.Waiting
	err = s.db.Write(ctx, How{Lazy: true}, func(b Batch) {
		jobs = nil
		take := func(row Row) error {
			j, err := ScanJob(row)
			jobs = append(jobs, j)
			return err
		}
		b.Ask(take, from+" AND lease > 0 AND lease > CAST($2 AS bigint) AND due <= CAST($3 AS bigint) ORDER BY lease"+s.db.Skip,
			queue, max(store.FarLease(now, lease), now), now)
		b.Ask(take, from+" AND "+next+" <= $2 ORDER BY "+next+", id LIMIT $3 + 0"+s.db.Skip, queue, now, limit)
	}, func(b Batch) error {
		slices.SortStableFunc(jobs, func(a, b store.Job) int {
			return cmp.Or(cmp.Compare(a.Next(now, lease), b.Next(now, lease)), cmp.Compare(a.ID, b.ID))
		})
		jobs = jobs[:min(len(jobs), limit)]
		for i := range jobs {
			j := &jobs[i]
			if j.Lease != 0 {
				j.Crashes++
			}
			j.Claims, j.Lease = j.Claims+1, lease
			b.Write("UPDATE jobs SET lease = $1, claims = $2, crashes = $3, again = 0 WHERE queue = $4 AND id = $5",
				j.Lease, Number(j.Claims), j.Crashes, queue, j.ID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	store.SortJobs(jobs)
	return jobs, nil
}

// SettleJob implements [store.Jobs].
func (s *Store) SettleJob(ctx context.Context, job store.Job, next *store.Job) error {
	held, again := false, gotong.Instant(0)
	return s.db.Write(ctx, How{Lazy: true}, func(b Batch) {
		held = false
		b.Ask(func(row Row) error { held = true; return row.Scan(&again) },
			"SELECT again FROM jobs WHERE queue = $1 AND id = $2 AND claims = $3 AND lease = $4"+s.db.Lock,
			job.Queue, job.ID, Number(job.Claims), job.Lease)
	}, func(b Batch) error {
		if !held {
			return store.ErrConflict
		}
		settleJob(b, &job, store.Again(next, again))
		return nil
	})
}

// NextDue implements [store.Jobs].
func (s *Store) NextDue(ctx context.Context, queue string) (at gotong.Instant, err error) {
	next := s.db.Greatest + "(due, lease)"
	err = s.db.Read(ctx, func(b Batch) {
		b.Ask(func(row Row) error {
			err := row.Scan(&at)
			at = max(at, 1)
			return err
		}, "SELECT "+next+" FROM jobs WHERE queue = CAST($1 AS text) AND "+s.db.Waiting+" ORDER BY "+next+" LIMIT 1", queue)
	})
	return at, err
}
