package postgres

import (
	"cmp"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// isEmpty is true if there are no rows but those of meta. A stream without an event
// is none: a commit that was not written can leave it.
const isEmpty = `NOT (EXISTS (SELECT FROM events) OR EXISTS (SELECT FROM streams WHERE seq > 0) OR EXISTS (SELECT FROM claims)
	OR EXISTS (SELECT FROM registers) OR EXISTS (SELECT FROM cursors WHERE position > 0) OR EXISTS (SELECT FROM jobs))`

// restoring is one step of a copy.
type restoring struct {
	step    *store.Restoring
	ends    [gotong.Partitions]uint64
	streams map[gotong.Stream]*restored
	written int // streams
}

// restored is a stream with the seq of the last event that was written.
type restored struct {
	no   int64
	home gotong.Stream
	last uint64
}

func restore(step *store.Restoring) (ask func(sqlstore.Batch), tell func(sqlstore.Batch) error) {
	r := &restoring{step: step}
	return r.ask, r.tell
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
func (r *restoring) ask(b sqlstore.Batch) {
	r.streams, r.written = map[gotong.Stream]*restored{}, 0
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

// tell checks that the commits continue the log, and writes them.
func (r *restoring) tell(b sqlstore.Batch) error {
	if r.written != len(r.step.Rows.Streams) {
		return fmt.Errorf("%w: a stream exists already", store.ErrMalformed)
	}
	l := locking{numbers: map[gotong.Stream]int64{}}
	for name, s := range r.streams {
		l.numbers[name] = s.no
	}
	for i := range r.step.Commits {
		c := &r.step.Commits[i]
		s := cmp.Or(r.streams[c.Record.Request.Stream], &restored{})
		if err := c.Follows(s.home, s.last, r.ends[c.Record.Partition]); err != nil {
			return err
		}
		s.last, r.ends[c.Record.Partition] = c.Record.Last, c.Record.Position
	}
	l.write(b, r.step.Plan())
	return nil
}
