package sqlite

import (
	"fmt"
	"math/bits"

	"zombiezen.com/go/sqlite"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// collection holds the statements of one table of documents.
type collection struct {
	put, remove string
	texts       *texts // nil if its documents are not found by words
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
		all[name] = collection{
			put:    "INSERT OR REPLACE INTO " + t + " VALUES (?, ?, ?)",
			remove: "DELETE FROM " + t + " WHERE owner = ? AND name = ?",
			texts:  textsOf(name),
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

// project writes what steps change, in their order.
func (w *writer) project(steps []store.Step) error {
	for i := range steps {
		if steps[i].Erases {
			w.erased, w.putOff = true, false
		}
		w.rows += len(steps[i].Changes)
		if err := w.change(steps[i].Changes, steps[i].Clears); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) setRegister(r gotong.RegisterChange) error {
	w.rows++
	if r.Body == nil {
		return w.conn.exec("DELETE FROM registers WHERE collection = ? AND owner = ? AND name = ?",
			r.Key.Collection, r.Key.Owner, r.Key.Name)
	}
	return w.conn.exec("INSERT OR REPLACE INTO registers VALUES (?, ?, ?, ?, ?, ?)",
		r.Key.Collection, r.Key.Owner, r.Key.Name, r.Expect+1, r.Body, r.Expires)
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
