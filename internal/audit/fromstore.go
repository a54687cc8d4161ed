package audit

import (
	"context"
	"errors"
	"iter"
	"math"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Stored is a store as a log.
type Stored interface {
	Log
	Positions(ctx context.Context) ([gotong.Partitions]uint64, error)
	State(ctx context.Context) (store.State, error)
}

// FromStore returns the log of a store up to its present positions.
func FromStore(ctx context.Context, s Stored) (Source, error) {
	state, err := s.State(ctx)
	if err != nil {
		return Source{}, err
	}
	positions, err := s.Positions(ctx)
	return Source{
		Eras: state.Eras, Positions: positions, Checked: true, Tiles: s,
		Commits: func(ctx context.Context, p gotong.Partition) iter.Seq2[Commit, error] {
			return func(yield func(Commit, error) bool) { commitsOf(ctx, s, p, 0, positions[p], yield) }
		},
		Since: func(ctx context.Context, p gotong.Partition) iter.Seq2[Commit, error] {
			return func(yield func(Commit, error) bool) { commitsOf(ctx, s, p, positions[p], math.MaxInt64, yield) }
		},
	}, err
}

func commitsOf(ctx context.Context, s Stored, p gotong.Partition, from, to uint64, yield func(Commit, error) bool) {
	for from < to {
		events, err := s.ReadPartition(ctx, p, from, to, store.MaxRead)
		if err != nil {
			if !yield(Commit{}, err) || !errors.Is(err, store.ErrCorrupt) {
				return
			}
			from++
			continue
		}
		if len(events) == 0 {
			return
		}
		from = events[len(events)-1].Position
		for len(events) > 0 {
			n := commitLen(events)
			if !yield(Commit{Position: events[0].Position, Events: events[:n]}, nil) {
				return
			}
			events = events[n:]
		}
	}
}

// FromCommits returns the log of a file, whose commits are in order of partition
// and position. It can be verified once, one partition at a time.
func FromCommits(eras store.Eras, positions [gotong.Partitions]uint64, commits iter.Seq2[Commit, error]) (s Source, stop func()) {
	next, stop := iter.Pull2(commits)
	c, err, more := next()
	return Source{
		Eras: eras, Positions: positions,
		Commits: func(_ context.Context, p gotong.Partition) iter.Seq2[Commit, error] {
			return func(yield func(Commit, error) bool) {
				open := true
				for ; more && err == nil && c.Partition == p; c, err, more = next() {
					// After the caller has seen enough, the rest of the partition is skipped.
					open = open && yield(c, nil)
				}
				if more && err != nil && open {
					yield(Commit{}, err)
				}
			}
		},
	}, stop
}
