package reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gotong.dev/gotong/internal/store"
)

// run runs the readers until ctx ends, and then writes where they are.
func (p *partition) run(ctx context.Context) {
	next := p.runner.opt.Clock.Mono()
	for wait := time.Duration(0); pause(ctx, wait, p.wake); {
		// A lone commit needs no timer for the gap.
		if rest := next.Sub(p.runner.opt.Clock.Mono()); rest > 0 && !pause(ctx, rest, p.full) {
			break
		}
		select {
		case <-p.wake: // for a commit that this turn sees
		default:
		}
		wait, next = p.turn(ctx), p.runner.opt.Clock.Mono()
		if wait > 0 {
			next = next.Add(gap)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := p.write(ctx, true, nil); err != nil && !errors.Is(err, store.ErrConflict) {
		p.runner.fault(ctx, err)
	}
}

// turn makes one round. It returns how long the next one may wait for a wake-up.
// After an error it first waits by itself.
func (p *partition) turn(ctx context.Context) time.Duration {
	more := false
	err := store.Guard(func() (err error) { more, err = p.round(ctx); return err })
	switch {
	case err == nil:
		p.show()
		p.passed(ctx)
		switch {
		case more && p.far():
			return 0
		case more:
			return 1 // after the gap
		}
		if slices.ContainsFunc(p.followers, func(f *follower) bool { return f.at > f.stored }) {
			return lazily
		}
		return never
	case ctx.Err() != nil:
		p.followers = nil // their cursors are ahead of the effects that were written
		return never
	case errors.Is(err, store.ErrConflict): // another node runs it, or someone moved a cursor
	default:
		p.runner.fault(ctx, err)
	}
	p.followers = nil
	pause(ctx, retry/2+rand.N(retry), nil) //nolint:gosec // spreads load, guards nothing
	return 0
}

// round processes a page for each group of readers with the same position, and
// writes all their steps. It reports whether there is certainly more.
func (p *partition) round(ctx context.Context) (more bool, err error) {
	p.mu.Lock()
	mine, stale := p.mine, p.stale
	p.stale = false
	p.mu.Unlock()
	if !mine || stale {
		if err = p.write(ctx, true, nil); errors.Is(err, store.ErrConflict) {
			err = nil
		}
		p.followers = nil
	}
	if !mine || err != nil {
		return false, err
	}
	if p.followers == nil {
		if err := p.load(ctx); err != nil {
			return false, err
		}
	}
	effects := map[*follower]made{}
	for i, group := range p.groups() {
		commits, err := p.read(ctx, group[0].at, i == 0)
		if errors.Is(err, store.ErrCorrupt) {
			for _, f := range group {
				if err := p.stop(ctx, f, f.at+1, err); err != nil {
					return false, err
				}
				more = more || f.stop == nil // it was passed
			}
			continue
		}
		if err != nil {
			return false, err
		}
		for _, f := range group {
			m, err := f.steps(ctx, f.at, commits, f.quiet)
			if err == nil && m.stop != nil {
				err = p.stop(ctx, f, m.to+1, m.stop)
			}
			if err != nil {
				return false, err
			}
			f.at, effects[f] = m.to, m
			more = more || len(commits) > 0 && f.stop == nil && p.ends() > f.at
		}
	}
	return more, p.write(ctx, false, effects)
}

// groups returns the readers that run, those of the same position together, the
// foremost first.
func (p *partition) groups() (groups [][]*follower) {
	var list []*follower
	for _, f := range p.followers {
		if f.stop == nil && !f.paused {
			list = append(list, f)
		}
	}
	slices.SortStableFunc(list, func(a, b *follower) int { return cmp.Compare(b.at, a.at) })
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].at == list[0].at {
			n++
		}
		groups, list = append(groups, list[:n]), list[n:]
	}
	return groups
}

// read returns the next commits after a position. The foremost group may find them
// in memory.
func (p *partition) read(ctx context.Context, from uint64, foremost bool) ([]Commit, error) {
	if foremost {
		if list := p.take(from); len(list) > 0 {
			return list, nil
		}
	}
	end := p.ends()
	if end <= from {
		return nil, nil
	}
	rows, err := p.runner.opt.Store.ReadPartition(ctx, p.id, from, maxPosition, pageEvents)
	if err == nil && len(rows) == 0 {
		p.mu.Lock()
		if p.end == end { // another node was wrong
			p.end = from
		}
		p.mu.Unlock()
	}
	return commitsOf(rows), err
}

