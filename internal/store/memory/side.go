package memory

import (
	"cmp"
	"context"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// register returns the register as it is now; one that has expired does not exist.
func (s *Store) register(key gotong.Key) store.Register {
	r, ok := s.registers[shelf{key.Collection, key.Owner}][key.Name]
	if !ok || r.Expires != 0 && r.Expires <= s.now() {
		return store.Register{Key: key}
	}
	r.Body = slices.Clone(r.Body)
	return r
}

// SetRegister implements [store.Registers].
func (s *Store) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	return s.write(ctx, func() error {
		if s.register(key).Version != expect {
			return store.ErrConflict
		}
		s.setRegister(gotong.RegisterChange{Key: key, Expect: expect, Body: body, Expires: expires})
		return nil
	})
}

func (s *Store) setRegister(r gotong.RegisterChange) {
	at := shelf{r.Key.Collection, r.Key.Owner}
	if r.Body == nil {
		delete(s.registers[at], r.Key.Name)
		return
	}
	if s.registers[at] == nil {
		s.registers[at] = map[string]store.Register{}
	}
	s.registers[at][r.Key.Name] = store.Register{
		Key: r.Key, Version: r.Expect + 1, Body: slices.Clone(r.Body), Expires: r.Expires,
	}
}

// FindRegisters implements [store.Registers].
func (s *Store) FindRegisters(ctx context.Context, r store.KeyRange) (found []store.Register, err error) {
	err = s.read(ctx, func() error {
		live := map[string]store.Register{}
		for name := range s.registers[shelf{r.Collection, r.Owner}] {
			reg := s.register(gotong.Key{Collection: r.Collection, Owner: r.Owner, Name: name})
			if reg.Version > 0 {
				live[name] = reg
			}
		}
		for _, name := range namesIn(r, live) {
			found = append(found, live[name])
		}
		return nil
	})
	return found, err
}

// Advance implements [store.Readers].
func (s *Store) Advance(ctx context.Context, step store.Step) error {
	return s.write(ctx, func() error {
		at := store.CursorKey{Reader: step.Reader, Partition: step.Partition}
		if s.cursors[at] != step.From {
			return store.ErrConflict
		}
		s.cursors[at] = step.To
		s.change(step.Changes)
		for _, job := range step.Jobs {
			key := jobKey{job.Queue, job.ID}
			if _, ok := s.jobs[key]; !ok {
				job.Lease, job.Body = 0, slices.Clone(job.Body)
				s.jobs[key] = job
			}
		}
		return nil
	})
}

// ClaimJobs implements [store.Jobs].
func (s *Store) ClaimJobs(
	ctx context.Context, queue string, now, lease gotong.Instant, limit int,
) (claimed []store.Job, err error) {
	err = s.write(ctx, func() error {
		for key, job := range s.jobs {
			if key.queue == queue && job.Due <= now && job.Lease <= now {
				claimed = append(claimed, job)
			}
		}
		slices.SortFunc(claimed, func(a, b store.Job) int {
			return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.ID, b.ID))
		})
		claimed = claimed[:min(len(claimed), max(limit, 0))]
		for i := range claimed {
			job := &claimed[i]
			job.Lease = lease
			s.jobs[jobKey{queue, job.ID}] = *job
			job.Body = slices.Clone(job.Body)
		}
		return nil
	})
	return claimed, err
}

// SettleJob implements [store.Jobs].
func (s *Store) SettleJob(ctx context.Context, job store.Job, next *gotong.Instant) error {
	return s.write(ctx, func() error {
		key := jobKey{job.Queue, job.ID}
		kept, ok := s.jobs[key]
		if !ok || job.Lease == 0 || kept.Lease != job.Lease {
			return store.ErrConflict
		}
		if next == nil {
			delete(s.jobs, key)
			return nil
		}
		kept.Due, kept.Attempt, kept.Lease = *next, job.Attempt, 0
		s.jobs[key] = kept
		return nil
	})
}
