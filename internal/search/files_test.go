package search_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/search"
	"gotong.dev/gotong/internal/store/sqlite"
)

// TestErasedFileNamesLeaveTheIndex: once a message is erased or deleted, neither its row
// nor the one of its edit has a word of its files' names, not even in the bytes of the
// database; also if an edit was committed while the erasure was prepared, so that it
// names the message alone.
func TestErasedFileNamesLeaveTheIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	clock := clocktest.Stopped(1_795_968_000_000_000)
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Collections: collections(), Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s, clock)
	w.begin()
	ani, admin := users[0], communitytest.Admin("adm")
	in := func(word string) (n int) {
		for _, end := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + end)
			w.check(err)
			n += bytes.Count(b, []byte(search.Hashed(word)))
		}
		return n
	}
	post := func(name string) gotong.EventID {
		return w.do(ani, own, thread.CmdPost, thread.Post{Body: "kopi", Attachments: []string{w.upload(ani, own, name)}}).EventIDs[0]
	}
	edit := func(id gotong.EventID) gotong.EventID {
		return w.do(ani, own, thread.CmdEdit, thread.Edit{MessageID: id, Body: "jahe"}).EventIDs[0]
	}
	plain, edited, raced, removed := post("gelatik.pdf"), post("merpati.pdf"), post("kutilang.pdf"), post("kenari.pdf")
	deleted := post("punai.pdf")
	w.check(w.run.CatchUp(t.Context()))
	edits := []gotong.EventID{edit(edited), edit(raced), edit(removed)}
	edit(deleted)
	w.check(w.run.CatchUp(t.Context()))
	words := []string{"gelatik", "merpati", "kutilang", "kenari", "punai"}
	for _, word := range words {
		if got := w.find(ani, word, 5); len(got) != 1 || in(word) == 0 {
			t.Errorf("before, %s finds %q, and is in the file %d times", word, got, in(word))
		}
	}
	w.do(ani, own, thread.CmdDelete, thread.Delete{MessageID: removed})
	w.do(ani, own, thread.CmdDelete, thread.Delete{MessageID: deleted})
	for _, list := range [][]gotong.EventID{{plain}, {edited, edits[0]}, {raced}, {removed, edits[2]}} {
		w.clock.Pass(time.Second)
		w.do(admin, own, gotong.CmdErase, gotong.Erase{Events: list, Reason: "by order"})
	}
	for _, word := range words {
		if got := w.find(ani, word, 5); len(got) > 0 {
			t.Errorf("before the reader follows, %s finds %q", word, got)
		}
	}
	w.check(w.run.CatchUp(t.Context()))
	for _, word := range words {
		if got := w.find(ani, word, 5); len(got) > 0 || in(word) > 0 {
			t.Errorf("after, %s finds %q, and is in the file %d times", word, got, in(word))
		}
	}
	w.check(reader.Compare(t.Context(), s, &w.reader, 0, func(d reader.Difference) { t.Errorf("a rebuild differs: %+v", d) }))
	w.do(ani, own, thread.CmdEdit, thread.Edit{MessageID: raced, Revision: 1, Body: "susu"})
	w.check(w.run.CatchUp(t.Context()))
	if got := w.find(ani, "susu", 5); !slices.Equal(got, []string{"susu"}) {
		t.Errorf("edited again, it is found as %q", got)
	}
}
