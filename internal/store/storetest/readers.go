package storetest

import (
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var readerTests = map[string]func(*env){
	"readers/advance": readerAdvance,
	"readers/steps":   readerSteps,
	"jobs/crash":      jobsCrash,
	"jobs/dead":       jobsDead,
	"jobs/far lease":  jobsFarLease,
	"jobs/next":       jobsNext,
	"jobs/renew":      jobsRenew,
	"jobs/due":        jobsDue,
	"jobs/lease":      jobsLease,
	"jobs/settle":     jobsSettle,
	"jobs/put twice":  jobsPutTwice,
	"jobs/put leased": jobsPutLeased,
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
		[]store.Job{{Queue: "mail", ID: "1", Due: 10, Attempt: 2, Claims: 1, Lease: 100, Body: []byte("hello")}})
	e.check(e.s.Advance(e.ctx, store.Step{Reader: "feed", Partition: 2, From: 5, To: 8, Changes: []store.Change{{Key: key("gone")}}}))
	equal(e, "moved on", e.cursor("feed", 2), 8)
	if _, ok := e.load(store.Need{Documents: []gotong.Key{key("gone")}}).Documents[key("gone")]; ok {
		e.Errorf("the deletion was lost")
	}
}

// readerSteps: the steps of several readers are one write, and one stale cursor
// prevents all of them.
func readerSteps(e *env) {
	step := func(reader string, from, to uint64, name string) store.Step {
		return store.Step{
			Reader: reader, Partition: 1, From: from, To: to, Changes: []store.Change{put(name, `{}`)},
			Jobs: []store.Job{{Queue: "q", ID: name}},
		}
	}
	e.check(e.s.Advance(e.ctx, step("a", 0, 3, "a"), step("b", 0, 2, "b"), store.Step{Reader: "a", Partition: 2, To: 7}))
	equal(e, "moved", []uint64{e.cursor("a", 1), e.cursor("b", 1), e.cursor("a", 2)}, []uint64{3, 2, 7})
	for name, steps := range map[string][]store.Step{
		"the last":  {step("a", 3, 4, "x"), step("b", 1, 4, "y")},
		"the first": {step("b", 3, 4, "y"), step("a", 3, 4, "x")},
	} {
		if err := e.s.Advance(e.ctx, steps...); !errors.Is(err, store.ErrConflict) {
			e.Errorf("%s is stale: %v", name, err)
		}
	}
	if err := e.s.Advance(e.ctx, step("a", 3, 4, "x"), step("a", 3, 4, "y")); !errors.Is(err, store.ErrMalformed) {
		e.Errorf("two steps of one cursor: %v", err)
	}
	equal(e, "not moved", []uint64{e.cursor("a", 1), e.cursor("b", 1)}, []uint64{3, 2})
	equal(e, "documents", len(e.documents(store.KeyRange{Collection: things, Owner: "owner", To: "~"})), 2)
	equal(e, "jobs", ids(e.claim("q", 9, 10, 9)), "a b ")
	e.check(e.s.Advance(e.ctx, step("a", 3, 0, "back")))
	equal(e, "moved back", e.cursor("a", 1), 0)
	e.check(e.s.Advance(e.ctx))
	e.restart()
	equal(e, "there still", []uint64{e.cursor("a", 1), e.cursor("b", 1), e.cursor("a", 2)}, []uint64{0, 2, 7})
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
	e.jobs(store.Job{Queue: "p", ID: "y", Due: 90})
	equal(e, "the lease of x ended last, and x was due first", ids(e.claim("p", 104, 204, 9)), "x y ")
}

// jobsLease: a job whose lease has ended is claimed again, and the earlier lease
// is no longer valid.
func jobsLease(e *env) {
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 10, Body: []byte("b")})
	first := e.claim("q", 10, 50, 1)
	equal(e, "leased", ids(e.claim("q", 49, 60, 1)), "")
	second := e.claim("q", 50, 90, 1)
	equal(e, "again", second, []store.Job{{Queue: "q", ID: "a", Due: 10, Crashes: 1, Claims: 2, Lease: 90, Body: []byte("b")}})
	if err := e.s.SettleJob(e.ctx, first[0], nil); !errors.Is(err, store.ErrConflict) {
		e.Errorf("settled with an old lease: %v", err)
	}
	if err := e.s.SettleJob(e.ctx, first[0], &store.Job{Due: 70}); !errors.Is(err, store.ErrConflict) {
		e.Errorf("put off with an old lease: %v", err)
	}
	e.check(e.s.SettleJob(e.ctx, second[0], nil))
	equal(e, "gone", ids(e.claim("q", 999, 9999, 9)), "")
}

