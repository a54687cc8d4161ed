package sqlite

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// texts holds the statements of a collection whose documents are found by words.
// They lie in a table in order of time, no being the instant of the event with
// room for 4,096 documents. The FTS5 table beside it holds for each word the nos of
// its texts and no positions; the table has the words, and so what is removed is
// exactly what was added, which FTS5 does not check.
type texts struct{ row, last, add, remove, index, unindex, drop, has, find, check string }

func makeTexts(c *conn, name string) error {
	doc, made := "doc_"+name, false
	err := c.query("SELECT 1 FROM sqlite_schema WHERE name = ?", func(*sqlite.Stmt) error { made = true; return nil }, doc)
	if err != nil || made {
		return err
	}
	for _, sql := range []string{
		"CREATE VIRTUAL TABLE IF NOT EXISTS fts_" + name + " USING fts5(words, content='', detail=none, columnsize=0, tokenize=ascii)",
		// Else what was removed stays in the file until segments are merged.
		"INSERT INTO fts_" + name + "(fts_" + name + ", rank) VALUES ('secure-delete', 1)",
		"CREATE TABLE " + doc + ` (
    no    INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    name  TEXT NOT NULL,
    body  TEXT NOT NULL,
    UNIQUE (owner, name)
) STRICT`,
	} {
		if err := c.once(sql); err != nil {
			return err
		}
	}
	return nil
}

func textsOf(name string) *texts {
	if !store.OfTexts(name) {
		return nil
	}
	doc, fts := "doc_"+name, "fts_"+name
	return &texts{
		row:     "SELECT no, body FROM " + doc + " WHERE owner = ? AND name = ?",
		last:    "SELECT max(no) FROM " + doc + " WHERE no BETWEEN ? AND ?",
		add:     "INSERT INTO " + doc + " VALUES (?, ?, ?, ?)",
		remove:  "DELETE FROM " + doc + " WHERE no = ?",
		index:   "INSERT INTO " + fts + " (rowid, words) VALUES (?, ?)",
		unindex: "INSERT INTO " + fts + " (" + fts + ", rowid, words) VALUES ('delete', ?, ?)",
		drop:    "INSERT INTO " + fts + " (" + fts + ") VALUES ('delete-all')",
		check:   "PRAGMA integrity_check(" + fts + ")",
		has:     "SELECT 1 FROM " + fts + " WHERE " + fts + " MATCH ? AND rowid = ?",
		find: "SELECT d.no, d.owner, d.name, d.body FROM " + fts + " f CROSS JOIN " + doc + " d ON d.no = f.rowid" +
			" WHERE f." + fts + " MATCH ? AND f.rowid BETWEEN ? AND ? ORDER BY f.rowid DESC",
	}
}

// The nos of the texts of one microsecond: from noOf(at) on, perMicro of them.
const (
	perMicro = 4096
	noEpoch  = gotong.Instant(1_577_836_800_000_000) // 2020: so numbers fit from 1970 to 2091
)

func noOf(at gotong.Instant) int64 {
	return int64(min(max(at, 0), noEpoch+1<<51-1)-noEpoch) * perMicro
}

// atOf is the instant of the texts with this no.
func atOf(no int64) gotong.Instant { return gotong.Instant(no>>12) + noEpoch }

// indexed is the words of a text as the FTS5 table has them, with one for its owner.
func indexed(words, owner string) string { return words + " " + wordOf(owner) }

func wordOf(owner string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(owner))
	return fmt.Sprintf("o%016x", h.Sum64())
}

// changeText puts a document in place of the one with its key, or removes that.
// With clears, the index is already empty or is emptied now.
func (w *writer) changeText(t *texts, ch store.Change, clears bool) error {
	no, old := int64(0), []byte(nil)
	err := w.conn.query(t.row, func(row *sqlite.Stmt) error {
		no, old = row.ColumnInt64(0), blob(row, 1)
		return nil
	}, ch.Key.Owner, ch.Key.Name)
	if err == nil && old != nil {
		if err = w.conn.exec(t.remove, no); err == nil && clears {
			err = w.conn.exec(t.drop)
		} else if err == nil {
			err = w.unindex(t, no, old, ch.Key.Owner)
		}
	}
	if err != nil || ch.Body == nil {
		return err
	}
	text, err := store.TextOf(ch.Body)
	if err != nil {
		return err
	}
	first := noOf(text.ID.At())
	no = first
	err = w.conn.query(t.last, func(row *sqlite.Stmt) error {
		if !row.ColumnIsNull(0) {
			no = row.ColumnInt64(0) + 1
		}
		return nil
	}, first, first+perMicro-1)
	if err == nil {
		err = w.conn.exec(t.add, no, ch.Key.Owner, ch.Key.Name, string(ch.Body))
	}
	if err != nil {
		return err
	}
	return w.conn.exec(t.index, no, indexed(text.Words, ch.Key.Owner))
}

