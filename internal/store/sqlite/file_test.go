package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"zombiezen.com/go/sqlite"
)

// TestShortWAL: under load the WAL is written back beside the writer and begins
// anew, instead of growing for ever. How often the keeper gets its turn depends
// on the machine, so the writer leaves it one after each batch.
func TestShortWAL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gotong.db")
		s := opened(t, path)
		m := storetest.NewMaker(s.Epoch())
		total := int64(0)
		for i := range 200 {
			batch := make([]store.Commit, 20)
			for n := range batch {
				batch[n] = m.Next(storetest.Draft{
					Stream: gotong.Stream(fmt.Sprint("thread/", (i+n)%50)), Events: 1, Body: strings.Repeat("x", 20000),
				})
				total += 20000
			}
			_, err := store.CommitAll(t.Context(), s, batch)
			check(t, err)
			synctest.Wait()
		}
		if size := walBytes(t, path); size > 40<<20 {
			t.Errorf("the WAL has %d bytes after %d were written", size, total)
		}
	})
}

// TestRowsPerPost pins what a post costs: one row, with an entry in each of three
// indexes.
func TestRowsPerPost(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	m := storetest.NewMaker(s.Epoch())
	changes := func() (n int) {
		check(t, s.writer.conn.query("SELECT total_changes()", func(row *sqlite.Stmt) error { n = row.ColumnInt(0); return nil }))
		return n
	}
	for i := range 8 {
		commitOne(t, s, m, storetest.Draft{Stream: gotong.Stream(fmt.Sprint("thread/", i)), Home: "group/g", Events: 1})
	}
	for _, tt := range []struct{ batch, threads, want int }{{1, 1, 1}, {64, 1, 64}, {64, 8, 64}} {
		batch := make([]store.Commit, tt.batch)
		for i := range batch {
			batch[i] = m.Next(storetest.Draft{Stream: gotong.Stream(fmt.Sprint("thread/", i%tt.threads)), Events: 1})
		}
		before := changes()
		_, err := store.CommitAll(t.Context(), s, batch)
		check(t, err)
		if got := changes() - before; got != tt.want {
			t.Errorf("%d posts in %d threads: %d rows, want %d", tt.batch, tt.threads, got, tt.want)
		}
	}
}

// TestPurge: expired registers leave the file, also where there are more than
// one transaction drops.
func TestPurge(t *testing.T) {
	now := gotong.Instant(1_000_000_000)
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), Options{Now: func() gotong.Instant { return now }})
	check(t, err)
	defer func() { check(t, s.Close()) }()
	set := func(name string, expires gotong.Instant) {
		t.Helper()
		check(t, s.SetRegister(t.Context(), gotong.Key{Collection: "c", Owner: "o", Name: name}, 0, []byte("x"), expires))
	}
	for i := range purgeMost + 1 {
		set(fmt.Sprint("old", i), now+5)
	}
	set("later", now+1_000_000_000)
	set("never", 0)
	now += purgeEvery + 10
	set("new", 0)
	set("newer", 0)
	var left []string
	check(t, s.read(t.Context(), func(c *reading) error {
		return c.query("SELECT name FROM registers ORDER BY name", func(row *sqlite.Stmt) error {
			left = append(left, row.ColumnText(0))
			return nil
		})
	}))
	if fmt.Sprint(left) != "[later never new newer]" {
		t.Errorf("left are %v", left)
	}
}

// TestPrivateFiles: only the owner may read the files.
func TestPrivateFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
		info, err := os.Stat(name)
		check(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(name), info.Mode())
		}
	}
}

// TestSynchronous: there is no way to open a store that does not sync.
func TestSynchronous(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	for _, c := range []*conn{s.writer.conn, s.keeper.conn} {
		for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal"} {
			got := ""
			check(t, c.query("PRAGMA "+pragma, func(row *sqlite.Stmt) error { got = row.ColumnText(0); return nil }))
			if got != want {
				t.Errorf("%s is %s", pragma, got)
			}
		}
	}
}

// TestManyHeads: a cache that forgets at once forgets nothing of a transaction.
func TestManyHeads(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	s.writer.tip.heads.most = 1
	m := storetest.NewMaker(s.Epoch())
	for range 3 {
		batch := make([]store.Commit, 30)
		for i := range batch {
			batch[i] = m.Next(storetest.Draft{Stream: gotong.Stream(fmt.Sprint("thread/", i%7)), Events: i % 2})
		}
		out, err := store.CommitAll(t.Context(), s, batch)
		check(t, err)
		for i := range out {
			if out[i].Status != store.Committed {
				t.Fatalf("commit %d: %+v", i, out[i])
			}
		}
	}
}

// TestNotAFile: SQLite would wait for ever when it opens a pipe, and no signal ends
// that.
func TestNotAFile(t *testing.T) {
	for _, end := range []string{"", ".lock", "-journal", "-wal", "-shm"} {
		path := filepath.Join(t.TempDir(), "gotong.db")
		s, err := Open(t.Context(), path, Options{})
		check(t, err)
		check(t, s.Close())
		if err := os.Remove(path + end); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		check(t, syscall.Mkfifo(path+end, 0o600))
		for _, readOnly := range []bool{false, true} {
			_, err := Open(t.Context(), path, Options{ReadOnly: readOnly})
			if err == nil || !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("gotong.db%s, read only %t: %v", end, readOnly, err)
			}
		}
	}
}
