package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"zombiezen.com/go/sqlite"
)

func TestCacheFollowsTheFile(t *testing.T) {
	for _, test := range []struct{ pages, writer, reader int }{
		{0, 2048, 512}, {1, 2048, 512}, {4096, 2048, 512}, {4097, 4096, 1024}, {8192, 4096, 1024}, {8193, 8192, 2048}, {16384, 8192, 2048}, {70_000, 64 << 10, 16 << 10}, {10_000_000, 64 << 10, 16 << 10},
	} {
		if w, r := writerCache.size(test.pages), readerCache.size(test.pages); w != test.writer || r != test.reader {
			t.Errorf("%d pages: %d and %d KiB, want %d and %d", test.pages, w, r, test.writer, test.reader)
		}
	}
}

// The caches of the connections grow with the file while it is open, and begin
// with the right size afterwards.
func TestCacheGrows(t *testing.T) {
	cacheOf := func(c *conn) (size int) {
		check(t, c.query("PRAGMA cache_size", func(row *sqlite.Stmt) error { size = -row.ColumnInt(0); return nil }))
		return size
	}
	path := filepath.Join(t.TempDir(), "log.db")
	s, err := Open(t.Context(), path, Options{Readers: 1})
	check(t, err)
	expect := func(when string, writer, reader int) {
		t.Helper()
		check(t, s.read(context.Background(), func(r *reading) error {
			if w, got := cacheOf(s.writer.conn), cacheOf(r.conn); w != writer || got != reader {
				t.Errorf("%s: %d and %d KiB, want %d and %d", when, w, got, writer, reader)
			}
			return nil
		}))
	}
	expect("new", 2048, 512)
	check(t, s.writer.conn.once("CREATE TABLE padding (b BLOB)"))
	check(t, s.writer.conn.once("INSERT INTO padding VALUES (zeroblob(40 << 20))"))
	for range wakeRows / transactionRows {
		check(t, s.queue.Do(t.Context(), func(*writer) error { return nil }, 1))
	}
	expect("grown", 8192, 2048)
	check(t, s.Close())
	s, err = Open(t.Context(), path, Options{Readers: 1})
	check(t, err)
	expect("opened again", 8192, 2048)
	check(t, s.Close())
}
