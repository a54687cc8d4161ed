package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/trouble"
)

const maxPlaces = 1000

// watchful is a store that reports each place of its log that is missing or
// does not match. It reports a place once, however many reads meet it.
type watchful struct {
	store.Store
	report func(err error)
	wrote  func(ctx context.Context, err error) // after each write
	asked  func(ctx context.Context, err error) // after each question for the positions

	stopped atomic.Pointer[error] // set: no write is accepted any more

	mu     sync.Mutex
	places map[string]bool
	next   [gotong.Partitions]uint64 // the position after the latest reported commit
}

func (a *App) keep(opened store.Whole) {
	a.bare = opened
	a.damage = &watchful{
		Store: opened, places: map[string]bool{}, wrote: a.troubles.wrote, asked: a.troubles.asked, report: func(err error) {
			a.metrics.Damaged()
			a.log.ErrorContext(a.base, "the log is damaged", "cause", err)
		},
	}
	a.store = a.damage
}

// stop ends writing for good. The error wraps [store.ErrFailed].
func (w *watchful) stop(err error) { w.stopped.CompareAndSwap(nil, &err) }

// Failed implements [store.Health].
func (w *watchful) Failed() error {
	if err := w.stopped.Load(); err != nil {
		return *err
	}
	return w.Store.Failed()
}

// Submit implements [store.Committer].
func (w *watchful) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	if err := w.stopped.Load(); err != nil {
		w.wrote(ctx, *err)
		done(nil, *err)
		return
	}
	w.Store.Submit(ctx, batch, announce, func(out []store.Outcome, err error) {
		w.wrote(ctx, err)
		done(out, err)
	})
}

// SetRegister implements [store.Registers].
func (w *watchful) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	if err := w.stopped.Load(); err != nil {
		return *err
	}
	err := w.Store.SetRegister(ctx, key, expect, body, expires)
	w.wrote(ctx, err)
	return err
}

// Positions implements [store.Log].
func (w *watchful) Positions(ctx context.Context) ([gotong.Partitions]uint64, error) {
	positions, err := w.Store.Positions(ctx)
	w.asked(ctx, err)
	return positions, err
}

// Load implements [store.Committer].
func (w *watchful) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := w.Store.Load(ctx, need)
	if errors.Is(err, store.ErrCorrupt) {
		w.place(err)
	}
	return snap, err
}

// ReadPartition implements [store.Log]. Consecutive commits are one place,
// however many are missing.
func (w *watchful) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) ([]store.Event, error) {
	rows, err := w.Store.ReadPartition(ctx, p, from, to, limit)
	if errors.Is(err, store.ErrCorrupt) {
		w.mu.Lock()
		same := w.next[p] == from+1
		w.next[p] = from + 2
		w.mu.Unlock()
		if !same {
			w.place(err)
		}
	}
	return rows, err
}

func (w *watchful) place(err error) {
	w.mu.Lock()
	first := !w.places[err.Error()] && len(w.places) < maxPlaces
	if first {
		w.places[err.Error()] = true
	}
	w.mu.Unlock()
	if first {
		w.report(err)
	}
}

// ahead warns of streams whose newest event is ahead of the clock: the clock of
// the node that wrote it was ahead, or this one is behind. Order holds either
// way, but the events show a time that has not come yet.
type ahead struct {
	log   *slog.Logger
	clock clock.Clock
	state *trouble.State
}

// warn notes a command to such a stream.
func (a *ahead) warn(ctx context.Context, stream gotong.Stream, by time.Duration) {
	a.state.Met(ctx, "stream", stream, "ahead_ms", by.Milliseconds())
}

// look logs, once, the streams that are ahead when the server starts.
func (a *ahead) look(ctx context.Context, from store.Mover) {
	count, farthest := 0, store.StreamRow{}
	for mark, first := "", true; first || mark != ""; first = false {
		rows, err := from.Rows(ctx, store.AllStreams, mark, 0)
		if err != nil {
			if ctx.Err() == nil {
				a.log.WarnContext(ctx, "the newest events could not be compared with the clock", "cause", err)
			}
			return
		}
		limit := a.clock.Now().Add(engine.MaxAhead)
		for _, row := range rows.Streams {
			if row.Head.At > limit {
				count++
			}
			if row.Head.At > farthest.Head.At {
				farthest = row
			}
		}
		mark = rows.Next
	}
	if count > 0 {
		a.log.WarnContext(ctx, "the newest events of streams are ahead of this machine's clock; check the clock", "streams", count,
			"farthest", farthest.Stream, "ahead_ms", farthest.Head.At.Sub(a.clock.Now()).Milliseconds())
	}
}
