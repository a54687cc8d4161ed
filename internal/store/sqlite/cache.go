package sqlite

import (
	"fmt"
	"math/bits"

	"zombiezen.com/go/sqlite"
)

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
