package thread_test

import (
	"fmt"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

// board is the pinned messages of a thread, in the order of pinning.
func board(w *world, of gotong.Stream) []uint64 {
	list, _ := w.Doc(thread.PinsKey(of.ID())).(thread.Pins)
	return list.Seqs
}

// isPinned reports what a viewer gets of a message.
func isPinned(w *world, a gotong.Actor, seq uint64) bool {
	for _, e := range w.History(s, viewer(a)) {
		if posted, ok := e.Data.(thread.Posted); ok && e.Seq == seq {
			return posted.Pinned
		}
	}
	return false
}

func TestWhoPins(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, citra, "Halo")
	w.Refuse(citra, s, thread.Pin{MessageID: m.ID}, gotong.CodeForbidden)
	w.Refuse(dewi, s, thread.Pin{MessageID: m.ID}, gotong.CodeForbidden)
	w.Refuse(mod, s, thread.Pin{MessageID: m.ID}, gotong.CodeForbidden) // no member
	w.Do(mod, s, thread.Join{})
	for _, a := range []gotong.Actor{ani, budi, mod} {
		w.Do(a, s, thread.Pin{MessageID: m.ID})
		w.Idle(ani, s, thread.Pin{MessageID: m.ID})
		w.Refuse(citra, s, thread.Unpin{MessageID: m.ID}, gotong.CodeForbidden)
		w.Do(a, s, thread.Unpin{MessageID: m.ID})
		w.Idle(a, s, thread.Unpin{MessageID: m.ID})
	}
	w.Refuse(ani, s, thread.Pin{MessageID: gotong.NewEventID(1, 1)}, gotong.CodeNotFound)
	w.Do(ani, s, thread.Mute{UserID: "budi", UntilMS: 4_000_000_000_000})
	w.Refuse(budi, s, thread.Pin{MessageID: m.ID}, gotong.CodeForbidden)
	w.Do(ani, s, thread.Update{Archived: new(true)})
	w.Refuse(ani, s, thread.Pin{MessageID: m.ID}, gotong.CodeArchived)

	direct := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind())
	direct.Do(citra, dm, thread.Direct{UserID: "dewi"})
	said := direct.Do(citra, dm, thread.Post{Body: "Halo"})[0]
	direct.Do(dewi, dm, thread.Pin{MessageID: said.ID})
	direct.Do(citra, dm, thread.Unpin{MessageID: said.ID})
	direct.Refuse(ani, dm, thread.Pin{MessageID: said.ID}, gotong.CodeNotFound)
}

// What is deleted is pinned no more; what is held is not shown as pinned meanwhile.
func TestPinsFollowTheMessage(t *testing.T) {
	w := staffed(t, thread.Public, "")
	one, two, three := post(w, citra, "1"), post(w, citra, "2"), post(w, citra, "3")
	for _, m := range []gotong.Event{one, two, three} {
		w.Do(ani, s, thread.Pin{MessageID: m.ID})
	}
	w.Do(citra, s, thread.Edit{MessageID: two.ID, Body: "zwei"})
	w.Do(citra, s, thread.Delete{MessageID: one.ID})
	w.Refuse(ani, s, thread.Pin{MessageID: one.ID}, gotong.CodeTargetDeleted)
	if got := board(w, s); !slices.Equal(got, []uint64{two.Seq, three.Seq}) || !isPinned(w, citra, two.Seq) || isPinned(w, citra, one.Seq) {
		t.Fatalf("pinned are %v", got)
	}
	w.Do(budi, s, thread.Review{MessageID: three.ID, Decision: thread.Hold})
	if isPinned(w, citra, three.Seq) || isPinned(w, ani, three.Seq) {
		t.Error("a held message is shown as pinned")
	}
	w.Do(budi, s, thread.Review{MessageID: three.ID, Decision: thread.Release})
	if !isPinned(w, citra, three.Seq) {
		t.Error("a released message is pinned no more")
	}
	held := post(w, citra, "4")
	w.Do(budi, s, thread.Review{MessageID: held.ID, Decision: thread.Hold})
	w.Refuse(ani, s, thread.Pin{MessageID: held.ID}, gotong.CodeConflict)
	w.Do(ani, s, thread.Unpin{MessageID: two.ID})
	w.Do(ani, s, thread.Unpin{MessageID: three.ID})
	if got := board(w, s); got != nil || w.Doc(thread.PinsKey(s.ID())) != nil {
		t.Errorf("pinned are %v", got)
	}
}

