package thread_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/thread"
)

func TestUnreadCountsVisibleMessagesAboveTheMark(t *testing.T) {
	all := []thread.Ordinals{{From: 0, To: math.MaxUint64}}
	for name, tc := range map[string]struct {
		mark, last uint64
		visible    []thread.Ordinals
		deleted    []uint64
		want       int
	}{
		"nothing there":    {0, 0, all, nil, 0},
		"all read":         {7, 7, all, nil, 0},
		"three new":        {4, 7, all, nil, 3},
		"one deleted":      {4, 7, all, []uint64{6}, 2},
		"old ones deleted": {4, 7, all, []uint64{1, 4}, 3},
		"all deleted":      {4, 7, all, []uint64{5, 6, 7}, 0},
		"not a member":     {4, 7, nil, nil, 0},
		"in two stretches": {2, 20, []thread.Ordinals{{1, 4}, {10, math.MaxUint64}}, []uint64{4, 8, 11}, 10},
		"mark beyond":      {9, 7, all, nil, 0},
		"999":              {0, 999, all, nil, 999},
		"many":             {0, 5000, all, []uint64{1}, 999},
	} {
		t.Run(name, func(t *testing.T) {
			if got := thread.Unread(tc.mark, tc.last, tc.visible, tc.deleted); got != tc.want {
				t.Fatalf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestUnreadEqualsACountOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last := rapid.Uint64Range(0, 60).Draw(t, "last")
		mark := rapid.Uint64Range(0, 60).Draw(t, "mark")
		deleted := rapid.SliceOfDistinct(rapid.Uint64Range(1, 60), rapid.ID).Draw(t, "deleted")
		slices.Sort(deleted)
		var visible []thread.Ordinals
		var shown [100]bool
		for from := uint64(0); from < 60; {
			o := thread.Ordinals{From: from + rapid.Uint64Range(0, 9).Draw(t, "gap")}
			o.To = o.From + rapid.Uint64Range(1, 9).Draw(t, "length")
			visible = append(visible, o)
			for n := o.From + 1; n <= o.To; n++ {
				shown[n] = true
			}
			from = o.To + 1
		}
		want := 0
		for n := mark + 1; n <= last; n++ {
			if shown[n] && !slices.Contains(deleted, n) {
				want++
			}
		}
		if got := thread.Unread(mark, last, visible, deleted); got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	})
}

// unread counts as a server does: the grant's spans as ordinals, and for a
// home's spans the messages before the home's event.
func unread(t communitytest.T, w *world, a gotong.Actor, mark uint64) int {
	t.Helper()
	grant, _ := w.Grant(s, viewer(a))
	before := func(home gotong.Stream, seq uint64) (n uint64) {
		at := w.Position(home, seq)
		for q := uint64(1); q <= w.Head(s).Seq && w.Position(s, q) < at; q++ {
			n = w.Event(s, q).Count
		}
		return n
	}
	var deleted []uint64
	for _, k := range w.Keys(thread.Deletions, s.ID()) {
		for n := range w.Head(s).Count {
			if k.Name == gotong.SeqName(n+1) && n+1 > mark {
				deleted = append(deleted, n+1)
			}
		}
	}
	ordinals := thread.VisibleOrdinals(docOf(t, w), memberOf(w, a.UserID), grant, before)
	return thread.Unread(mark, w.Head(s).Count, ordinals, deleted)
}

func TestUnreadLeavesOutWhatWasNotVisible(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, thread.Policy) comings{"own": own, "home": home} {
		t.Run(name, func(t *testing.T) {
			c := begin(t, thread.FromJoin)
			w := c.world
			post(w, ani, "1")
			w.Do(ani, s, thread.SetHistory{Policy: thread.All})
			post(w, ani, "2")
			w.Do(ani, s, thread.SetHistory{Policy: thread.FromJoin})
			post(w, ani, "3")
			c.add()
			gone := post(w, ani, "4")
			post(w, ani, "5")
			c.remove()
			post(w, ani, "6")
			if got := unread(t, w, citra, 0); got != 0 {
				t.Errorf("removed: %d", got)
			}
			c.add()
			post(w, ani, "7")
			w.Do(ani, s, thread.Delete{MessageID: gone.ID})
			for mark, want := range map[uint64]int{0: 3, 2: 2, 5: 1, 7: 0} {
				if got := unread(t, w, citra, mark); got != want {
					t.Errorf("above %d: got %d, want %d", mark, got, want)
				}
			}
			if got := unread(t, w, ani, 0); got != 6 {
				t.Errorf("the owner: %d", got)
			}
		})
	}
}
