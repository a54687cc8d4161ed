package surreal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// settle decides the outcomes of commits and carries them out in one transaction.
//
// It may repeat a transaction that failed, even if its outcome is unknown: heads
// only move forward, records and claims are never deleted, and each transaction
// checks them all. So a transaction that has not reached the database yet can no
// longer succeed after a read has shown another head, record or claim than it
// expects, or after another transaction has taken its place. Only a register can
// return to an earlier version: it may be absent, exist, and be absent again. So
// after a transaction without an answer, a commit that seems stale has an unknown
// outcome.
func (s *Store) settle(ctx context.Context, batch []store.Commit) ([]store.Outcome, error) {
	need, erases := store.Needs(batch)
	origins, err := s.origins(ctx, erases)
	if err != nil {
		return nil, err
	}
	view, looked := s.guess(batch), false
	var sent []*store.Plan
	for tries := 0; ; tries++ {
		if looked = looked || tries > 0 || s.crowd.look(); looked {
			if view, err = s.look(ctx, &need); err == nil {
				err = view.closed
			}
			if err != nil {
				return nil, store.Hedged(failure(err), len(sent) > 0)
			}
		}
		view.Origins = origins
		p := store.Decide(&view.View, batch, sent...)
		if len(sent) > 0 && slices.ContainsFunc(p.Outcomes, func(o store.Outcome) bool { return o.Status == store.Stale }) {
			return nil, errors.New("surreal: a transaction without an answer may still write registers")
		}
		if looked && len(p.Written) == 0 {
			return p.Outcomes, nil
		}
		if looked || len(p.Written) == len(batch) {
			if err = s.carryOut(ctx, &plan{p, view.epoch}); err == nil {
				s.known.raise(p.Ends)
				return p.Outcomes, nil
			}
			if surreal.Unknown(err) {
				sent = append(sent, p)
			}
			if !repeatable(err) || tries >= store.MaxTries || store.Pause(ctx, tries) != nil {
				return nil, store.Hedged(failure(err), len(sent) > 0)
			}
			s.crowd.lost()
		}
	}
}

// crowd remembers whether other nodes write to the same partitions. If they do,
// what this node knows is outdated so often that a read before each transaction
// is cheaper than the transactions that fail.
type crowd struct {
	ahead   atomic.Int32 // how many of the next batches read first
	repeats atomic.Uint64
}

// lookFor is how many batches read first after one failure.
const lookFor = 16

func (c *crowd) lost() {
	c.repeats.Add(1)
	c.ahead.Store(lookFor)
}

func (c *crowd) look() bool { return c.ahead.Load() > 0 && c.ahead.Add(-1) >= 0 }

// Repeats returns how many transactions of commits were repeated since Open,
// because another node was first or an answer was lost.
func (s *Store) Repeats() uint64 { return s.crowd.repeats.Load() }

func (s *Store) carryOut(ctx context.Context, p *plan) error {
	return s.gated(ctx, func(gate surreal.RecordID) error {
		w := p.render(gate)
		_, err := s.db.Transact(ctx, w.statements, w.vars)
		return err
	})
}

// gated runs a transaction that writes one of this node's gates, when one is
// free.
func (s *Store) gated(ctx context.Context, f func(gate surreal.RecordID) error) error {
	if err := s.Clock.Fault(); err != nil {
		return err
	}
	select {
	case gate := <-s.gates:
		defer func() { s.gates <- gate }()
		return f(gate)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// repeatable reports whether the store may read and decide again after this error
// of a transaction.
func repeatable(err error) bool {
	return collided(err) || lost(err)
}

// collided reports whether a transaction wrote nothing because another one was
// first.
func collided(err error) bool {
	text, thrown := surreal.Thrown(err)
	return surreal.Conflict(err) || surreal.Exists(err) || thrown && text == moved
}

// lost reports whether there was no answer, because of the connection alone.
func lost(err error) bool {
	var conn *surreal.ConnError
	return errors.As(err, &conn) && !errors.Is(err, surreal.ErrClosed) && !errors.Is(err, surreal.ErrAuth)
}

func isConflict(err error) bool { return errors.Is(err, store.ErrConflict) }

// What transactions throw beside moved.
const (
	otherwise = "gotong: not what was expected"
	closedNow = "gotong: accepts no writes"
)

// alone runs a transaction that shares nothing with a batch, unless the store
// accepts no writes, and repeats it while it collides with others. It returns the
// results of its statements.
func (s *Store) alone(ctx context.Context, statements []string, vars surreal.Vars) (results surreal.Results, err error) {
	statements = slices.Concat([]string{
		"IF " + whatCloses + " != [] { THROW '" + closedNow + "' }",
		"UPSERT $gate SET writes += 1 RETURN NONE",
	}, statements)
	vars["closers"], vars["mine"] = closers, string(s.Epoch())
	results, err = s.transact(ctx, statements, vars)
	if err != nil {
		return nil, err
	}
	return results[2:], nil
}

// transact is alone for transactions that a sealed store accepts too.
func (s *Store) transact(ctx context.Context, statements []string, vars surreal.Vars) (results surreal.Results, err error) {
	end, err := s.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	err = s.again(ctx, func() error {
		return s.gated(ctx, func(gate surreal.RecordID) (err error) {
			vars["gate"] = gate
			results, err = s.db.Transact(ctx, statements, vars)
			return err
		})
	})
	if err != nil {
		return nil, s.thrown(ctx, err)
	}
	return results, nil
}

func (s *Store) thrown(ctx context.Context, err error) error {
	switch text, _ := surreal.Thrown(err); text {
	case otherwise:
		return store.ErrConflict
	case sealedNow:
		return store.ErrSealed
	case misfits:
		return fmt.Errorf("%w: events that do not follow those that exist", store.ErrMalformed)
	case closedNow:
		return s.whyClosed(ctx)
	default:
		return err
	}
}

// whyClosed returns why the store accepts no writes now.
func (s *Store) whyClosed(ctx context.Context) (why error) {
	var r reading
	r.gate(s.Epoch(), func(err error) { why = err })
	if err := s.read(ctx, &r); err != nil {
		return err
	}
	if why == nil {
		why = store.ErrConflict // it was unsealed meanwhile
	}
	return why
}
