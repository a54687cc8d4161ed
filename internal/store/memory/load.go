package memory

import (
	"context"
	"maps"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Load implements [store.Committer].
func (s *Store) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap := store.NewSnapshot(&need)
	err := s.read(ctx, func() error {
		snap.Positions = s.positions()
		s.loadRows(need, &snap)
		for i, r := range need.Ranges {
			snap.Ranges[i] = s.documentsIn(r)
		}
		for i, r := range need.Events {
			events, err := s.eventsIn(r)
			if err != nil {
				return err
			}
			snap.Events[i] = events
		}
		return nil
	})
	if err != nil {
		return store.Snapshot{}, err
	}
	return snap, nil
}

func (s *Store) loadRows(need store.Need, snap *store.Snapshot) {
	for _, stream := range need.Heads {
		if h, ok := s.heads[stream]; ok {
			snap.Heads[stream] = h
		}
	}
	for _, key := range need.Documents {
		if body, ok := s.documents[shelf{key.Collection, key.Owner}][key.Name]; ok {
			snap.Documents[key] = slices.Clone(body)
		}
	}
	for _, key := range need.Records {
		if r, ok := s.records[key]; ok {
			snap.Records[key] = cloneRecord(r)
		}
	}
	for _, claim := range need.Claims {
		if stream, ok := s.claims[claim]; ok {
			snap.Claims[claim] = stream
		}
	}
	for _, key := range need.Registers {
		if r := s.register(key); r.Version > 0 {
			snap.Registers[key] = r
		}
	}
	for _, key := range need.Cursors {
		if at := s.cursors[key]; at > 0 {
			snap.Cursors[key] = at
		}
	}
}

// Positions implements [store.Log].
func (s *Store) Positions(ctx context.Context) (all [gotong.Partitions]uint64, err error) {
	err = s.read(ctx, func() error { all = s.positions(); return nil })
	return all, err
}

func (s *Store) positions() (all [gotong.Partitions]uint64) {
	for p := range all {
		all[p] = uint64(len(s.partitions[p]))
	}
	return all
}

func (s *Store) documentsIn(r store.KeyRange) []store.Document {
	rows := s.documents[shelf{r.Collection, r.Owner}]
	var found []store.Document
	for _, name := range namesIn(r, rows) {
		key := gotong.Key{Collection: r.Collection, Owner: r.Owner, Name: name}
		found = append(found, store.Document{Key: key, Body: slices.Clone(rows[name])})
	}
	return found
}

// namesIn returns the names of a closed range in its order and within its limit.
func namesIn[T any](r store.KeyRange, rows map[string]T) []string {
	names := slices.Sorted(maps.Keys(rows))
	names = slices.DeleteFunc(names, func(n string) bool { return n < r.From || n > r.To })
	if r.Descending {
		slices.Reverse(names)
	}
	return names[:min(len(names), store.Bound(r.Limit))]
}

func (s *Store) eventsIn(r store.EventRange) ([]store.Event, error) {
	page := store.NewStreamPage(r, s.heads[r.Stream].Seq, s.eras)
	rows := s.rows(r.Stream, r.From, r.To)
	if r.Descending {
		slices.Reverse(rows)
	}
	for i := range rows {
		if !page.Add(&rows[i]) {
			break
		}
	}
	return cloned(page.Events())
}

// rows returns the events of a stream with from < seq <= to.
func (s *Store) rows(stream gotong.Stream, from, to uint64) []store.Event {
	rows := s.events[stream]
	to = min(to, uint64(len(rows)))
	rows = slices.Clone(rows[min(from, to):to])
	return slices.DeleteFunc(rows, func(e store.Event) bool { return e.Seq == 0 })
}

func cloned(rows []store.Event, err error) ([]store.Event, error) {
	for i := range rows {
		rows[i] = cloneEvent(&rows[i])
	}
	return rows, err
}

// ReadPartition implements [store.Log].
func (s *Store) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) (events []store.Event, err error) {
	err = s.read(ctx, func() error {
		head := uint64(len(s.partitions[p]))
		page := store.NewPartitionPage(p, from, to, head, limit, s.eras)
		for at := from; at < head && page.Wants(); at++ {
			r := s.partitions[p][at]
			r.Partition, r.Position = p, at+1
			page.Add(s.rows(r.Request.Stream, max(r.First, 1)-1, r.Last), r)
		}
		events, err = cloned(page.Events())
		return err
	})
	return events, err
}
