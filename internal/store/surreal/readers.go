package surreal

import (
	"cmp"
	"context"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

func cursorID(reader string, p gotong.Partition) surreal.RecordID {
	return surreal.Record("cursor", reader, p)
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
	if len(list) == 0 {
		return
	}
	ids := make([]surreal.RecordID, len(list))
	for i, key := range list {
		ids[i] = cursorID(key.Reader, key.Partition)
	}
	part(r, "SELECT VALUE "+cursorColumns+" FROM "+r.param(ids)+" WHERE position > 0", func(rows []cursorRow) error {
		for _, row := range rows {
			into[store.CursorKey{Reader: row.Key.Reader, Partition: row.Key.Partition}] = row.Position
		}
		return nil
	})
}

// Advance implements [store.Readers].
func (s *Store) Advance(ctx context.Context, step store.Step) error {
	if err := s.knows(step.Changes); err != nil {
		return err
	}
	w := &writing{vars: surreal.Vars{"from": step.From, "to": step.To}}
	w.add("IF ((SELECT VALUE position FROM ONLY $cursor) ?? 0) != $from { THROW '"+otherwise+"' }",
		"cursor", cursorID(step.Reader, step.Partition))
	w.statements = append(w.statements, "UPSERT $cursor SET position = $to RETURN NONE")
	docs := map[gotong.Key][]byte{}
	for _, ch := range step.Changes {
		docs[ch.Key] = ch.Body
	}
	w.documents(docs)
	if rows := jobRows(step.Jobs); len(rows) > 0 {
		w.add("INSERT IGNORE INTO job $jobs RETURN NONE", "jobs", rows)
	}
	_, err := s.alone(ctx, w.statements, w.vars)
	return err
}

// jobRows returns the jobs to put, the first of each id.
func jobRows(jobs []store.Job) (rows []map[string]any) {
	seen := map[[2]string]bool{}
	for _, job := range jobs {
		key := [2]string{job.Queue, job.ID}
		if seen[key] {
			continue
		}
		seen[key] = true
		rows = append(rows, jobRowOf(job))
	}
	return rows
}

// jobRowOf returns the row of a job that is put, without a lease.
func jobRowOf(job store.Job) map[string]any {
	body := job.Body
	if body == nil {
		body = []byte{}
	}
	return map[string]any{
		"id": jobID(job.Queue, job.ID), "due": job.Due, "attempt": job.Attempt, "lease": 0, "body": body,
	}
}

type jobRow struct {
	_       struct{} `cbor:",toarray"`
	Key     [2]string
	Due     gotong.Instant
	Attempt int
	Lease   gotong.Instant
	Body    []byte
}

const jobColumns = "[record::id(id), due, attempt, lease, body]"

func (row *jobRow) job() store.Job {
	body := row.Body
	if body == nil {
		body = []byte{}
	}
	return store.Job{
		Queue: row.Key[0], ID: row.Key[1], Due: row.Due, Attempt: row.Attempt, Lease: row.Lease, Body: body,
	}
}

// isDue is the condition under which a job may be leased. A queue has no index, so
// the search for due jobs reads every job that waits in it.
const isDue = " FROM job:[$queue, '']..[$queue, []] WHERE due <= $now AND lease <= $now"

// ClaimJobs implements [store.Jobs]. If no job is due, it writes nothing.
func (s *Store) ClaimJobs(
	ctx context.Context, queue string, now, lease gotong.Instant, limit int,
) ([]store.Job, error) {
	some, err := s.anyDue(ctx, queue, now)
	if err != nil || !some || limit <= 0 {
		return nil, err
	}
	results, err := s.alone(ctx, []string{
		"LET $due = (SELECT id, due, record::id(id)[1] AS name" + isDue + " ORDER BY due, name LIMIT $limit)",
		"UPDATE $due.id SET lease = $lease RETURN VALUE " + jobColumns,
	}, surreal.Vars{"queue": queue, "now": now, "lease": lease, "limit": limit})
	if err != nil {
		return nil, err
	}
	var rows []jobRow
	if err := results[1].Decode(&rows); err != nil {
		return nil, err
	}
	var jobs []store.Job
	for _, row := range rows {
		jobs = append(jobs, row.job())
	}
	slices.SortFunc(jobs, func(a, b store.Job) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.ID, b.ID)) })
	return jobs, nil
}

func (s *Store) anyDue(ctx context.Context, queue string, now gotong.Instant) (some bool, err error) {
	end, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	r := reading{vars: surreal.Vars{"queue": queue, "now": now}}
	var closed error
	r.gate(s.Epoch(), func(err error) { closed = err })
	part(&r, "SELECT VALUE due"+isDue+" LIMIT 1", func(rows []int64) error { some = len(rows) > 0; return nil })
	if err := s.read(ctx, &r); err != nil {
		return false, err
	}
	return some, closed
}

// SettleJob implements [store.Jobs].
func (s *Store) SettleJob(ctx context.Context, job store.Job, next *gotong.Instant) error {
	write := "DELETE $id RETURN NONE"
	vars := surreal.Vars{"id": jobID(job.Queue, job.ID), "lease": job.Lease, "attempt": job.Attempt}
	if next != nil {
		write = "UPDATE $id SET due = $due, attempt = $attempt, lease = 0 RETURN NONE"
		vars["due"] = *next
	}
	_, err := s.alone(ctx, []string{
		"IF $lease = 0 OR ((SELECT VALUE lease FROM ONLY $id) ?? 0) != $lease { THROW '" + otherwise + "' }",
		write,
	}, vars)
	return err
}
