package sqlstore

import (
	"strings"

	"gotong.dev/gotong/internal/store"
)

const (
	addRegister = "INSERT INTO registers VALUES ($1, $2, $3, $4, $5, $6)"

	addJob   = "INSERT INTO jobs VALUES ($1, $2, $3, $4, $5, 0, 0, $6, $7, $8, 0)"
	putAgain = ` ON CONFLICT (queue, id) DO UPDATE SET
		again = CASE WHEN jobs.lease = 0 THEN 0 WHEN jobs.again > 0 AND jobs.again <= excluded.due THEN jobs.again
			WHEN excluded.due < 1 THEN 1 ELSE excluded.due END,
		due = CASE WHEN jobs.lease = 0 AND excluded.due < jobs.due THEN excluded.due ELSE jobs.due END WHERE NOT jobs.dead`
)

// PutJobs adds jobs that nobody has claimed. One that exists becomes due at the
// earlier time of both, when nobody leases it.
func PutJobs(b Batch, jobs []store.Job) { addJobs(b, jobs, addJob+putAgain) }

func addJobs(b Batch, jobs []store.Job, sql string) {
	for i := range jobs {
		j := &jobs[i]
		body := j.Body
		if body == nil {
			body = []byte{}
		}
		b.Write(sql, j.Queue, j.ID, j.Due, j.Attempt, j.Crashes, j.Dead, legible(j.Error), body)
	}
}

// legible returns a text as a database can hold it: PostgreSQL rejects other ones.
func legible(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
}

// settleJob writes what [store.Again] returned for a job.
func settleJob(b Batch, job, next *store.Job) {
	if next == nil {
		b.Write("DELETE FROM jobs WHERE queue = $1 AND id = $2", job.Queue, job.ID)
		return
	}
	again := ""
	if next.Lease == 0 {
		again = ", again = 0"
	}
	b.Write("UPDATE jobs SET due = $1, attempt = $2, crashes = $3, lease = $4, dead = $5, error = $6"+again+
		" WHERE queue = $7 AND id = $8", next.Due, next.Attempt, next.Crashes, next.Lease, next.Dead, legible(next.Error),
		job.Queue, job.ID)
}

// restoreSide adds the registers, cursors and jobs of a copy.
func restoreSide(b Batch, rows *store.Rows) {
	for _, r := range rows.Registers {
		b.Write(addRegister,
			r.Key.Collection, r.Key.Owner, r.Key.Name, Number(r.Version), r.Body, r.Expires)
	}
	for _, r := range rows.Cursors {
		b.Write("INSERT INTO cursors VALUES ($1, $2, $3)", r.Reader, int64(r.Partition), Number(r.Position))
	}
	addJobs(b, rows.Jobs, addJob)
}
