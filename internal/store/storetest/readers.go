package storetest

import (
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var readerTests = map[string]func(*env){
	"readers/advance": readerAdvance,
	"jobs/due":        jobsDue,
	"jobs/lease":      jobsLease,
	"jobs/settle":     jobsSettle,
	"jobs/put twice":  jobsPutTwice,
}

func (e *env) cursor(reader string, p gotong.Partition) uint64 {
	e.Helper()
	at := store.CursorKey{Reader: reader, Partition: p}
	return e.load(store.Need{Cursors: []store.CursorKey{at}}).Cursors[at]
}

// readerAdvance: cursor, documents and jobs move together or not at all.
func readerAdvance(e *env) {
	equal(e, "at first", e.cursor("feed", 2), 0)
	e.check(e.s.Advance(e.ctx, store.Step{
		Reader: "feed", Partition: 2, From: 0, To: 5,
		Changes: []store.Change{put("x", `{"n":1}`), put("gone", `{}`)},
		Jobs:    []store.Job{{Queue: "mail", ID: "1", Due: 10, Attempt: 2, Body: []byte("hello")}},
	}))
	for name, step := range map[string]store.Step{
		"behind": {From: 0, To: 9}, "ahead": {From: 6, To: 9}, "beside": {From: 4, To: 5},
	} {
		step.Reader, step.Partition = "feed", 2
		step.Changes = []store.Change{put("x", `{"n":2}`), put("y", `{}`), {Key: key("gone")}}
		step.Jobs = []store.Job{{Queue: "mail", ID: "2", Due: 1}}
		if err := e.s.Advance(e.ctx, step); !errors.Is(err, store.ErrConflict) {
			e.Errorf("%s: %v", name, err)
		}
	}
	equal(e, "cursor", e.cursor("feed", 2), 5)
	equal(e, "another partition", e.cursor("feed", 3), 0)
	equal(e, "another reader", e.cursor("search", 2), 0)
	docs := e.load(store.Need{Documents: []gotong.Key{key("x"), key("y"), key("gone")}}).Documents
	equal(e, "documents", docs, map[gotong.Key][]byte{key("x"): []byte(`{"n":1}`), key("gone"): []byte(`{}`)})
	equal(e, "jobs", e.claim("mail", 99, 100, 10),
		[]store.Job{{Queue: "mail", ID: "1", Due: 10, Attempt: 2, Lease: 100, Body: []byte("hello")}})
	e.check(e.s.Advance(e.ctx, store.Step{Reader: "feed", Partition: 2, From: 5, To: 8, Changes: []store.Change{{Key: key("gone")}}}))
	equal(e, "moved on", e.cursor("feed", 2), 8)
	if _, ok := e.load(store.Need{Documents: []gotong.Key{key("gone")}}).Documents[key("gone")]; ok {
		e.Errorf("the deletion was lost")
	}
}

func (e *env) claim(queue string, now, lease gotong.Instant, limit int) []store.Job {
	e.Helper()
	jobs, err := e.s.ClaimJobs(e.ctx, queue, now, lease, limit)
	e.check(err)
	return jobs
}

// jobs puts jobs by a reader of their own.
func (e *env) jobs(jobs ...store.Job) {
	e.Helper()
	at := e.cursor("maker", 0)
	e.check(e.s.Advance(e.ctx, store.Step{Reader: "maker", From: at, To: at + 1, Jobs: jobs}))
}

func ids(jobs []store.Job) (s string) {
	for _, j := range jobs {
		s += j.ID + " "
	}
	return s
}

func jobsDue(e *env) {
	e.jobs(
		store.Job{Queue: "q", ID: "c", Due: 30}, store.Job{Queue: "q", ID: "a", Due: 20}, store.Job{Queue: "q", ID: "b", Due: 20},
		store.Job{Queue: "q", ID: "late", Due: 31}, store.Job{Queue: "p", ID: "x", Due: 1},
	)
	equal(e, "none yet", ids(e.claim("q", 19, 100, 9)), "")
	equal(e, "limit 0", ids(e.claim("q", 50, 100, 0)), "")
	equal(e, "oldest first", ids(e.claim("q", 30, 100, 2)), "a b ")
	equal(e, "the rest", ids(e.claim("q", 30, 101, 9)), "c ")
	equal(e, "all leased", ids(e.claim("q", 30, 102, 9)), "")
	equal(e, "now due", ids(e.claim("q", 31, 103, 9)), "late ")
	equal(e, "another queue", ids(e.claim("p", 31, 104, 9)), "x ")
	equal(e, "no such queue", ids(e.claim("none", 99, 200, 9)), "")
}

// jobsLease: a job whose lease has ended is claimed again, and the earlier lease
// is no longer valid.
func jobsLease(e *env) {
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 10, Body: []byte("b")})
	first := e.claim("q", 10, 50, 1)
	equal(e, "leased", ids(e.claim("q", 49, 60, 1)), "")
	second := e.claim("q", 50, 90, 1)
	equal(e, "again", second, []store.Job{{Queue: "q", ID: "a", Due: 10, Lease: 90, Body: []byte("b")}})
	if err := e.s.SettleJob(e.ctx, first[0], nil); !errors.Is(err, store.ErrConflict) {
		e.Errorf("settled with an old lease: %v", err)
	}
	next := gotong.Instant(70)
	if err := e.s.SettleJob(e.ctx, first[0], &next); !errors.Is(err, store.ErrConflict) {
		e.Errorf("put off with an old lease: %v", err)
	}
	e.check(e.s.SettleJob(e.ctx, second[0], nil))
	equal(e, "gone", ids(e.claim("q", 999, 9999, 9)), "")
}

