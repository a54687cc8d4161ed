package sqlstore

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Load implements [store.Committer].
func (s *Store) Load(ctx context.Context, need store.Need) (snap store.Snapshot, err error) {
	if err := s.base.Knows(&need); err != nil {
		return snap, err
	}
	var finish func() error
	err = s.db.Read(ctx, func(b Batch) {
		snap = store.NewSnapshot(&need)
		s.db.Positions(b, &snap.Positions)
		finish = s.db.Log(b, &need, &snap)
		now := s.base.Now()
		ReadRegisters(b, need.Registers, "", func(r store.Register) {
			if Exists(&r, now) {
				snap.Registers[r.Key] = r
			}
		})
		ReadClaims(b, s.db.Claims, need.Claims, snap.Claims)
		for _, key := range need.Cursors {
			readCursor(b, key, " AND position > 0", snap.Cursors)
		}
		readDocuments(b, need.Documents, snap.Documents)
		for i := range need.Ranges {
			readRange(b, &need.Ranges[i], &snap.Ranges[i])
		}
	})
	if err == nil {
		err = finish()
	}
	if err != nil {
		return store.Snapshot{}, err
	}
	return snap, nil
}

// SelectCommits reads the rows of [Store.ReadPartition]; [DB.InCommit] follows.
const SelectCommits = "SELECT " + EventColumns + commitColumns + ` FROM events e LEFT JOIN streams s ON s.no = e.stream
	WHERE e.partition = CAST($1 AS smallint) AND e.position > $2 AND e.position <= $3 ORDER BY e.position, `

// ReadPartition implements [store.Log].
func (s *Store) ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]store.Event, error) {
	if from >= to {
		return nil, nil
	}
	most := store.Bound(limit) + store.MaxCommitEvents // rows; so the page is full before a commit is cut
	var ends [gotong.Partitions]uint64
	var found *commits
	n := 0
	page := func() *commits {
		if found == nil {
			found = newCommits(store.NewPartitionPage(p, from, to, ends[p], limit, s.base.Eras()))
		}
		return found
	}
	err := s.db.Read(ctx, func(b Batch) {
		found, n = nil, 0
		s.db.Positions(b, &ends)
		b.Ask(func(row Row) error { n++; return page().take(row) },
			SelectCommits+s.db.InCommit+" LIMIT $4 + 0", int64(p), Number(from), Number(to), most)
	})
	if err != nil {
		return nil, err
	}
	return page().result(n < most)
}

// keys returns the keys of a list, for [Batch.Find].
func keys[K any](list []K, texts func(K) []any) [][]any {
	all := make([][]any, len(list))
	for i, k := range list {
		all[i] = texts(k)
	}
	return all
}

// ReadRegisters reads registers, also those that have expired. suffix follows the
// condition.
func ReadRegisters(b Batch, list []gotong.Key, suffix string, take func(store.Register)) {
	b.Find(func(row Row) error {
		r, err := ScanRegister(row)
		take(r)
		return err
	}, "SELECT "+RegisterColumns+" FROM registers", "collection, owner, name", suffix,
		keys(list, func(k gotong.Key) []any { return []any{k.Collection, k.Owner, k.Name} }))
}

// ReadClaims reads claims with the SELECT of [DB.Claims].
func ReadClaims(b Batch, sql string, list []gotong.Claim, into map[gotong.Claim]gotong.Stream) {
	b.Find(func(row Row) error {
		var c gotong.Claim
		var stream gotong.Stream
		err := row.Scan(&c.Space, &c.Name, &stream)
		into[c] = stream
		return err
	}, sql, "space, name", "", keys(list, func(c gotong.Claim) []any { return []any{c.Space, c.Name} }))
}

// readDocuments reads single documents, with one search in each collection.
func readDocuments(b Batch, list []gotong.Key, into map[gotong.Key][]byte) {
	byCollection := map[string][]gotong.Key{}
	for _, k := range list {
		byCollection[k.Collection] = append(byCollection[k.Collection], k)
	}
	for collection, list := range byCollection {
		b.Find(func(row Row) error {
			d, err := ScanDocument(row, collection)
			into[d.Key] = d.Body
			return err
		}, "SELECT owner, name, body FROM doc_"+collection, "owner, name", "",
			keys(list, func(k gotong.Key) []any { return []any{k.Owner, k.Name} }))
	}
}

func readRange(b Batch, of *store.KeyRange, into *[]store.Document) {
	order := " ORDER BY name"
	if of.Descending {
		order += " DESC"
	}
	b.Ask(func(row Row) error {
		d, err := ScanDocument(row, of.Collection)
		*into = append(*into, d)
		return err
	}, "SELECT owner, name, body FROM doc_"+of.Collection+" WHERE owner = CAST($1 AS text) AND name BETWEEN $2 AND $3"+order+
		" LIMIT $4 + 0", of.Owner, of.From, of.To, store.Bound(of.Limit))
}

// readCursor reads a cursor; suffix follows the condition.
func readCursor(b Batch, key store.CursorKey, suffix string, into map[store.CursorKey]uint64) {
	b.Ask(func(row Row) error {
		r, err := ScanCursor(row)
		into[key] = r.Position
		return err
	}, "SELECT reader, partition, position FROM cursors WHERE reader = $1 AND partition = $2"+suffix, key.Reader, int64(key.Partition))
}
