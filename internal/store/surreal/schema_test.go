package surreal

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// TestNodesThatStartTogetherShareOneHistory: nodes that start at once on an
// empty database all open it, with one history.
func TestNodesThatStartTogetherShareOneHistory(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		var mu sync.Mutex
		epochs := map[gotong.Epoch]int{}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s, err := Open(t.Context(), cfg, Options{Collections: []string{"things", "others"}})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				epochs[s.Epoch()]++
				mu.Unlock()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(epochs) != 1 {
			t.Errorf("epochs %v", epochs)
		}
	})
}

// TestOtherSchemasAreRejected: a schema that is not of this program is rejected with an
// error that names the step, and nothing is changed.
func TestOtherSchemasAreRejected(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		for name, tt := range map[string]struct {
			spoil string
			want  error
			named string
		}{
			"newer":    {"CREATE migration:2 SET name = '0002_later.surql', checksum = 'x', applied = time::now()", store.ErrNewerSchema, "0002_later"},
			"tampered": {"UPDATE migration:1 SET checksum = 'x'", store.ErrChangedSchema, "0001_log"},
			"header":   {"DELETE meta:header; UPDATE migration:1 SET checksum = 'x'", store.ErrHeader, "header version"},
			"gap":      {"DELETE migration:1; CREATE migration:3 SET name = 'n', checksum = 'x', applied = time::now()", store.ErrNewerSchema, "n"},
		} {
			t.Run(name, func(t *testing.T) {
				cfg := surrealtest.Start(t, e)
				check(t, opened(t, cfg, Options{}).Close())
				check(t, operator(t, cfg).Exec(t.Context(), tt.spoil, nil))
				_, err := Open(t.Context(), cfg, Options{})
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.named) {
					t.Errorf("opened: %v, want %v", err, tt.want)
				}
			})
		}
	})
}

// TestForeignDatabaseIsRejectedAndUnchanged: the database of another
// program is not changed.
func TestForeignDatabaseIsRejectedAndUnchanged(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		db := operator(t, cfg)
		check(t, db.Exec(t.Context(), "CREATE bookmark:1 SET url = 'x'", nil))
		if _, err := Open(t.Context(), cfg, Options{}); !errors.Is(err, store.ErrForeign) {
			t.Errorf("opened: %v", err)
		}
		if tables, err := tablesOf(t.Context(), db); err != nil || len(tables) != 1 {
			t.Errorf("tables %v, %v", tables, err)
		}
	})
}

// TestMigrationsRunOnceEach: a database of an older program gets each missing step
// once; a step that fails leaves nothing.
func TestMigrationsRunOnceEach(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		db := operator(t, surrealtest.Start(t, e))
		files := fstest.MapFS{"schema/0001_a.surql": {Data: []byte("-- First.\nDEFINE TABLE a;\nCREATE a:1;\n")}}
		step := func() error {
			list, err := store.Migrations(files, "schema/*.surql")
			check(t, err)
			return migrate(t.Context(), db, list)
		}
		check(t, step())
		files["schema/0002_b.surql"] = &fstest.MapFile{Data: []byte("CREATE a:2;\nCREATE a:1;\n")}
		if err := step(); err == nil || !strings.Contains(err.Error(), "0002_b") {
			t.Errorf("a step that fails: %v", err)
		}
		files["schema/0002_b.surql"] = &fstest.MapFile{Data: []byte("CREATE a:2;\n")}
		for range 2 {
			check(t, step())
		}
		var rows []surreal.RecordID
		check(t, db.Select(t.Context(), "SELECT VALUE id FROM a", nil, &rows))
		if len(rows) != 2 {
			t.Errorf("rows %v", rows)
		}
		files["schema/0004_d.surql"] = &fstest.MapFile{}
		if _, err := store.Migrations(files, "schema/*.surql"); err == nil {
			t.Error("a number was left out")
		}
	})
}