func jobsSettle(e *env) {
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 10, Body: []byte("b")}, store.Job{Queue: "q", ID: "b", Due: 11})
	unclaimed := store.Job{Queue: "q", ID: "b"}
	if err := e.s.SettleJob(e.ctx, unclaimed, nil); !errors.Is(err, store.ErrConflict) {
		e.Errorf("settled without a claim: %v", err)
	}
	job := e.claim("q", 10, 50, 1)[0]
	job.Attempt, job.Body = 3, []byte("ignored")
	next := gotong.Instant(40)
	e.check(e.s.SettleJob(e.ctx, job, &next))
	if err := e.s.SettleJob(e.ctx, job, nil); !errors.Is(err, store.ErrConflict) {
		e.Errorf("settled twice: %v", err)
	}
	equal(e, "not yet due", ids(e.claim("q", 39, 60, 9)), "b ")
	equal(e, "due again", e.claim("q", 40, 61, 9), []store.Job{{Queue: "q", ID: "a", Due: 40, Attempt: 3, Lease: 61, Body: []byte("b")}})
	none := store.Job{Queue: "q", ID: "none", Lease: 61}
	if err := e.s.SettleJob(e.ctx, none, nil); !errors.Is(err, store.ErrConflict) {
		e.Errorf("settled what is not there: %v", err)
	}
}

// jobsPutTwice: a job that exists is not changed, also while it is leased; when
// it was removed, its id is free.
func jobsPutTwice(e *env) {
	job := store.Job{Queue: "q", ID: "a", Due: 10, Body: []byte("first")}
	e.jobs(job, store.Job{Queue: "q", ID: "a", Due: 1, Attempt: 7, Body: []byte("in the same step")})
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 2, Attempt: 9, Body: []byte("second")}, store.Job{Queue: "other", ID: "a", Due: 99})
	equal(e, "not due", ids(e.claim("q", 9, 50, 9)), "")
	got := e.claim("q", 10, 50, 9)
	equal(e, "kept", fmt.Sprintf("%s %d %d", got[0].Body, got[0].Due, got[0].Attempt), "first 10 0")
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 1, Lease: 7})
	equal(e, "leased still", ids(e.claim("q", 49, 60, 9)), "")
	e.check(e.s.SettleJob(e.ctx, got[0], nil))
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 3, Lease: 1 << 60, Body: []byte("anew")})
	equal(e, "anew", string(e.claim("q", 49, 60, 9)[0].Body), "anew")
}
