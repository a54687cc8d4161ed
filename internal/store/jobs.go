package store

import (
	"cmp"
	"context"
	"slices"

	"gotong.dev/gotong"
)

// Jobs are leased work with a due time. A write may be undone by a power loss,
// as that of [Readers].
type Jobs interface {
	// ClaimJobs leases up to limit due jobs of a queue until lease: those first
	// that could be claimed longest, and returns them in order of due time and id.
	// A job whose lease has ended can be claimed again, and counts one crash. So
	// can a job whose lease ends later than twice the requested term from now: a
	// clock that gave it has been set back since.
	ClaimJobs(ctx context.Context, queue string, now, lease gotong.Instant, limit int) ([]Job, error)

	// SettleJob removes a job or, if next is not nil, replaces its due time, counts
	// of failures and crashes, lease, state and error. It returns ErrConflict if
	// the job was claimed or settled since it was read: its count of claims and its
	// lease are other ones.
	SettleJob(ctx context.Context, job Job, next *Job) error

	// NextDue returns the first instant at which a job of the queue can be claimed;
	// 0 if there is none.
	NextDue(ctx context.Context, queue string) (gotong.Instant, error)
}

// Job is one piece of leased work. A step with a job whose (Queue, ID) exists
// makes that job due at the earlier of both times, unless it is dead, and changes
// nothing else. If that job is leased, this takes effect when it is settled without
// a lease: a job that would be removed is kept, without failures and crashes.
type Job struct {
	Queue   string
	ID      string
	Due     gotong.Instant
	Attempt int            // how often it has failed
	Crashes int            // how often in a row its lease ended before it was settled
	Claims  uint64         // how often it was claimed; fences SettleJob, and begins at 0 in a copy
	Lease   gotong.Instant // until when it is leased, or 0; fences SettleJob
	Dead    bool           // it is never claimed, until somebody settles it with Dead false
	Error   string         // of its last failure
	Body    []byte
}

// Again returns how a job is settled that was put again for this instant while it
// was leased; 0: it was not. It is for adapters.
func Again(next *Job, at gotong.Instant) *Job {
	switch {
	case at == 0 || next != nil && next.Lease != 0:
		return next
	case next == nil:
		return &Job{Due: at}
	}
	sooner := *next
	sooner.Due = min(next.Due, at)
	return &sooner
}

// Next returns the first instant at which the job can be claimed by a claim with
// this term. It is for adapters.
func (j *Job) Next(now, lease gotong.Instant) gotong.Instant {
	if j.Lease > FarLease(now, lease) {
		return j.Due
	}
	return max(j.Due, j.Lease)
}

// FarLease returns the instant after which no lease of another node can end.
func FarLease(now, lease gotong.Instant) gotong.Instant { return now + 2*max(lease-now, 0) }

// SortJobs sorts jobs of one queue as ClaimJobs returns them.
func SortJobs(jobs []Job) {
	slices.SortFunc(jobs, func(a, b Job) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.ID, b.ID)) })
}
