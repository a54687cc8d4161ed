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
func (s *Store) Advance(ctx context.Context, steps ...store.Step) error {
	if err := store.CheckSteps(steps); err != nil {
		return err
	}
	return s.write(ctx, func() error {
		for i := range steps {
			if s.cursors[cursorOf(&steps[i])] != steps[i].From {
				return store.ErrConflict
			}
		}
		for i := range steps {
			s.cursors[cursorOf(&steps[i])] = steps[i].To
			s.change(steps[i].Changes)
			for _, job := range steps[i].Jobs {
				s.putJob(job)
			}
		}
		return nil
	})
}

// FindTexts implements [store.Texts]: it looks at every document.
func (s *Store) FindTexts(ctx context.Context, f store.Finding) (docs []store.Document, err error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	err = s.read(ctx, func() error {
		found := store.NewFound(&f)
		for at, shelf := range s.documents {
			for name, body := range shelf {
				key := gotong.Key{Collection: at.collection, Owner: at.owner, Name: name}
				if err := found.Add(store.Document{Key: key, Body: slices.Clone(body)}); err != nil {
					return err
				}
			}
		}
		docs = found.Documents()
		return nil
	})
	return docs, err
}

func (s *Store) putJob(job store.Job) {
	key := jobKey{job.Queue, job.ID}
	kept, ok := s.jobs[key]
	switch {
	case !ok:
		s.jobs[key] = fresh(job)
	case kept.Dead:
	case kept.Lease == 0:
		kept.Due = min(kept.Due, job.Due)
		s.jobs[key] = kept
	case s.again[key] == 0 || job.Due < s.again[key]:
		s.again[key] = max(job.Due, 1)
	}
}

func cursorOf(step *store.Step) store.CursorKey {
	return store.CursorKey{Reader: step.Reader, Partition: step.Partition}
}

// fresh returns a job that nobody has claimed.
func fresh(job store.Job) store.Job {
	job.Lease, job.Claims, job.Body = 0, 0, slices.Clone(job.Body)
	return job
}

// ClaimJobs implements [store.Jobs].
func (s *Store) ClaimJobs(
	ctx context.Context, queue string, now, lease gotong.Instant, limit int,
) (claimed []store.Job, err error) {
	err = s.write(ctx, func() error {
		for key, job := range s.jobs {
			if key.queue == queue && !job.Dead && job.Next(now, lease) <= now {
				claimed = append(claimed, job)
			}
		}
		slices.SortFunc(claimed, func(a, b store.Job) int {
			return cmp.Or(cmp.Compare(a.Next(now, lease), b.Next(now, lease)), cmp.Compare(a.ID, b.ID))
		})
		claimed = claimed[:min(len(claimed), max(limit, 0))]
		for i := range claimed {
			job := &claimed[i]
			if job.Lease != 0 {
				job.Crashes++
			}
			job.Claims++
			job.Lease = lease
			s.jobs[jobKey{queue, job.ID}] = *job
			delete(s.again, jobKey{queue, job.ID})
			job.Body = slices.Clone(job.Body)
		}
		store.SortJobs(claimed)
		return nil
	})
	return claimed, err
}

// SettleJob implements [store.Jobs].
func (s *Store) SettleJob(ctx context.Context, job store.Job, next *store.Job) error {
	return s.write(ctx, func() error {
		key := jobKey{job.Queue, job.ID}
		kept, ok := s.jobs[key]
		if !ok || kept.Claims != job.Claims || kept.Lease != job.Lease {
			return store.ErrConflict
		}
		if next = store.Again(next, s.again[key]); next == nil {
			delete(s.jobs, key)
			return nil
		}
		if next.Lease == 0 {
			delete(s.again, key)
		}
		kept.Due, kept.Attempt, kept.Crashes, kept.Lease = next.Due, next.Attempt, next.Crashes, next.Lease
		kept.Dead, kept.Error = next.Dead, next.Error
		s.jobs[key] = kept
		return nil
	})
}

// NextDue implements [store.Jobs].
func (s *Store) NextDue(ctx context.Context, queue string) (next gotong.Instant, err error) {
	err = s.read(ctx, func() error {
		for key, job := range s.jobs {
			if at := max(job.Due, job.Lease, 1); key.queue == queue && !job.Dead && (next == 0 || at < next) {
				next = at
			}
		}
		return nil
	})
	return next, err
}