func jobsSettle(e *env) {
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 10, Body: []byte("b")}, store.Job{Queue: "q", ID: "b", Due: 11})
	job := e.claim("q", 10, 50, 1)[0]
	for name, stale := range map[string]store.Job{
		"another count of claims": {Queue: "q", ID: "a", Lease: 50}, "another lease": {Queue: "q", ID: "a", Claims: 1},
		"as it was read before": {Queue: "q", ID: "a"}, "not there": {Queue: "q", ID: "none"},
		"of another queue": {Queue: "p", ID: "a", Claims: 1, Lease: 50},
	} {
		for _, next := range []*store.Job{nil, {Due: 1}} {
			if err := e.s.SettleJob(e.ctx, stale, next); !errors.Is(err, store.ErrConflict) {
				e.Errorf("%s: %v", name, err)
			}
		}
	}
	next := store.Job{Queue: "p", ID: "ignored", Due: 40, Attempt: 3, Crashes: 2, Claims: 77, Error: "why", Body: []byte("ignored")}
	e.check(e.s.SettleJob(e.ctx, job, &next))
	if err := e.s.SettleJob(e.ctx, job, nil); !errors.Is(err, store.ErrConflict) {
		e.Errorf("settled twice: %v", err)
	}
	equal(e, "not yet due", ids(e.claim("q", 39, 60, 9)), "b ")
	again := store.Job{Queue: "q", ID: "a", Due: 40, Attempt: 3, Crashes: 2, Claims: 2, Lease: 61, Error: "why", Body: []byte("b")}
	equal(e, "due again", e.claim("q", 40, 61, 9), []store.Job{again})
	e.check(e.s.SettleJob(e.ctx, again, nil))
	equal(e, "gone", ids(e.claim("q", 60, 90, 9)), "b ")
	e.jobs(store.Job{Queue: "q", ID: "free", Due: 5})
	e.check(e.s.SettleJob(e.ctx, store.Job{Queue: "q", ID: "free"}, nil)) // nobody has claimed it since
	equal(e, "removed without a claim", ids(e.claim("q", 61, 91, 9)), "")
}

// jobsCrash: a lease that ends counts a crash, and one that was settled does not.
func jobsCrash(e *env) {
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 10})
	counts := func(what string, now gotong.Instant, want string) store.Job {
		j := e.claim("q", now, now+10, 1)[0]
		equal(e, what, fmt.Sprint(j.Attempt, j.Crashes, j.Claims), want)
		return j
	}
	counts("first", 10, "0 0 1")
	job := counts("after a crash", 20, "0 1 2")
	e.check(e.s.SettleJob(e.ctx, job, &store.Job{Due: 25, Attempt: 1, Crashes: 1}))
	counts("after a failure", 25, "1 1 3")
	counts("after another crash", 35, "1 2 4")
}

// jobsDead: a dead job is kept and never claimed, until somebody revives it.
func jobsDead(e *env) {
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 10, Body: []byte("b")})
	job := e.claim("q", 10, 20, 1)[0]
	e.check(e.s.SettleJob(e.ctx, job, &store.Job{Due: 10, Attempt: 9, Dead: true, Error: "no"}))
	equal(e, "claimed", ids(e.claim("q", 99, 120, 9)), "")
	e.dueNext("q", 0)
	e.restart()
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 1}) // it exists
	equal(e, "claimed after it was put again", ids(e.claim("q", 99, 120, 9)), "")
	rows, err := e.s.Rows(e.ctx, store.AllJobs, "", 9)
	e.check(err)
	dead := store.Job{Queue: "q", ID: "a", Due: 10, Attempt: 9, Claims: 1, Dead: true, Error: "no", Body: []byte("b")}
	equal(e, "listed", rows.Jobs, []store.Job{dead})
	e.check(e.s.SettleJob(e.ctx, dead, &store.Job{Due: 30}))
	e.dueNext("q", 30)
	equal(e, "revived", e.claim("q", 30, 50, 9), []store.Job{{Queue: "q", ID: "a", Due: 30, Claims: 2, Lease: 50, Body: []byte("b")}})
}

// jobsFarLease: a lease that no clock of today can give does not bind, and one of
// a node whose clock is ahead does.
func jobsFarLease(e *env) {
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 60})
	e.claim("q", 1000, 1030, 1)
	equal(e, "not due for this clock", ids(e.claim("q", 59, 89, 9)), "")
	equal(e, "the clock was set back", ids(e.claim("q", 100, 130, 9)), "a ")
	equal(e, "another node is behind by a term", ids(e.claim("q", 70, 100, 9)), "")
	e.jobs(store.Job{Queue: "q", ID: "b", Due: 20}, store.Job{Queue: "q", ID: "c", Due: 10})
	e.claim("q", 50, 50+1000, 9) // b and c, far
	equal(e, "the one that was due first", ids(e.claim("q", 60, 90, 1)), "c ")
	equal(e, "then the others", ids(e.claim("q", 60, 90, 9)), "b a ")
}

func (e *env) dueNext(queue string, want gotong.Instant) {
	e.Helper()
	got, err := e.s.NextDue(e.ctx, queue)
	e.check(err)
	equal(e, "due next in "+queue, got, want)
}

