package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Restore implements [store.Mover].
func (s *Store) Restore(ctx context.Context, step store.Restoring) error {
	eras := *s.eras.Load()
	if step.From == "" {
		eras = step.Eras
	}
	if err := step.Check(eras); err != nil {
		return err
	}
	if err := store.CheckChanges(step.Documents, s.docs); err != nil {
		return err
	}
	r := &restoring{step: &step}
	err := s.write(ctx, mode{alone: true, moves: true}, r.ask, func(b *pgx.Batch) error {
		if r.progress != step.From || step.From == "" && !r.empty {
			return store.ErrConflict
		}
		if err := r.follow(); err != nil {
			return err
		}
		if step.From == "" {
			writeEras(b, eras)
		}
		writeMeta(b, "progress", step.To)
		r.write(b)
		return nil
	})
	switch {
	case err == nil && step.From == "":
		s.eras.Store(&eras)
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
	misfit   error
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
		home = excluded.home WHERE s.seq = 0`
	selectRestored = `SELECT name, no, home, coalesce((SELECT max(seq) FROM events WHERE stream = s.no AND seq IS NOT NULL), 0)
		FROM streams s WHERE name = ANY ($1)`
)

// ask writes the streams of the step, and then reads what its commits must follow.
func (r *restoring) ask(b *pgx.Batch) {
	r.streams, r.misfit = map[gotong.Stream]*restored{}, nil
	each(b, func(row pgx.Rows) error { return row.Scan(&r.progress, &r.empty) },
		"SELECT coalesce((SELECT value FROM meta WHERE name = 'progress'), ''), "+isEmpty)
	if list := r.step.Rows.Streams; len(list) > 0 {
		var names []string
		var h heads
		for _, row := range list {
			names = append(names, string(row.Stream))
			h.add(0, row.Head)
		}
		b.Queue(restoreStreams, names, h.seq, h.chain, h.at, h.count, h.home).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() != int64(len(list)) {
				r.misfit = fmt.Errorf("%w: a stream exists already", store.ErrMalformed)
			}
			return nil
		})
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
	b.Queue(addStreams, slices.Compact(plain))
	each(b, func(row pgx.Rows) error {
		var name gotong.Stream
		var s restored
		err := row.Scan(&name, &s.no, &s.home, &s.last)
		r.streams[name] = &s
		return err
	}, selectRestored, append(names, plain...))
	each(b, func(row pgx.Rows) error { return scanPosition(row, &r.ends) }, selectPositions)
}

// follow checks that the commits continue the log.
func (r *restoring) follow() error {
	if r.misfit != nil {
		return r.misfit
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

func (r *restoring) write(b *pgx.Batch) {
	var rows []logRow
	ends := map[gotong.Partition]uint64{}
	for i := range r.step.Commits {
		c := &r.step.Commits[i]
		rows = append(rows, logRows(r.streams[c.Record.Request.Stream].no, &c.Record, c.Events)...)
		ends[c.Record.Partition] = c.Record.Position
	}
	for i := range r.step.Rows.Records {
		c := &r.step.Rows.Records[i]
		rows = append(rows, logRows(r.streams[c.Request.Stream].no, c, nil)...)
	}
	writeLog(b, rows)
	writeEnds(b, ends)
	side := &r.step.Rows
	for _, c := range side.Claims {
		b.Queue("INSERT INTO claims VALUES ($1, $2, $3)", c.Claim.Space, c.Claim.Name, string(c.Stream))
	}
	for _, g := range side.Registers {
		b.Queue("INSERT INTO registers VALUES ($1, $2, $3, $4, $5, $6)",
			g.Key.Collection, g.Key.Owner, g.Key.Name, number(g.Version), g.Body, int64(g.Expires))
	}
	for _, c := range side.Cursors {
		b.Queue("INSERT INTO cursors VALUES ($1, $2, $3)", c.Reader, int16(c.Partition), number(c.Position))
	}
	putJobs(b, side.Jobs, "")
	docs := map[gotong.Key][]byte{}
	for _, ch := range r.step.Documents {
		docs[ch.Key] = ch.Body
	}
	writeDocuments(b, docs)
}
