package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// TestReadOnly: a file is read beside the store that writes to it, and sees what that
// store commits; nothing can be written through it.
func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
	r, err := Open(t.Context(), path, Options{ReadOnly: true, Collections: []string{"things"}})
	check(t, err)
	events := func() (n int) {
		t.Helper()
		positions, err := r.Positions(t.Context())
		check(t, err)
		for p := range gotong.Partition(gotong.Partitions) {
			list, err := r.ReadPartition(t.Context(), p, 0, positions[p], store.MaxRead)
			check(t, err)
			n += len(list)
		}
		return n
	}
	for n := 1; n < 5; n++ {
		if got := events(); got != n {
			t.Errorf("%d events are read, want %d", got, n)
		}
		commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
	}
	err = r.SetRegister(t.Context(), gotong.Key{Collection: "c", Owner: "o", Name: "n"}, 0, []byte("x"), 0)
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("a register was set: %v", err)
	}
	check(t, r.Close())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
}

// TestReadOnlyAlone: where nobody has the file open, what was written is read too,
// also from the WAL of a store that did not close; and the file stays as it is.
func TestReadOnlyAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
	left := filepath.Join(t.TempDir(), "left.db") // as a crash leaves it
	for _, ending := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + ending)
		check(t, err)
		check(t, os.WriteFile(left+ending, b, 0o600))
	}
	before, err := os.ReadFile(left)
	check(t, err)
	r, err := Open(t.Context(), left, Options{ReadOnly: true})
	check(t, err)
	positions, err := r.Positions(t.Context())
	if slices.Max(positions[:]) != 1 || err != nil {
		t.Errorf("positions %v, %v", positions, err)
	}
	check(t, r.Close())
	if after, err := os.ReadFile(left); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file was changed: %v", err)
	}
}

// TestReadOnlyRefuses: what a store would make or bring up to date is refused.
func TestReadOnlyRefuses(t *testing.T) {
	dir := t.TempDir()
	open := func(name string) error {
		r, err := Open(t.Context(), filepath.Join(dir, name), Options{ReadOnly: true})
		if err == nil {
			check(t, r.Close())
		}
		return err
	}
	if err := open("none.db"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
	check(t, os.WriteFile(filepath.Join(dir, "empty.db"), nil, 0o600))
	if err := open("empty.db"); !errors.Is(err, store.ErrForeign) {
		t.Errorf("an empty file: %v", err)
	}
	s, err := Open(t.Context(), filepath.Join(dir, "older.db"), Options{})
	check(t, err)
	check(t, s.writer.conn.once("DELETE FROM migrations WHERE number = (SELECT max(number) FROM migrations)"))
	check(t, s.Close())
	if err := open("older.db"); err == nil || !strings.Contains(err.Error(), "earlier version") {
		t.Errorf("an earlier schema: %v", err)
	}
}
