package sqlite

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

const (
	selectUp      = "SELECT " + sqlstore.EventColumns + " FROM events e WHERE e.stream = +? AND e.seq > ? AND e.seq <= ? ORDER BY e.seq"
	selectDown    = selectUp + " DESC"
	selectCommits = "SELECT " + sqlstore.EventColumns + sqlstore.CommitColumns + ` FROM events e LEFT JOIN streams s ON s.no = e.stream
		WHERE e.partition = +? AND e.position > ? AND e.position <= ? ORDER BY e.position, e.key`
)

func (r *reading) eventsIn(of store.EventRange) ([]store.Event, error) {
	h, err := r.head(of.Stream)
	if err != nil {
		return nil, err
	}
	page := store.NewStreamPage(of, h.Seq, r.eras)
	if !page.Wants() {
		return nil, nil
	}
	sql := selectUp
	if of.Descending {
		sql = selectDown
	}
	rows := sqlstore.NewEvents()
	err = r.ask(sql, func(row sqlstore.Row) error { return rows.AddTo(page, row, of.Stream) }, h.no, of.From, min(of.To, h.Seq))
	if err != nil {
		return nil, err
	}
	return page.Events()
}

// ReadPartition implements [store.Log].
func (s *Store) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) (found []store.Event, err error) {
	err = s.read(ctx, func(r *reading) error {
		end := r.positions[p]
		page := store.NewPartitionPage(p, from, to, end, limit, r.eras)
		rows := sqlstore.NewCommits(page)
		if err := r.ask(selectCommits, rows.Take, p, from, min(to, end)); err != nil {
			return err
		}
		found, err = rows.Events(true)
		return err
	})
	return found, err
}
