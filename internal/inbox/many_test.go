package inbox_test

import (
	"log/slog"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// TestHiddenItemsHideNoOthers: one call looks at a few items only, and behind many hidden
// ones the older items are still counted, found and listed.
func TestHiddenItemsHideNoOthers(t *testing.T) {
	w := newWorld(t)
	defer inbox.SetLooks(3)()
	for _, a := range all[1:] {
		w.do(a, rt, group.CmdJoin, group.Join{})
	}
	w.post(ani, lent, "Halo @citra")
	for range 7 {
		w.post(budi, lent, "Halo @citra")
	}
	w.do(citra, gotong.NewStream(user.Name, "citra"), user.CmdBlock, user.Block{UserID: "budi"})
	n, err := w.boxes[0].Unread(t.Context(), viewer(citra))
	w.check(err)
	page, err := w.boxes[1].Find(t.Context(), viewer(citra), inbox.Query{Limit: 5, Unread: true})
	w.check(err)
	if n != 1 || len(page.Items) != 1 || page.Items[0].By != "ani" || page.Next != (inbox.ID{}) {
		t.Errorf("%d are unread, and found is %+v", n, page)
	}
	calls, q := 0, inbox.Query{Limit: 5, Unread: true}
	for found := 0; found == 0; calls++ {
		page, err := w.boxes[0].List(t.Context(), viewer(citra), q)
		w.check(err)
		if found, q.Before = len(page.Items), page.Next; found == 0 && page.Next == (inbox.ID{}) {
			t.Fatal("the list ends before the item that is shown")
		}
	}
	if calls < 3 {
		t.Errorf("%d calls looked at 8 items, 3 at most each", calls)
	}
}

// TestARebuildSignalsNobody: the documents that it makes again changed for nobody.
func TestARebuildSignalsNobody(t *testing.T) {
	w := newWorld(t)
	w.do(citra, rt, group.CmdJoin, group.Join{})
	for range 3 {
		w.post(ani, lent, "Halo @citra")
	}
	if !w.changed["citra"] {
		t.Fatal("an item signals nobody")
	}
	w.check(reader.Rebuild(t.Context(), w.store, []reader.Reader{w.reader}, w.reader.Name))
	var signalled int
	again, err := reader.New(reader.Options{
		Store: w.store, Clock: w.clock, Log: slog.New(slog.DiscardHandler),
		Observer: reader.Observer{Advanced: func([]store.Change) { signalled++ }},
	}, []reader.Reader{w.reader}, nil)
	w.check(err)
	w.check(again.CatchUp(t.Context()))
	if n := len(w.list(0, citra, true)); n != 3 || signalled > 0 {
		t.Errorf("after a rebuild, %d items, and %d signals", n, signalled)
	}
	w.rebuilt()
	w.run = again
	if w.post(ani, lent, "Halo @citra"); signalled != 1 {
		t.Errorf("after it, an item made %d signals", signalled)
	}
}
