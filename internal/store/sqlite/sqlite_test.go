package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// place is an empty directory for a store.
func place(t *testing.T) storetest.Harness {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data", "gotong.db")
	changed := false
	return storetest.Harness{
		Properties: Properties,
		Open: func(o storetest.Options) (store.Whole, error) {
			s, err := Open(t.Context(), path, Options{Collections: o.Collections, Now: o.Now})
			return prepared{s, t, &changed}, err
		},
		Lose: func(s gotong.Stream, seq uint64) error {
			changed = true
			return outside(t, path, fmt.Sprintf("DROP TRIGGER IF EXISTS events_never_deleted; "+
				"DELETE FROM events WHERE seq = %d AND stream = (SELECT no FROM streams WHERE name = '%s')", seq, s))
		},
	}
}

func TestStore(t *testing.T) { storetest.Run(t, place) }

func opened(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, Options{Collections: []string{"things"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// outside runs SQL on the file as somebody with the sqlite3 shell would.
func outside(t *testing.T, path, sql string) error {
	t.Helper()
	db, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	check(t, err)
	defer func() { check(t, db.Close()) }()
	db.SetBusyTimeout(busyTimeout)
	return sqlitex.ExecuteScript(db, sql, nil)
}

// commitOne commits a draft that has to be committed.
func commitOne(t *testing.T, s *Store, m *storetest.Maker, d storetest.Draft) {
	t.Helper()
	out, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(d)})
	if err != nil || out[0].Status != store.Committed {
		t.Fatalf("%+v %v", out, err)
	}
}