// unindex removes a text from the index, and looks whether it is gone.
func (w *writer) unindex(t *texts, no int64, body []byte, owner string) error {
	text, err := store.TextOf(body)
	if err != nil {
		return err
	}
	if err := w.conn.exec(t.unindex, no, indexed(text.Words, owner)); err != nil {
		return err
	}
	for word := range strings.FieldsSeq(text.Words) {
		left := false
		if err := w.conn.query(t.has, func(*sqlite.Stmt) error { left = true; return nil }, word, no); err != nil {
			return err
		}
		if left {
			return fmt.Errorf("%w: the index of words still has a text that was removed", store.ErrCorrupt)
		}
	}
	return nil
}

// fewOwners is how many owners a query names: beyond it, to merge their texts costs
// more than to pass over the texts of others.
const fewOwners = 8

// matching returns the FTS5 query of a finding. All its words were checked.
func matching(f *store.Finding) string {
	lists := slices.Clone(f.Words)
	if len(f.Owners) <= fewOwners || len(lists) == 0 {
		owners := make([]string, len(f.Owners))
		for i, owner := range f.Owners {
			owners[i] = wordOf(owner)
		}
		lists = append(lists, owners)
	}
	parts := make([]string, len(lists))
	for i, list := range lists {
		parts[i] = "(" + strings.Join(list, " OR ") + ")"
	}
	return strings.Join(parts, " AND ")
}

// FindTexts implements [store.Texts].
func (s *Store) FindTexts(ctx context.Context, f store.Finding) (docs []store.Document, err error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	t, err := s.collectionOf(f.Collection)
	if err != nil {
		return nil, err
	}
	last := int64(math.MaxInt64)
	if !f.Before.IsZero() {
		last = noOf(f.Before.At()) + perMicro - 1
	}
	err = s.search(ctx, func(r *reading) error {
		found := store.NewFound(&f)
		err := r.query(t.texts.find, func(row *sqlite.Stmt) error {
			if found.Enough(atOf(row.ColumnInt64(0))) {
				return sqlstore.ErrEnough
			}
			key := gotong.Key{Collection: f.Collection, Owner: row.ColumnText(1), Name: row.ColumnText(2)}
			return found.Add(store.Document{Key: key, Body: blob(row, 3)})
		}, matching(&f), noOf(f.Since), last)
		docs = found.Documents()
		return err
	})
	return docs, err
}

// search reads what may take long, until ctx ends.
func (s *Store) search(ctx context.Context, do func(*reading) error) error {
	select {
	case s.searches <- struct{}{}:
		defer func() { <-s.searches }()
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return store.ErrClosed
	}
	err := s.read(ctx, func(r *reading) error {
		r.db.SetInterrupt(ctx.Done())
		defer r.db.SetInterrupt(nil)
		return do(r)
	})
	if sqlite.ErrCode(err) == sqlite.ResultInterrupt {
		err = ctx.Err()
	}
	return err
}

// CheckTexts returns [store.ErrCorrupt] if FTS5 finds the index of the words of a
// collection damaged. The documents may be whole all the same.
func (s *Store) CheckTexts(ctx context.Context, collection string) error {
	c, err := s.collectionOf(collection)
	if err != nil || c.texts == nil {
		return err
	}
	return s.search(ctx, func(r *reading) error {
		// Only a search makes FTS5 forget what this connection remembers of an index that
		// another one has changed since.
		err := r.query(c.texts.has, func(*sqlite.Stmt) error { return nil }, "x", 0)
		if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultCorrupt { // of the index: it reads nothing else
			return fmt.Errorf("%w: the index of words of %s: %w", store.ErrCorrupt, collection, err)
		}
		if err != nil {
			return err
		}
		return r.query(c.texts.check, func(row *sqlite.Stmt) error {
			switch found := row.ColumnText(0); {
			case found == "ok":
				return nil
			case strings.HasPrefix(found, "unable to validate"): // the check failed, and not the index
				return fmt.Errorf("sqlite: %s", found)
			default:
				return fmt.Errorf("%w: %s", store.ErrCorrupt, found)
			}
		})
	})
}
