package sqlite

import (
	"fmt"
	"maps"
	"math/bits"
	"regexp"
	"slices"

	"zombiezen.com/go/sqlite"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// collection holds the statements of one table of documents.
type collection struct {
	get, put, remove, up, down, all string
	texts                           *texts // nil if its documents are not found by words
}

var collectionName = regexp.MustCompile(`^[a-z0-9_]{1,48}$`)

// makeCollections returns the collections. It makes a table that is missing,
// unless made says that none is.
func makeCollections(c *conn, names []string, made bool) (map[string]collection, error) {
	all := make(map[string]collection, len(names))
	for _, name := range names {
		if !collectionName.MatchString(name) {
			return nil, fmt.Errorf("sqlite: collection %q: a name is 1 to 48 of a-z0-9_", name)
		}
		t := "doc_" + name
		if !made && store.OfTexts(name) {
			if err := makeTexts(c, name); err != nil {
				return nil, err
			}
		} else if !made {
			err := c.once("CREATE TABLE IF NOT EXISTS " + t + ` (
    owner TEXT NOT NULL,
    name  TEXT NOT NULL,
    body  TEXT NOT NULL,
    PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID`)
			if err != nil {
				return nil, err
			}
		}
		find := "SELECT name, body FROM " + t + " WHERE owner = +? AND name BETWEEN ? AND ? ORDER BY name"
		all[name] = collection{
			get:    "SELECT body FROM " + t + " WHERE owner = ? AND name = ?",
			put:    "INSERT OR REPLACE INTO " + t + " VALUES (?, ?, ?)",
			remove: "DELETE FROM " + t + " WHERE owner = ? AND name = ?",
			up:     find, down: find + " DESC",
			all:   "SELECT owner, name, body FROM " + t + " WHERE (owner, name) > (?, ?) ORDER BY owner, name",
			texts: textsOf(name),
		}
	}
	return all, nil
}

// collectionOf fails where the store was not opened with the collection.
func (s *Store) collectionOf(name string) (collection, error) {
	t, ok := s.collections[name]
	if !ok {
		return t, fmt.Errorf("sqlite: no collection %q", name)
	}
	return t, nil
}

func (s *Store) known(changes []store.Change) error {
	unknown := slices.IndexFunc(changes, func(ch store.Change) bool {
		_, ok := s.collections[ch.Key.Collection]
		return !ok
	})
	if unknown >= 0 {
		return fmt.Errorf("%w: no collection %q", store.ErrMalformed, changes[unknown].Key.Collection)
	}
	return nil
}

func (w *writer) change(changes []store.Change, clears bool) error {
	for _, ch := range changes {
		t := w.collections[ch.Key.Collection]
		var err error
		switch {
		case t.texts != nil:
			err = w.changeText(t.texts, ch, clears)
		case ch.Body == nil:
			err = w.conn.exec(t.remove, ch.Key.Owner, ch.Key.Name)
		default:
			err = w.conn.exec(t.put, ch.Key.Owner, ch.Key.Name, string(ch.Body))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) document(c *conn, key gotong.Key, found func([]byte)) error {
	t, err := s.collectionOf(key.Collection)
	if err != nil {
		return err
	}
	return c.query(t.get, func(row *sqlite.Stmt) error {
		found(blob(row, 0))
		return nil
	}, key.Owner, key.Name)
}

func (s *Store) documentsIn(c *conn, r store.KeyRange) (found []store.Document, err error) {
	t, err := s.collectionOf(r.Collection)
	if err != nil {
		return nil, err
	}
	sql := t.up
	if r.Descending {
		sql = t.down
	}
	err = c.query(sql, atMost(store.Bound(r.Limit), func(row *sqlite.Stmt) error {
		key := gotong.Key{Collection: r.Collection, Owner: r.Owner, Name: row.ColumnText(0)}
		found = append(found, store.Document{Key: key, Body: blob(row, 1)})
		return nil
	}), r.Owner, r.From, r.To)
	return found, err
}

// documentRows reads the documents after a key, one collection after the other;
// the page ends with its collection.
func (s *Store) documentRows(c *conn, at *rowKey, most int, rows *store.Rows) (more bool, err error) {
	names := slices.Sorted(maps.Keys(s.collections))
	n, found := slices.BinarySearch(names, at.Text[0])
	if !found {
		at.Text = [3]string{}
	}
	if n == len(names) {
		return false, nil
	}
	name := names[n]
	err = c.query(s.collections[name].all, atMost(most, func(row *sqlite.Stmt) error {
		key := gotong.Key{Collection: name, Owner: row.ColumnText(0), Name: row.ColumnText(1)}
		rows.Documents = append(rows.Documents, store.Document{Key: key, Body: blob(row, 2)})
		return nil
	}), at.Text[1], at.Text[2])
	switch {
	case err != nil:
		return false, err
	case len(rows.Documents) == most:
		last := rows.Documents[most-1].Key
		at.Text = [3]string{last.Collection, last.Owner, last.Name}
		return true, nil
	case n+1 < len(names):
		at.Text = [3]string{names[n+1]}
		return true, nil
	}
	return false, nil
}

// A page cache follows the size of the file, up to a bound: a small community
// costs little memory, and the pages that many writes share stay in a large
// one. Beside these caches, the system caches the file itself.
type cache struct {
	share       int // one part of so many of the file
	least, most int // KiB
}

var (
	writerCache = cache{share: 8, least: 2 << 10, most: 64 << 10}
	readerCache = cache{share: 32, least: 512, most: 16 << 10}
)

// size returns the size in KiB for a file of so many pages. It doubles when the
// file does, so that it is rarely changed.
func (c cache) size(pages int) int {
	doubled := 1 << bits.Len(uint(max(pages, 1)-1)) * (pageBytes >> 10)
	return min(max(doubled/c.share, c.least), c.most)
}

// fit sets the cache of a connection for a file of so many pages.
func (c *conn) fit(pages int) error {
	size := c.kind.size(pages)
	if size == c.cached {
		return nil
	}
	c.cached = size
	return c.once(fmt.Sprintf("PRAGMA cache_size = -%d", size))
}

// pages returns the size of the file in pages, those in the WAL included.
func (c *conn) pages() (n int, err error) {
	err = c.query("PRAGMA page_count", func(row *sqlite.Stmt) error { n = row.ColumnInt(0); return nil })
	return n, err
}
