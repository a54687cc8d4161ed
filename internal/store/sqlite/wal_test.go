package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong/internal/store/storetest"
)

// walBytes is the length of the WAL's file.
func walBytes(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	check(t, err)
	return info.Size()
}

// readsLong is somebody outside who reads the state of now until release.
func readsLong(t *testing.T, path string) (release func()) {
	t.Helper()
	shell, err := openConn(path)
	check(t, err)
	check(t, shell.once("BEGIN"))
	check(t, shell.once("SELECT count(*) FROM events"))
	return func() { check(t, shell.db.Close()) }
}

const longBytes = longPages * pageBytes

// TestQuietWAL: what the WAL's file grew to while somebody read for long is
// given back once nobody reads and nobody writes.
func TestQuietWAL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gotong.db")
		s := opened(t, path)
		m := storetest.NewMaker(s.Epoch())
		release := readsLong(t, path)
		fill := func(more int64) {
			for size := walBytes(t, path); walBytes(t, path) < size+more; {
				commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 500, Body: strings.Repeat("x", 4000)})
			}
		}
		fill(2 * longBytes)
		time.Sleep(3 * quietAgain) //nolint:forbidigo // in a bubble
		synctest.Wait()
		if size := walBytes(t, path); size < 2*longBytes {
			t.Errorf("%d bytes while pages of it are read", size)
		}
		release()
		time.Sleep(2 * quietAgain) //nolint:forbidigo // in a bubble
		synctest.Wait()
		if size := walBytes(t, path); size != 0 {
			t.Errorf("%d bytes are left when all is quiet", size)
		}
		commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
		if err := s.Failed(); err != nil {
			t.Error(err)
		}
	})
}

// TestHugeWAL: where the server is never quiet, the writer gives it back
// between two transactions.
func TestHugeWAL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gotong.db")
		s := opened(t, path)
		m := storetest.NewMaker(s.Epoch())
		release := readsLong(t, path)
		for walBytes(t, path) <= hugePages*pageBytes {
			commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1000, Body: strings.Repeat("x", 8000)})
		}
		release()
		for range 2 { // the second one finds that the keeper asked for it
			synctest.Wait()
			commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 500})
		}
		if size := walBytes(t, path); size > longBytes {
			t.Errorf("%d bytes are left", size)
		}
	})
}
