package search_test

import (
	"fmt"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/search"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// TestManyThreadsAreSearchedInParts, and what the parts find is one list, newest first.
func TestManyThreadsAreSearchedInParts(t *testing.T) {
	clock := clocktest.Stopped(1_795_968_000_000_000)
	w := newWorld(t, memory.New("k3f9", memory.Options{Now: clock.Now}), clock)
	w.begin()
	ani := users[0]
	var want []string
	for n := range 9 { // the newest of each part lies between those of the others
		text := fmt.Sprint("kopi ", n)
		w.do(ani, threads[n%3], thread.CmdPost, thread.Post{Body: text})
		want = append([]string{text}, want...)
	}
	w.check(w.run.CatchUp(t.Context()))
	var extents []search.Extent
	for n, e := range w.extents(ani) { // one real thread in each part
		extents = append(extents, e)
		for i := range store.MaxOwners - 1 {
			extents = append(extents, search.Extent{Stream: gotong.NewStream(thread.Name, fmt.Sprint("none-", n, "-", i)), Partition: e.Partition, Access: e.Access})
		}
	}
	q, err := search.Parse("kopi")
	w.check(err)
	var got []string
	for before := (gotong.EventID{}); ; {
		page, err := w.search.Find(t.Context(), q, "", extents, before, 2)
		w.check(err)
		for _, h := range page.Hits {
			got = append(got, h.Snippet.Text)
		}
		if before = page.Next; before.IsZero() {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
