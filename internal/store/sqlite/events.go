package sqlite

import (
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

const (
	selectUp   = "SELECT " + sqlstore.EventColumns + " FROM events e WHERE e.stream = +? AND e.seq > ? AND e.seq <= ? ORDER BY e.seq"
	selectDown = selectUp + " DESC"
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
