package sqlite

import (
	"fmt"
	"math/bits"

	"zombiezen.com/go/sqlite"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// collection holds the statements of one table of documents.
type collection struct {
	get, put, remove, up, down string
	texts                      *texts // nil if its documents are not found by words
}

// makeCollections returns the collections. It makes a table that is missing,
// unless made says that none is.
func makeCollections(c *conn, names []string, made bool) (map[string]collection, error) {
	all := make(map[string]collection, len(names))
	for _, name := range names {
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
		find := "SELECT owner, name, body FROM " + t + " WHERE owner = +? AND name BETWEEN ? AND ? ORDER BY name"
		all[name] = collection{
			get:    "SELECT body FROM " + t + " WHERE owner = ? AND name = ?",
			put:    "INSERT OR REPLACE INTO " + t + " VALUES (?, ?, ?)",
			remove: "DELETE FROM " + t + " WHERE owner = ? AND name = ?",
			up:     find, down: find + " DESC",
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
	err = c.ask(sql, atMost(store.Bound(r.Limit), func(row sqlstore.Row) error {
		d, err := sqlstore.ScanDocument(row, r.Collection)
		found = append(found, d)
		return err
	}), r.Owner, r.From, r.To)
	return found, err
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
