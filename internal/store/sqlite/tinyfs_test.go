package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// TestFullDisk fills a real file system. It wants a small one of its own in
// the directory that GOTONG_TINY_DIR names, such as a tmpfs of a few MB.
func TestFullDisk(t *testing.T) {
	dir := os.Getenv("GOTONG_TINY_DIR")
	if dir == "" {
		t.Skip("GOTONG_TINY_DIR names no small file system")
	}
	dir, err := os.MkdirTemp(dir, "full-*") //nolint:usetesting // in that file system, not in the usual one
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	s := opened(t, filepath.Join(dir, "gotong.db"))
	m := storetest.NewMaker(s.Epoch())
	ballast := filepath.Join(dir, "ballast")
	check(t, os.WriteFile(ballast, make([]byte, 200<<10), 0o600))
	acked := uint64(0)
	full := func() int {
		refused := 0
		for range 400 {
			c := m.Peek(storetest.Draft{Stream: "thread/a", Events: 1, Body: strings.Repeat("x", 10000)})
			out, err := store.CommitAll(t.Context(), s, []store.Commit{c})
			if err != nil {
				if !errors.Is(err, store.ErrFull) {
					t.Fatalf("after %d commits: %v", acked, err)
				}
				refused++
				continue
			}
			if out[0].Status != store.Committed {
				t.Fatalf("%+v", out)
			}
			m.Took(c)
			acked++
		}
		return refused
	}
	if full() == 0 {
		t.Fatal("the file system is too large")
	}
	snap, err := s.Load(t.Context(), store.Need{Heads: []gotong.Stream{"thread/a"}, Events: []store.EventRange{{Stream: "thread/a", To: 9}}})
	if err != nil || snap.Heads["thread/a"].Seq != acked || len(snap.Events[0]) != 9 {
		t.Fatalf("reading while full: %+v, %v; acknowledged were %d", snap.Heads, err, acked)
	}
	check(t, os.Remove(ballast))
	before := acked
	full()
	if acked == before {
		t.Error("nothing was written after room was made")
	}
	t.Logf("%d commits, then %d more", before, acked-before)
}
