package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// TestRemovedTextsLeaveTheFile: after a step that erases, no word of a text that was
// removed or replaced is in the file or its WAL, however the index had split or
// merged its segments.
func TestRemovedTextsLeaveTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "texts.db")
	s, err := Open(t.Context(), path, Options{Collections: []string{"text_notes"}})
	if err != nil {
		t.Fatal(err)
	}
	r, at := rand.New(rand.NewPCG(1, 2)), uint64(0)
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	word := func() string {
		var b strings.Builder
		for range 8 {
			b.WriteByte(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	common := make([]string, 300)
	for i := range common {
		common[i] = word()
	}
	step := func(erases bool, changes ...store.Change) {
		t.Helper()
		if err := s.Advance(t.Context(), store.Step{Reader: "r", From: at, To: at + 1, Changes: changes, Erases: erases}); err != nil {
			t.Fatal(err)
		}
		at++
	}
	put := func(i int, words ...string) store.Change {
		id := gotong.NewEventID(1_764_000_000_000_000+gotong.Instant(i), r.Uint64())
		return store.Change{
			Key:  gotong.Key{Collection: "text_notes", Owner: fmt.Sprint(i % 7), Name: fmt.Sprint(i)},
			Body: fmt.Appendf(nil, `{"id":%q,"words":%q}`, id, strings.Join(words, " ")),
		}
	}
	var gone []string
	const n = 600
	for i := 0; i < n; i += 20 {
		var changes []store.Change
		for j := range 20 {
			own := word()
			changes = append(changes, put(i+j, common[r.IntN(300)], own, common[r.IntN(300)]))
			if j < 4 {
				gone = append(gone, own)
			}
		}
		step(false, changes...)
	}
	for i := range n {
		if j := i % 20; j < 2 {
			ch := put(i)
			ch.Body = nil
			step(i == n-20+1, ch)
		} else if j < 4 {
			step(true, put(i, common[0]))
		}
	}
	for _, end := range []string{"", "-wal"} {
		file, err := os.ReadFile(path + end)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range gone {
			if at := bytes.Index(file, []byte(w)); at >= 0 {
				t.Errorf("%q is at byte %d of the file%s", w, at, end)
			}
		}
		if end == "" && !bytes.Contains(file, []byte(common[0])) {
			t.Error("the words that are left are not in the file either")
		}
	}
	if err := s.writer.conn.once("INSERT INTO fts_text_notes(fts_text_notes) VALUES ('integrity-check')"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSearchesLeaveReaders: searches that take long, however many, do not keep others
// from reading.
func TestSearchesLeaveReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "texts.db"), Options{Collections: []string{"text_notes"}})
		if err != nil {
			t.Fatal(err)
		}
		key := gotong.Key{Collection: "text_notes", Owner: "a", Name: "1"}
		body := fmt.Appendf(nil, `{"id":%q,"words":"kopi"}`, gotong.NewEventID(1_764_000_000_000_000, 1))
		if err := s.Advance(t.Context(), store.Step{Reader: "r", To: 1, Changes: []store.Change{{Key: key, Body: body}}}); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		goOn := make(chan struct{})
		for range 2 * s.count {
			group.Go(func() {
				docs, err := s.FindTexts(t.Context(), store.Finding{
					Collection: key.Collection, Owners: []string{"a"},
					Keep: func(store.Text, store.Document) bool { <-goOn; return true },
				})
				if len(docs) != 1 || err != nil {
					t.Errorf("%d texts, %v", len(docs), err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if snap, err := s.Load(ctx, store.Need{Documents: []gotong.Key{key}}); len(snap.Documents) != 1 || err != nil {
			t.Errorf("while searches run: %d documents, %v", len(snap.Documents), err)
		}
		close(goOn)
		group.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestDamagedIndexesAreFound: the check of an index of words finds damage in a file
// whose documents are whole, and one that is emptied and filled again is whole.
func TestDamagedIndexesAreFound(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "texts.db"), Options{Collections: []string{"text_notes", "notes"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	var changes, clears []store.Change
	for i := range 300 {
		id := gotong.NewEventID(1_764_000_000_000_000+gotong.Instant(i), 1)
		key := gotong.Key{Collection: "text_notes", Owner: "a", Name: fmt.Sprint(i)}
		changes = append(changes, store.Change{Key: key, Body: fmt.Appendf(nil, `{"id":%q,"words":"kopi w%d"}`, id, i)})
		clears = append(clears, store.Change{Key: key})
	}
	step := func(changes []store.Change, clears bool) {
		t.Helper()
		if err := s.Advance(t.Context(), store.Step{Reader: "r", Changes: changes, Clears: clears}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want error) {
		t.Helper()
		for _, name := range []string{"text_notes", "notes"} {
			if err := s.CheckTexts(t.Context(), name); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
			want = nil
		}
	}
	check(nil)
	step(changes, false)
	check(nil)
	if err := s.writer.conn.once("UPDATE fts_text_notes_data SET block = zeroblob(length(block)) WHERE id > 10"); err != nil {
		t.Fatal(err)
	}
	check(store.ErrCorrupt)
	step(clears, true)
	step(changes, false)
	check(nil)
}

// TestCheckOfTextsAfterSearches: FTS5 finds its index whole on a connection that has
// searched before another one wrote. PRAGMA integrity_check alone compares what the
// connection remembers of the index with the new pages, and reports damage.
func TestCheckOfTextsAfterSearches(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "texts.db"), Options{Collections: []string{"text_notes"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for n := range uint64(60) {
		key := gotong.Key{Collection: "text_notes", Owner: "a", Name: strconv.FormatUint(n%20, 10)}
		body := fmt.Appendf(nil, `{"id":%q,"words":"kopi %d"}`, gotong.NewEventID(gotong.Instant(1_764_000_000_000_000+n), n), n)
		if err := s.Advance(t.Context(), store.Step{Reader: "r", From: n, To: n + 1, Changes: []store.Change{{Key: key, Body: body}}}); err != nil {
			t.Fatal(err)
		}
		for range s.count { // each connection in turn
			if err := s.CheckTexts(t.Context(), "text_notes"); err != nil {
				t.Fatalf("after %d steps: %v", n+1, err)
			}
		}
		for range s.count {
			finding := store.Finding{Collection: "text_notes", Owners: []string{"a"}, Words: [][]string{{"kopi"}}}
			if docs, err := s.FindTexts(t.Context(), finding); len(docs) == 0 || err != nil {
				t.Fatal(len(docs), err)
			}
		}
	}
}