// jobsNext: the first instant at which something can be claimed.
func jobsNext(e *env) {
	e.dueNext("q", 0)
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 30}, store.Job{Queue: "q", ID: "b", Due: 20}, store.Job{Queue: "p", ID: "x", Due: 1})
	e.dueNext("q", 20)
	e.dueNext("p", 1)
	e.claim("q", 20, 25, 1)
	e.dueNext("q", 25)
	equal(e, "the lease of b ended first", ids(e.claim("q", 30, 90, 1)), "b ")
	e.dueNext("q", 30)
	equal(e, "a was due before the lease of b ended", ids(e.claim("q", 90, 99, 1)), "a ")
	e.dueNext("q", 90)
}

// jobsRenew: a claim can be prolonged while it holds.
func jobsRenew(e *env) {
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 10})
	job := e.claim("q", 10, 20, 1)[0]
	longer := job
	longer.Lease = 30
	e.check(e.s.SettleJob(e.ctx, job, &longer))
	equal(e, "leased still", ids(e.claim("q", 29, 50, 9)), "")
	if err := e.s.SettleJob(e.ctx, job, &longer); !errors.Is(err, store.ErrConflict) {
		e.Errorf("prolonged with the lease before: %v", err)
	}
	other := e.claim("q", 30, 60, 9)[0]
	longer.Lease = 90
	if err := e.s.SettleJob(e.ctx, longer, nil); !errors.Is(err, store.ErrConflict) {
		e.Errorf("settled with a lease that ended: %v", err)
	}
	e.check(e.s.SettleJob(e.ctx, other, nil))
}

// jobsPutTwice: of a job that exists, only the due time changes, to an earlier
// one; when it was removed, its id is free.
func jobsPutTwice(e *env) {
	job := store.Job{Queue: "q", ID: "a", Due: 30, Body: []byte("first")}
	e.jobs(job, store.Job{Queue: "q", ID: "a", Due: 20, Attempt: 7, Body: []byte("in the same step")})
	e.dueNext("q", 20)
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 10, Attempt: 9, Body: []byte("second")}, store.Job{Queue: "other", ID: "a", Due: 99})
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 25})
	equal(e, "not due", ids(e.claim("q", 9, 50, 9)), "")
	got := e.claim("q", 10, 50, 9)
	equal(e, "kept", fmt.Sprintf("%s %d %d", got[0].Body, got[0].Due, got[0].Attempt), "first 10 0")
	e.check(e.s.SettleJob(e.ctx, got[0], nil))
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 3, Lease: 1 << 60, Body: []byte("anew")})
	equal(e, "anew", string(e.claim("q", 49, 60, 9)[0].Body), "anew")
}

// jobsPutLeased: a job that was put again while it was leased is due again once it
// is settled, and not before.
func jobsPutLeased(e *env) {
	put := func(due gotong.Instant) { e.jobs(store.Job{Queue: "q", ID: "a", Due: due, Body: []byte("b")}) }
	kept := func(what string, got []store.Job, want store.Job) store.Job {
		e.Helper()
		want.Queue, want.ID, want.Body = "q", "a", []byte("b")
		equal(e, what, got, []store.Job{want})
		return want
	}
	put(10)
	job := kept("first", e.claim("q", 10, 50, 1), store.Job{Due: 10, Claims: 1, Lease: 50})
	put(30)
	put(20)
	put(25)
	equal(e, "leased still", ids(e.claim("q", 49, 60, 1)), "")
	longer := job
	longer.Lease = 60
	e.check(e.s.SettleJob(e.ctx, job, &longer)) // renewed: still not settled
	e.check(e.s.SettleJob(e.ctx, longer, nil))
	equal(e, "not before", ids(e.claim("q", 19, 90, 1)), "")
	job = kept("instead of being removed", e.claim("q", 20, 90, 1), store.Job{Due: 20, Claims: 2, Lease: 90})
	e.check(e.s.SettleJob(e.ctx, job, nil))
	equal(e, "once", ids(e.claim("q", 99, 100, 1)), "")

	put(10)
	job = kept("anew", e.claim("q", 10, 50, 1), store.Job{Due: 10, Claims: 1, Lease: 50})
	put(15)
	e.check(e.s.SettleJob(e.ctx, job, &store.Job{Due: 40, Attempt: 1, Error: "no"}))
	job = kept("sooner than settled", e.claim("q", 15, 60, 1), store.Job{Due: 15, Attempt: 1, Claims: 2, Lease: 60, Error: "no"})
	e.check(e.s.SettleJob(e.ctx, job, &store.Job{Due: 40}))
	equal(e, "as settled", ids(e.claim("q", 39, 60, 1)), "")
	kept("forgotten by a claim", e.claim("q", 40, 70, 1), store.Job{Due: 40, Claims: 3, Lease: 70})
	put(5)
	e.restart()
	job = kept("claimed again", e.claim("q", 70, 80, 1), store.Job{Due: 40, Crashes: 1, Claims: 4, Lease: 80})
	e.check(e.s.SettleJob(e.ctx, job, nil))
	equal(e, "gone", ids(e.claim("q", 99, 100, 1)), "")
}