func TestFiftyMessagesCanBePinned(t *testing.T) {
	w := staffed(t, thread.Public, "")
	var all []gotong.Event
	for i := range thread.MaxPins + 1 {
		all = append(all, post(w, citra, fmt.Sprint(i)))
	}
	for _, m := range all[:thread.MaxPins] {
		w.Do(ani, s, thread.Pin{MessageID: m.ID})
	}
	w.Refuse(ani, s, thread.Pin{MessageID: all[thread.MaxPins].ID}, gotong.CodeConflict)
	w.Idle(ani, s, thread.Pin{MessageID: all[0].ID})
	w.Do(citra, s, thread.Delete{MessageID: all[7].ID})
	w.Do(ani, s, thread.Pin{MessageID: all[thread.MaxPins].ID})
	w.Do(ani, s, thread.Review{MessageID: all[8].ID, Decision: thread.Block}) // a rejected message gives its place up
	w.Do(ani, s, thread.Pin{MessageID: post(w, citra, "lagi").ID})
	w.Do(ani, s, thread.Review{MessageID: all[8].ID, Decision: thread.Release})
	if isPinned(w, ani, all[8].Seq) || len(board(w, s)) != thread.MaxPins {
		t.Errorf("%d are pinned", len(board(w, s)))
	}
}

// A pin is seen with its event; who could not see it pins anew.
func TestAPinIsSeenWithItsEvent(t *testing.T) {
	w := staffed(t, thread.Public, thread.FromJoin)
	m := post(w, ani, "Halo")
	w.Do(ani, s, thread.Remove{UserID: "budi"})
	w.Do(ani, s, thread.Pin{MessageID: m.ID})
	w.Do(ani, s, thread.Add{UserID: "budi", Role: thread.Admin})
	if isPinned(w, budi, m.Seq) || !isPinned(w, citra, m.Seq) {
		t.Errorf("budi: %v, citra: %v", isPinned(w, budi, m.Seq), isPinned(w, citra, m.Seq))
	}
	w.Do(budi, s, thread.Pin{MessageID: m.ID})
	if !isPinned(w, budi, m.Seq) || !slices.Equal(board(w, s), []uint64{m.Seq}) {
		t.Errorf("budi: %v, %v", isPinned(w, budi, m.Seq), board(w, s))
	}
}

// A reply has a line under its message; the log tells no more of it than before.
func TestARepliesLine(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, ani, "Halo")
	reply := w.Do(citra, s, thread.Post{Body: "Ya", ReplyTo: m.ID})[0]
	w.Do(citra, s, thread.Delete{MessageID: reply.ID})
	keys := w.Keys(thread.Replies, s.ID())
	if len(keys) != 1 || keys[0] != thread.ReplyKey(s.ID(), m.Seq, reply.Seq) {
		t.Fatalf("got %v", keys)
	}
	if seq, of, err := thread.ReplyOf(keys[0]); err != nil || seq != m.Seq || of != reply.Seq {
		t.Errorf("got %d %d %v", seq, of, err)
	}
	for _, name := range []string{"", "x", gotong.SeqName(1), gotong.SeqName(1) + "x", gotong.SeqName(1) + gotong.SeqName(2) + "3", "+000000000000001" + gotong.SeqName(2)} {
		if _, _, err := thread.ReplyOf(gotong.Key{Name: name}); err == nil {
			t.Errorf("%q names a reply", name)
		}
	}
}
