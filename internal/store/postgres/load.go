package postgres

import (
	"context"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

const (
	selectHeads  = "SELECT " + headColumns + " FROM streams WHERE name = ANY ($1) AND seq > 0"
	selectEvents = "SELECT " + sqlstore.EventColumns + ` FROM events e WHERE e.stream = (SELECT no FROM streams WHERE name = $1)
		AND e.seq > $2 AND e.seq <= $3 ORDER BY e.seq`
)

// log reads heads, events and records. The pages are whole once the batch is answered.
func (s *Store) log(b sqlstore.Batch, need *store.Need, snap *store.Snapshot) (finish func() error) {
	readRecords(b, need.Records, snap.Records)
	pages := s.readStreams(b, need, snap.Heads)
	return func() (err error) {
		for i := 0; i < len(pages) && err == nil; i++ {
			snap.Events[i], err = pages[i].Events()
		}
		return err
	}
}

func (s *Store) readStreams(b sqlstore.Batch, need *store.Need, heads map[gotong.Stream]gotong.Head) []*store.StreamPage {
	list, wanted := slices.Clone(need.Heads), map[gotong.Stream]bool{}
	for _, stream := range need.Heads {
		wanted[stream] = true
	}
	pages, eras := make([]*store.StreamPage, len(need.Events)), s.Eras()
	for i, of := range need.Events {
		list, pages[i] = append(list, of.Stream), store.NewStreamPage(of, 0, eras)
	}
	if len(list) == 0 {
		return nil
	}
	b.Ask(func(row sqlstore.Row) error {
		r, _, err := scanHead(row)
		if wanted[r.Stream] {
			heads[r.Stream] = r.Head
		}
		for i, of := range need.Events {
			if of.Stream == r.Stream {
				pages[i] = store.NewStreamPage(of, r.Head.Seq, eras)
			}
		}
		return err
	}, selectHeads, texts(list))
	for i, of := range need.Events {
		sql := selectEvents
		if of.Descending {
			sql += " DESC"
		}
		rows := sqlstore.NewEvents()
		b.Ask(func(row sqlstore.Row) error { return rows.AddTo(pages[i], row, of.Stream) },
			sql+" LIMIT $4", string(of.Stream), sqlstore.Number(of.From), sqlstore.Number(of.To), store.Bound(of.Limit))
	}
	return pages
}

// Positions implements [store.Log].
func (s *Store) Positions(ctx context.Context) (all [gotong.Partitions]uint64, err error) {
	var epoch gotong.Epoch
	err = s.read(ctx, func(b sqlstore.Batch) {
		readPositions(b, &all)
		b.Ask(func(row sqlstore.Row) error { return row.Scan(&epoch) }, "SELECT value FROM meta WHERE name = 'epoch'")
	})
	if err == nil && epoch != s.Epoch() { // this node cannot read later events either
		err = store.ErrOtherEpoch
	}
	return all, err
}
