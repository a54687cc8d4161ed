package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gotong.db")
	s := opened(t, path)
	_, err := Open(t.Context(), path, Options{})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "this process already") {
		t.Errorf("opened twice: %v", err)
	}
	check(t, s.Close())
	for name, tt := range map[string]struct {
		sql  string
		want error
	}{
		"newer":   {"INSERT INTO migrations VALUES (99, '0099_new.sql', 'x', 'now')", store.ErrNewerSchema},
		"changed": {"UPDATE migrations SET checksum = 'x' WHERE number = 1", store.ErrChangedSchema},
		"gone":    {"UPDATE migrations SET number = -1", store.ErrChangedSchema},
		"first header version": {
			"DELETE FROM meta WHERE name = 'header'; UPDATE migrations SET checksum = 'of its own'", store.ErrHeader,
		},
		"before the mark":     {"PRAGMA application_id = 0", store.ErrHeader},
		"of another's mark":   {"PRAGMA application_id = 252006675", store.ErrForeign},
		"next header version": {"UPDATE meta SET value = '3' WHERE name = 'header'", store.ErrHeader},
	} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "gotong.db")
			data, err := os.ReadFile(path)
			check(t, err)
			check(t, os.WriteFile(copied, data, 0o600))
			check(t, outside(t, copied, tt.sql))
			if _, err := Open(t.Context(), copied, Options{}); !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, name := range []string{"", "A", "a-b", "a b", "a;", strings.Repeat("a", 49)} {
		if _, err := Open(t.Context(), path, Options{Collections: []string{name}}); err == nil {
			t.Errorf("collection %q was accepted", name)
		}
	}
	check(t, os.WriteFile(filepath.Join(dir, "no.db"), []byte(strings.Repeat("not a database ", 999)), 0o600))
	if _, err := Open(t.Context(), filepath.Join(dir, "no.db"), Options{}); err == nil {
		t.Error("opened what is no database")
	}
	opened(t, path) // none of the refusals kept the lock
}

// TestLinkedFile: a file is locked, and its WAL watched, under whichever name it
// was opened; heads and positions are cached, so a second process must not write.
func TestLinkedFile(t *testing.T) {
	disk, dir := t.TempDir(), t.TempDir()
	file, link := filepath.Join(disk, "real.db"), filepath.Join(dir, "gotong.db")
	check(t, os.Symlink(file, link))
	for _, name := range []string{link, file, link} { // first while the link leads to nothing
		s := opened(t, name)
		for _, other := range []string{file, link} {
			if second, err := Open(t.Context(), other, Options{}); !errors.Is(err, ErrInUse) {
				t.Errorf("%s, open as %s, was opened again: %v", other, name, err)
				if err == nil {
					check(t, second.Close())
				}
			}
		}
		commitOne(t, s, storetest.NewMaker(s.Epoch()), storetest.Draft{Stream: gotong.Stream("thread/" + fmt.Sprint(s.writer.ends.key)), Events: 1})
		if s.keeper.pages() == 0 {
			t.Errorf("%s: the WAL was not found", name)
		}
		check(t, s.Close())
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("beside the link: %v, %v", names, err)
	}
}

// TestForeignFile: the file of another program is left as it is.
func TestForeignFile(t *testing.T) {
	for name, sql := range map[string]string{
		"with a mark":              "PRAGMA application_id = 252006675",
		"with a mark and no table": "PRAGMA application_id = 252006675; CREATE TABLE t (a); DROP TABLE t",
		"with tables":              "CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')",
		"with such a table":        "CREATE TABLE migrations (name TEXT); INSERT INTO migrations VALUES ('0001_init')",
		"with a view":              "CREATE VIEW v AS SELECT 1",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			check(t, outside(t, path, sql))
			before, err := os.ReadFile(path)
			check(t, err)
			if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, store.ErrForeign) {
				t.Errorf("opened: %v", err)
			}
			after, err := os.ReadFile(path)
			check(t, err)
			if !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// TestSecondProcess starts itself again on a file that is open here.
func TestSecondProcess(t *testing.T) {
	if path := os.Getenv("GOTONG_TEST_SECOND"); path != "" {
		_, err := Open(t.Context(), path, Options{})
		if _, werr := fmt.Fprintln(os.Stdout, err); werr != nil {
			t.Fatal(werr)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "gotong.db")
	opened(t, path)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecondProcess$")
	cmd.Env = append(os.Environ(), "GOTONG_TEST_SECOND="+path)
	out, err := cmd.CombinedOutput()
	check(t, err)
	if want := fmt.Sprintf("open in process %d; stop it", os.Getpid()); !strings.Contains(string(out), want) {
		t.Errorf("the second process said %s", out)
	}
}

func TestMigrations(t *testing.T) {
	one, two := "CREATE TABLE one (a TEXT);", "CREATE TABLE two (b TEXT); INSERT INTO one VALUES ('x');"
	files := func(texts ...string) []store.Migration {
		dir := fstest.MapFS{}
		for i, text := range texts {
			dir[fmt.Sprintf("migrations/%04d_step.sql", i+1)] = &fstest.MapFile{Data: []byte(text)}
		}
		list, err := store.Migrations(dir, "migrations/*.sql")
		check(t, err)
		return list
	}
	c, err := openConn(filepath.Join(t.TempDir(), "x.db"))
	check(t, err)
	defer func() { check(t, c.db.Close()) }()
	check(t, migrate(c, files(one)))
	check(t, migrate(c, files(one)))
	check(t, migrate(c, files(one, two))) // the second only
	if err := migrate(c, files(one)); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("an older program: %v", err)
	}
	if err := migrate(c, files(one+" ", two)); !errors.Is(err, store.ErrChangedSchema) {
		t.Errorf("a changed migration: %v", err)
	}
	if err := migrate(c, files(one, two, "CREATE TABLE three (c TEXT); nonsense;")); err == nil {
		t.Error("nonsense was applied")
	}
	if err := c.once("SELECT c FROM three"); err == nil {
		t.Error("half a migration stayed")
	}
	check(t, c.once("SELECT b FROM two"))
	gap := fstest.MapFS{"migrations/0002_x.sql": &fstest.MapFile{}}
	if _, err := store.Migrations(gap, "migrations/*.sql"); err == nil {
		t.Error("a gap in the numbers was accepted")
	}
}