// write writes what the commits cause, and the cursors: one that moved alone only
// if it was not written for a while, or if all is set.
func (p *partition) write(ctx context.Context, all bool, effects map[*follower]made) error {
	now := p.runner.opt.Clock.Mono()
	var steps []store.Step
	var written []*follower
	jobs := false
	for _, f := range p.followers {
		m := effects[f]
		lone := len(m.changes)+len(m.jobs) == 0
		if f.at == f.stored || lone && !all && now.Sub(f.wrote) < lazily {
			continue
		}
		steps = append(steps, store.Step{
			Reader: f.reader.Name, Partition: p.id, From: f.stored, To: f.at, Changes: m.changes, Jobs: m.jobs,
			Erases: m.erases,
		})
		written, jobs = append(written, f), jobs || len(m.jobs) > 0
	}
	if len(steps) == 0 {
		return nil
	}
	if err := p.runner.opt.Store.Advance(ctx, steps...); err != nil {
		return err
	}
	for _, f := range written {
		f.stored, f.wrote = f.at, now
	}
	if advanced := p.runner.opt.Observer.Advanced; advanced != nil {
		for i, f := range written {
			if f.at > f.quiet { // else a rebuild makes them again
				advanced(steps[i].Changes)
			}
		}
	}
	if jobs {
		p.runner.wakeJobs()
	}
	return nil
}

// load reads the cursors, and what operators have decided.
func (p *partition) load(ctx context.Context) error {
	var need store.Need
	for i := range p.runner.readers {
		name := p.runner.readers[i].Name
		need.Cursors = append(need.Cursors, store.CursorKey{Reader: name, Partition: p.id})
		need.Registers = append(need.Registers, rebuildKey(name))
	}
	snap, err := p.runner.opt.Store.Load(ctx, need)
	if err != nil {
		return err
	}
	followers := make([]*follower, len(need.Cursors))
	for i, key := range need.Cursors {
		f := &follower{fold: fold{reader: &p.runner.readers[i]}, stored: snap.Cursors[key], halt: &p.halts[i]}
		f.from = &fenced{p.runner.opt.Store, key, f}
		f.at, f.skips = f.stored, func(position uint64) bool { return position == f.skipped }
		mark, err := markIn(&snap, f.reader.Name)
		if err != nil {
			return err
		}
		f.quiet, f.paused = mark.Quiet[p.id], mark.Clearing
		if end := snap.Positions[p.id]; f.stored > end && !f.paused { // it would wait in silence, for ever
			err := fmt.Errorf("its cursor is at %d, and the log ends at %d; run: gotong reader rebuild %s", f.stored, end, f.reader.Name)
			if err := p.stop(ctx, f, f.stored+1, err); err != nil {
				return err
			}
		}
		followers[i] = f
	}
	p.mu.Lock()
	p.end = max(p.end, snap.Positions[p.id])
	p.mu.Unlock()
	p.followers = followers
	return nil
}

// stop notes that a reader cannot process a position, unless an operator has
// passed it.
func (p *partition) stop(ctx context.Context, f *follower, position uint64, cause error) error {
	s := Stop{
		Reader: f.reader.Name, Partition: p.id, Position: position, Error: firstLine(cause), At: p.runner.opt.Clock.Now(),
	}
	known, version, err := readStop(ctx, p.runner.opt.Store, s.key())
	if err != nil {
		return err
	}
	if known.Skipped > 0 {
		f.skipped = position
		if errors.Is(cause, store.ErrCorrupt) { // it cannot be read either
			f.at = position
		}
		return nil
	}
	if known.Error != s.Error {
		err = setJSON(ctx, p.runner.opt.Store, s.key(), version, s)
	}
	if err == nil {
		f.stop, f.halt.position = &s, position
		f.halt.Met(ctx, "position", position, "cause", cause)
	}
	return err
}

// show publishes where the readers are.
func (p *partition) show() {
	now := p.runner.opt.Clock.Mono()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = p.status[:0:0]
	for _, f := range p.followers {
		if f.at >= p.end {
			f.behind = 0
		} else if f.behind == 0 {
			f.behind = now
		}
		s := Status{Reader: f.reader.Name, Partition: p.id, Cursor: f.at, End: max(p.end, f.at), Stop: f.stop, since: f.behind}
		p.status = append(p.status, s)
	}
}
