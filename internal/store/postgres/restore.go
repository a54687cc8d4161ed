package postgres

import (
	"context"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// Restore implements [store.Mover].
func (s *Store) Restore(ctx context.Context, step store.Restoring) error {
	eras := s.Eras()
	if step.From == "" {
		eras = step.Eras
	}
	if err := step.Check(eras); err != nil {
		return err
	}
	if err := store.CheckChanges(step.Documents, s.Collections); err != nil {
		return err
	}
	r := &restoring{step: &step}
	err := s.write(ctx, mode{alone: true, moves: true}, r.ask, func(b *batch) error {
		if r.progress != step.From || step.From == "" && !r.empty {
			return store.ErrConflict
		}
		if err := r.follow(); err != nil {
			return err
		}
		if step.From == "" {
			sqlstore.WriteEras(b, eras)
		}
		sqlstore.WriteMeta(b, "progress", step.To)
		r.write(b)
		return nil
	})
	switch {
	case err == nil && step.From == "":
		s.SetEras(eras)
	case codeOf(err) == "23505":
		err = fmt.Errorf("%w: a row exists already", store.ErrMalformed)
	}
	return err
}

// restoring is one step of a copy.
type restoring struct {
	step     *store.Restoring
	progress string
	empty    bool
	ends     [gotong.Partitions]uint64
	streams  map[gotong.Stream]*restored
	written  int // streams
}

// restored is a stream with the seq of the last event that was written.
type restored struct {
	no   int64
	home gotong.Stream
	last uint64
}

const (
	restoreStreams = `INSERT INTO streams AS s (name, seq, chain, at, count, home)
		SELECT unnest($1::text[]), unnest($2::bigint[]), unnest($3::bytea[]), unnest($4::bigint[]), unnest($5::bigint[]), unnest($6::text[])
		ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, chain = excluded.chain, at = excluded.at, count = excluded.count,
		home = excluded.home WHERE s.seq = 0 RETURNING no`
	selectRestored = `SELECT name, no, home, coalesce((SELECT max(seq) FROM events WHERE stream = s.no AND seq IS NOT NULL), 0)
		FROM streams s WHERE name = ANY ($1)`
)

// ask writes the streams of the step, and then reads what its commits must follow.
func (r *restoring) ask(b *batch) {
	r.streams, r.written = map[gotong.Stream]*restored{}, 0
	b.Ask(func(row sqlstore.Row) error { return row.Scan(&r.progress, &r.empty) },
		"SELECT coalesce((SELECT value FROM meta WHERE name = 'progress'), ''), "+isEmpty)
	if list := r.step.Rows.Streams; len(list) > 0 {
		var names []string
		var h heads
		for _, row := range list {
			names = append(names, string(row.Stream))
			h.add(0, row.Head)
		}
		b.Ask(func(sqlstore.Row) error { r.written++; return nil }, restoreStreams, names, h.seq, h.chain, h.at, h.count, h.home)
	}
	var names []string
	for i := range r.step.Commits {
		names = append(names, string(r.step.Commits[i].Record.Request.Stream))
	}
	var plain []string // those of no-ops may be new
	for i := range r.step.Rows.Records {
		plain = append(plain, string(r.step.Rows.Records[i].Request.Stream))
	}
	slices.Sort(plain)
	b.Write(addStreams, slices.Compact(plain))
	b.Ask(func(row sqlstore.Row) error {
		var name gotong.Stream
		var s restored
		err := row.Scan(&name, &s.no, &s.home, &s.last)
		r.streams[name] = &s
		return err
	}, selectRestored, append(names, plain...))
	readPositions(b, &r.ends)
}

// follow checks that the commits continue the log.
func (r *restoring) follow() error {
	if r.written != len(r.step.Rows.Streams) {
		return fmt.Errorf("%w: a stream exists already", store.ErrMalformed)
	}
	for i := range r.step.Commits {
		c := &r.step.Commits[i].Record
		s := r.streams[c.Request.Stream]
		if s == nil || s.home == "" || c.Partition != gotong.PartitionOf(s.home) || c.First != s.last+1 ||
			c.Position != r.ends[c.Partition]+1 {
			return fmt.Errorf("%w: commit %d of partition %d, from event %d of %s, does not follow", store.ErrMalformed,
				c.Position, c.Partition, c.First, c.Request.Stream)
		}
		s.last, r.ends[c.Partition] = c.Last, c.Position
	}
	return nil
}

func (r *restoring) write(b *batch) {
	l := locking{numbers: map[gotong.Stream]int64{}}
	for name, s := range r.streams {
		l.numbers[name] = s.no
	}
	l.write(b, r.step.Plan())
	sqlstore.Restore(b, &r.step.Rows)
}
