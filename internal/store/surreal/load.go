package surreal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// Load implements [store.Committer].
func (s *Store) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	if err := s.Knows(&need); err != nil {
		return store.Snapshot{}, err
	}
	snap := store.NewSnapshot(&need)
	var r reading
	r.positions(func(all [gotong.Partitions]uint64) { snap.Positions = all })
	heads := map[gotong.Stream]gotong.Head{} // of the streams whose events are read too
	list := slices.Clone(need.Heads)
	for _, of := range need.Events {
		list = append(list, of.Stream)
	}
	slices.Sort(list)
	r.heads(slices.Compact(list), heads)
	r.records(need.Records, snap.Records)
	r.claims(need.Claims, snap.Claims)
	r.registersOf(need.Registers, s.Now(), snap.Registers)
	r.cursors(need.Cursors, snap.Cursors)
	r.documents(need.Documents, snap.Documents)
	for i, of := range need.Ranges {
		r.documentsIn(of, &snap.Ranges[i])
	}
	for i, of := range need.Events {
		r.eventsIn(of, &snap.Events[i], heads, s.Eras())
	}
	if err := s.read(ctx, &r); err != nil {
		return store.Snapshot{}, err
	}
	for _, stream := range need.Heads {
		if h, ok := heads[stream]; ok {
			snap.Heads[stream] = h
		}
	}
	s.known.raise(snap.Positions)
	return snap, nil
}

// Positions implements [store.Log].
func (s *Store) Positions(ctx context.Context) (all [gotong.Partitions]uint64, err error) {
	var r reading
	r.positions(func(seen [gotong.Partitions]uint64) { all = seen })
	var closed error
	r.gate(s.Epoch(), func(err error) { closed = err })
	if err := s.read(ctx, &r); err != nil {
		return all, err
	}
	if errors.Is(closed, store.ErrOtherEpoch) { // this node cannot read later events either
		return all, closed
	}
	s.known.raise(all)
	return all, nil
}

type documentRow struct {
	_    struct{}  `cbor:",toarray"`
	Key  [2]string // owner, name
	Body string
}

func documentsOf(collection string, rows []documentRow) (docs []store.Document) {
	for _, row := range rows {
		key := gotong.Key{Collection: collection, Owner: row.Key[0], Name: row.Key[1]}
		docs = append(docs, store.Document{Key: key, Body: []byte(row.Body)})
	}
	return docs
}

// documents reads single documents, with one part for each collection.
func (r *reading) documents(keys []gotong.Key, into map[gotong.Key][]byte) {
	ids := map[string][]surreal.RecordID{}
	for _, key := range keys {
		ids[key.Collection] = append(ids[key.Collection], docID(key))
	}
	for collection, list := range ids {
		part(r, "SELECT VALUE [record::id(id), body] FROM "+r.param(list)+" WHERE body != NONE", func(rows []documentRow) error {
			for _, d := range documentsOf(collection, rows) {
				into[d.Key] = d.Body
			}
			return nil
		})
	}
}

// rangeOf returns the closed range of an owner's names in a table, for FROM, and
// the clauses that order and limit it. The rows must begin with the name.
func (r *reading) rangeOf(of store.KeyRange, table string, before ...any) (from, bound string) {
	ends := surreal.Range{
		From: append(slices.Clone(before), of.Owner, of.From), To: append(slices.Clone(before), of.Owner, of.To),
	}
	from = r.param(surreal.RecordID{Table: table, Key: ends})
	bound = fmt.Sprintf(" LIMIT %d", store.Bound(of.Limit))
	if of.Descending {
		bound = " ORDER BY id DESC" + bound
	}
	return from, bound
}

func (r *reading) documentsIn(of store.KeyRange, into *[]store.Document) {
	from, bound := r.rangeOf(of, "doc_"+of.Collection)
	type row struct {
		ID   surreal.RecordID `cbor:"id"`
		Body string           `cbor:"body"`
	}
	part(r, "SELECT id, body FROM "+from+bound, func(rows []row) error {
		for _, row := range rows {
			key, _ := row.ID.Key.([]any)
			name, ok := last(key).(string)
			if !ok {
				return fmt.Errorf("surreal: an odd key in doc_%s", of.Collection)
			}
			*into = append(*into, store.Document{
				Key: gotong.Key{Collection: of.Collection, Owner: of.Owner, Name: name}, Body: []byte(row.Body),
			})
		}
		return nil
	})
}

func last(key []any) any {
	if len(key) == 0 {
		return nil
	}
	return key[len(key)-1]
}
