package surreal

import (
	"context"
	"fmt"
	"strconv"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

func cursorID(key store.CursorKey) surreal.RecordID {
	return surreal.Record("cursor", key.Reader, key.Partition)
}

func jobID(queue, id string) surreal.RecordID { return surreal.Record("job", queue, id) }

type cursorRow struct {
	_        struct{} `cbor:",toarray"`
	Key      cursorName
	Position uint64
}

type cursorName struct {
	_         struct{} `cbor:",toarray"`
	Reader    string
	Partition gotong.Partition
}

const cursorColumns = "[record::id(id), position]"

// cursors reads the cursors that are not 0.
func (r *reading) cursors(list []store.CursorKey, into map[store.CursorKey]uint64) {
	those(r, list, cursorID, cursorColumns, "position > 0", func(row cursorRow) {
		into[store.CursorKey{Reader: row.Key.Reader, Partition: row.Key.Partition}] = row.Position
	})
}

// Advance implements [store.Readers].
func (s *Store) Advance(ctx context.Context, steps ...store.Step) error {
	docs, jobs, err := store.MergeSteps(steps, s.Collections)
	if err != nil {
		return err
	}
	w := &writing{vars: surreal.Vars{}}
	for i, step := range steps {
		n := strconv.Itoa(i)
		w.vars["from"+n], w.vars["to"+n] = step.From, step.To
		w.add("IF ((SELECT VALUE position FROM ONLY $cursor"+n+") ?? 0) != $from"+n+" { THROW '"+otherwise+"' }",
			"cursor"+n, cursorID(store.CursorKey{Reader: step.Reader, Partition: step.Partition}))
		w.statements = append(w.statements, "UPSERT $cursor"+n+" SET position = $to"+n+" RETURN NONE")
	}
	w.documents(docs)
	if len(jobs) > 0 { // on 2.6, INSERT IGNORE adds index entries of rows that it ignores
		rows := make([]map[string]any, len(jobs))
		for i := range jobs {
			rows[i] = jobRowOf(jobs[i])
		}
		w.add("LET $known = (SELECT VALUE id FROM $jobs.id WHERE due != NONE)", "jobs", rows)
		w.statements = append(w.statements, putAgain, "INSERT INTO job $jobs[WHERE id NOT IN $known] RETURN NONE")
	}
	_, err = s.alone(ctx, w.statements, w.vars)
	return err
}

// putAgain makes the jobs due that exist. On 2.6, an assignment sees those before it,
// on 3.x it does not; so next comes first, here and elsewhere.
const putAgain = "FOR $job IN $jobs { LET $due = $job.due; UPDATE $job.id SET" +
	" next = IF lease = 0 AND $due < due { math::max([1, $due]) } ELSE { next }," +
	" again = IF lease = 0 { 0 } ELSE IF again = 0 OR $due < again { math::max([1, $due]) } ELSE { again }," +
	" due = IF lease = 0 AND $due < due { $due } ELSE { due } WHERE dead = false RETURN NONE }"

// jobRowOf returns the row of a job that is put, which nobody has claimed.
func jobRowOf(job store.Job) map[string]any {
	body := job.Body
	if body == nil {
		body = []byte{}
	}
	return map[string]any{
		"id": jobID(job.Queue, job.ID), "due": job.Due, "attempt": job.Attempt, "crashes": job.Crashes, "claims": 0,
		"lease": 0, "dead": job.Dead, "error": job.Error, "body": body, "again": 0,
		"waits": waits(job.Queue, job.Dead), "next": max(job.Due, 1),
	}
}

// waits returns the queue in which a job waits; "" if it is dead.
func waits(queue string, dead bool) string {
	if dead {
		return ""
	}
	return queue
}

type jobRow struct {
	_       struct{} `cbor:",toarray"`
	Key     [2]string
	Due     gotong.Instant
	Attempt int
	Crashes int
	Claims  uint64
	Lease   gotong.Instant
	Dead    bool
	Error   string
	Body    []byte
}

const jobColumns = "[record::id(id), due, attempt, crashes, claims, lease, dead, error, body]"

func (row *jobRow) job() store.Job {
	body := row.Body
	if body == nil {
		body = []byte{}
	}
	return store.Job{
		Queue: row.Key[0], ID: row.Key[1], Due: row.Due, Attempt: row.Attempt, Crashes: row.Crashes, Claims: row.Claims,
		Lease: row.Lease, Dead: row.Dead, Error: row.Error, Body: body,
	}
}

// The searches for jobs. An index yields its rows in order; with ORDER BY, an engine
// would read all of them before it applies the limit.
const (
	selectNext = "SELECT VALUE next FROM job WITH INDEX job_next WHERE waits = $queue AND next > 0 LIMIT 1"
	selectDue  = "SELECT id, record::id(id)[1] AS name, next FROM job WITH INDEX job_next" +
		" WHERE waits = $queue AND next <= $now LIMIT $limit"
	// Leases that a clock gave which has been set back since.
	selectFar = "SELECT id, record::id(id)[1] AS name, due AS next FROM job WITH INDEX job_lease" +
		" WHERE waits = $queue AND lease > $far AND due <= $now"
)

// ClaimJobs implements [store.Jobs].
func (s *Store) ClaimJobs(
	ctx context.Context, queue string, now, lease gotong.Instant, limit int,
) ([]store.Job, error) {
	if limit <= 0 {
		return nil, nil
	}
	results, err := s.alone(ctx, []string{
		"LET $due = (SELECT id, next, name FROM array::concat((" + selectFar + "), (" + selectDue + ")) ORDER BY next, name LIMIT $limit)",
		"UPDATE $due.id SET next = math::max([due, $lease]), crashes += IF lease = 0 { 0 } ELSE { 1 }," +
			" claims += 1, lease = $lease, again = 0 RETURN VALUE " + jobColumns,
	}, surreal.Vars{"queue": queue, "now": now, "lease": lease, "far": store.FarLease(now, lease), "limit": limit})
	if err != nil {
		return nil, err
	}
	var rows []jobRow
	if err := results[1].Decode(&rows); err != nil {
		return nil, err
	}
	var jobs []store.Job
	for i := range rows {
		jobs = append(jobs, rows[i].job())
	}
	store.SortJobs(jobs)
	return jobs, nil
}

// NextDue implements [store.Jobs].
func (s *Store) NextDue(ctx context.Context, queue string) (next gotong.Instant, err error) {
	r := reading{vars: surreal.Vars{"queue": queue}}
	part(&r, selectNext, func(rows []gotong.Instant) error {
		if len(rows) > 0 {
			next = rows[0]
		}
		return nil
	})
	err = s.read(ctx, &r)
	return next, err
}

// SettleJob implements [store.Jobs].
func (s *Store) SettleJob(ctx context.Context, job store.Job, next *store.Job) error {
	write := "IF (SELECT VALUE again FROM ONLY $id) = 0 { DELETE $id RETURN NONE } ELSE { UPDATE $id SET next = again, due = again," +
		" attempt = 0, crashes = 0, lease = 0, dead = false, error = '', again = 0, waits = $waits RETURN NONE }"
	vars := surreal.Vars{"id": jobID(job.Queue, job.ID), "was": []any{job.Claims, job.Lease}, "waits": job.Queue}
	if next != nil {
		due := "IF $lease = 0 AND again > 0 AND again < $due { again } ELSE { $due }"
		write = "UPDATE $id SET next = math::max([" + due + ", $lease, 1]), due = " + due + ", attempt = $attempt," +
			" crashes = $crashes, lease = $lease, dead = $dead, error = $error, again = IF $lease = 0 { 0 } ELSE { again }," +
			" waits = $waits RETURN NONE"
		vars["due"], vars["attempt"], vars["crashes"] = next.Due, next.Attempt, next.Crashes
		vars["lease"], vars["dead"], vars["error"] = next.Lease, next.Dead, next.Error
		vars["waits"] = waits(job.Queue, next.Dead)
	}
	_, err := s.alone(ctx, []string{
		"IF (SELECT VALUE [claims, lease] FROM ONLY $id) != $was { THROW '" + otherwise + "' }",
		write,
	}, vars)
	return err
}

func registerID(key gotong.Key) surreal.RecordID {
	return surreal.Record("register", key.Collection, key.Owner, key.Name)
}

type registerRow struct {
	ID      surreal.RecordID `cbor:"id"`
	Version uint64           `cbor:"version"`
	Body    []byte           `cbor:"body"`
	Expires gotong.Instant   `cbor:"expires"`
}

func (row *registerRow) register() (store.Register, error) {
	parts, _ := row.ID.Key.([]any)
	var key [3]string
	for i := range parts {
		text, ok := parts[i].(string)
		if !ok || len(parts) != len(key) {
			return store.Register{}, fmt.Errorf("surreal: an odd key in register")
		}
		key[i] = text
	}
	body := row.Body
	if body == nil {
		body = []byte{}
	}
	return store.Register{
		Key: gotong.Key{Collection: key[0], Owner: key[1], Name: key[2]}, Version: row.Version, Body: body, Expires: row.Expires,
	}, nil
}

// registers reads the registers of from that exist now.
func (r *reading) registers(from, bound string, now gotong.Instant, take func(store.Register)) {
	query := "SELECT id, version, body, expires FROM " + from +
		" WHERE version > 0 AND (expires = 0 OR expires > " + r.param(now) + ")" + bound
	part(r, query, func(rows []registerRow) error {
		for i := range rows {
			register, err := rows[i].register()
			if err != nil {
				return err
			}
			take(register)
		}
		return nil
	})
}

func (r *reading) registersOf(list []gotong.Key, now gotong.Instant, into map[gotong.Key]store.Register) {
	if len(list) == 0 {
		return
	}
	r.registers(r.param(idsOf(list, registerID)), "", now, func(register store.Register) { into[register.Key] = register })
}

// FindRegisters implements [store.Registers].
func (s *Store) FindRegisters(ctx context.Context, of store.KeyRange) (found []store.Register, err error) {
	var r reading
	from, bound := r.rangeOf(of, "register", of.Collection)
	r.registers(from, bound, s.Now(), func(register store.Register) { found = append(found, register) })
	if err := s.read(ctx, &r); err != nil {
		return nil, err
	}
	return found, nil
}

// SetRegister implements [store.Registers].
func (s *Store) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	write := "UPSERT $id CONTENT { version: $next, body: $body, expires: $expires } RETURN NONE"
	if body == nil {
		write = "DELETE $id RETURN NONE"
	}
	_, err := s.alone(ctx, []string{
		"LET $version = (SELECT VALUE version FROM ONLY $id WHERE expires = 0 OR expires > $now)",
		"IF ($version ?? 0) != $expect { THROW '" + otherwise + "' }",
		write,
	}, surreal.Vars{
		"id": registerID(key), "now": s.Now(), "expect": expect, "next": expect + 1, "body": body, "expires": expires,
	})
	return err
}

// purgeAtOnce is how many expired registers one transaction deletes.
const purgeAtOnce = 500

// clear deletes registers that have expired, of all nodes. It may fail: no read
// returns them, and the next call deletes them. This is the one query that uses an
// index; nothing depends on the index being complete.
func (s *Store) clear(ctx context.Context) error {
	vars := surreal.Vars{"now": s.Now(), "most": purgeAtOnce}
	for {
		var gone []surreal.RecordID
		err := s.db.Select(ctx, "SELECT VALUE id FROM register WHERE expires > 0 AND expires <= $now LIMIT $most", vars, &gone)
		if err != nil || len(gone) == 0 {
			return err
		}
		// One of them may have been set again. And the table must not change
		// while a sealed store is copied.
		_, err = s.alone(ctx, []string{"DELETE $gone WHERE expires > 0 AND expires <= $now RETURN NONE"},
			surreal.Vars{"gone": gone, "now": vars["now"]})
		if err != nil || len(gone) < purgeAtOnce {
			return err
		}
	}
}
