package postgres

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// isEmpty is true if there are no rows but those of meta. A stream without an event
// is none: a commit that was not written can leave it.
const isEmpty = `NOT (EXISTS (SELECT FROM events) OR EXISTS (SELECT FROM streams WHERE seq > 0) OR EXISTS (SELECT FROM claims)
	OR EXISTS (SELECT FROM registers) OR EXISTS (SELECT FROM cursors WHERE position > 0) OR EXISTS (SELECT FROM jobs))`

const selectLast = `SELECT name, coalesce((SELECT max(seq) FROM events WHERE stream = s.no AND seq IS NOT NULL), 0)
	FROM streams s WHERE name = ANY ($1)`

// restore returns what a step of a copy asks, which is what a commit to its streams asks
// and the seqs of the events that were written, and how it writes.
func restore(step *store.Restoring) (ask func(sqlstore.Batch), tell func(sqlstore.Batch) error) {
	p, last := step.Plan(), map[gotong.Stream]uint64{}
	l := &locking{need: &store.Need{Heads: slices.Collect(maps.Keys(p.Heads))}}
	for i := range p.Written {
		l.need.Heads = append(l.need.Heads, p.Written[i].Request.Stream)
	}
	for no := range gotong.Partitions {
		l.partitions = append(l.partitions, int16(no))
	}
	return func(b sqlstore.Batch) {
			l.ask(b, 0)
			b.Ask(func(row sqlstore.Row) error {
				var name gotong.Stream
				var seq uint64
				err := row.Scan(&name, &seq)
				last[name] = seq
				return err
			}, selectLast, texts(l.need.Heads))
		}, func(b sqlstore.Batch) error {
			if err := cmp.Or(l.whole(), l.follow(step, p.Heads, last)); err != nil {
				return err
			}
			l.write(b, p)
			return nil
		}
}

// follow checks that streams are new, and that the commits continue the log.
func (l *locking) follow(step *store.Restoring, heads map[gotong.Stream]gotong.Head, last map[gotong.Stream]uint64) error {
	for stream := range heads {
		if _, exists := l.view.Heads[stream]; exists {
			return fmt.Errorf("%w: a stream exists already", store.ErrMalformed)
		}
	}
	for i := range step.Commits {
		c := &step.Commits[i]
		stream, end := c.Record.Request.Stream, &l.view.Positions[c.Record.Partition]
		if err := c.Follows(cmp.Or(heads[stream].Home, l.view.Heads[stream].Home), last[stream], *end); err != nil {
			return err
		}
		last[stream], *end = c.Record.Last, c.Record.Position
	}
	return nil
}
