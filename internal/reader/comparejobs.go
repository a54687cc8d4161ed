package reader

import (
	"context"
	"errors"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// jobs compares the stored jobs of a reader with the pending ones that its events
// make.
type jobs struct {
	s       Whole
	fold    *fold
	report  func(Difference)
	stored  map[string]store.Job // those that no event has made yet
	ends    [gotong.Partitions]uint64
	partial bool // some partition could not be read
}

// compareJobs is [Compare] for jobs. A job exists from the step that makes it until
// after its effect; therefore cursors are read before jobs, and the log and the
// records of effects after them.
func compareJobs(ctx context.Context, s Whole, r *Reader, report func(Difference)) error {
	cursors, err := cursorsOf(ctx, s, r)
	if err != nil {
		return err
	}
	list, err := Jobs(ctx, s, false, 0)
	if err != nil {
		return err
	}
	c := &jobs{s: s, fold: &fold{reader: r, from: s}, report: report, stored: map[string]store.Job{}}
	for _, job := range list {
		if job.Queue != r.Name {
			continue
		}
		c.stored[job.ID] = job
		if _, whole := r.Ran(job); !whole {
			c.tell(job, "was altered; gotong reader rebuild "+r.Name+" replaces it")
		}
	}
	snap, err := s.Load(ctx, store.Need{})
	c.ends = snap.Positions
	for p := 0; p < len(cursors) && err == nil; p++ {
		err = c.partition(ctx, gotong.Partition(p), cursors[p])
	}
	if err != nil {
		return err
	}
	return c.strays(ctx)
}

func (c *jobs) tell(job store.Job, detail string) {
	request, _ := c.fold.reader.Ran(job)
	c.report(Difference{Job: job.ID, Stream: request.Stream, Detail: detail})
}

// partition compares the jobs of a partition. Events after the cursor may have made
// theirs already.
func (c *jobs) partition(ctx context.Context, p gotong.Partition, cursor uint64) error {
	r, at := c.fold.reader, Place{Reader: c.fold.reader.Name, Partition: p}
	var err error
	for _, to := range []uint64{cursor, max(cursor, c.ends[p])} {
		if err != nil {
			break
		}
		err = remake(ctx, c.s, c.fold, at, to, pageCompared, func(_ Place, m made) error {
			for _, job := range m.jobs {
				if _, is := c.stored[job.ID]; !is && to == cursor {
					c.tell(job, "is missing, and has had no effect yet; gotong reader rebuild "+r.Name+" makes it again")
				}
				delete(c.stored, job.ID)
			}
			return nil
		})
		at.Position = to
	}
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, errFails) {
		c.partial = true
		c.report(Difference{Unknown: true, Detail: "jobs cannot be compared: " + firstLine(err)})
		return nil
	}
	return err
}

// strays reports the jobs that no event made and that have had no effect.
func (c *jobs) strays(ctx context.Context) error {
	for _, job := range c.stored {
		if _, whole := c.fold.reader.Ran(job); !whole || c.partial {
			continue
		}
		left, err := c.fold.pending(ctx, []store.Job{job})
		if err != nil {
			return err
		}
		if len(left) > 0 {
			c.tell(job, "exists, although no event made it")
		}
	}
	return nil
}
