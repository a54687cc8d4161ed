package thread_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

// The last member who leaves closes the thread: nobody can come into one that
// has no owner, and it stands in no list.
func TestAThreadClosesWhenItsLastMemberLeaves(t *testing.T) {
	w := staffed(t, thread.Public, "")
	w.Refuse(ani, s, thread.Leave{}, gotong.CodeConflict) // must hand over first
	w.Do(citra, s, thread.Leave{})
	w.Do(budi, s, thread.Leave{})
	if docOf(t, w).Closed() || len(w.Keys(thread.OfScope, "rt05")) != 1 {
		t.Fatal("closed with a member in it")
	}
	w.Do(ani, s, thread.Add{UserID: thread.ImportedPrefix + "x"}) // no account: does not keep it open
	w.Do(ani, s, thread.Leave{})
	if !docOf(t, w).Closed() || len(w.Keys(thread.OfScope, "rt05")) != 0 {
		t.Fatalf("still open: %+v", docOf(t, w).Roster)
	}
	for _, a := range []gotong.Actor{ani, citra, dewi, mod, boss} {
		w.Refuse(a, s, thread.Join{}, gotong.CodeConflict)
		w.Refuse(a, s, thread.Post{Body: "x"}, gotong.CodeForbidden)
		w.Refuse(a, s, thread.Add{UserID: "ani"}, gotong.CodeForbidden)
		w.Idle(a, s, thread.Leave{})
	}
}

// invited is a thread in the scope of a group by invitation: ani and budi are
// in the group, budi made the thread and citra, who is not in the group, is in it.
func invited(t communitytest.T, members thread.Source) *world {
	t.Helper()
	w := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind())
	w.Do(ani, g, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
	w.Do(ani, g, group.Add{UserID: "budi"})
	w.Do(budi, s, thread.Create{ScopeID: in, Privacy: thread.Public, Members: members})
	return w
}

// A thread of a group by invitation is public for those who may know of the
// group, and unknown to all others.
func TestAPublicThreadInAHiddenGroupIsHidden(t *testing.T) {
	w := invited(t, thread.Own)
	m := post(w, budi, "Halo")
	w.Do(budi, s, thread.Add{UserID: "citra"})
	commands := []any{
		thread.Join{}, thread.Leave{}, thread.Add{UserID: "dewi"}, thread.Remove{UserID: "budi"}, thread.Mute{UserID: "budi"},
		thread.SetRole{UserID: "budi", Role: thread.MemberRole}, thread.SetHistory{Policy: thread.All},
		thread.Post{Body: "x"}, thread.Edit{MessageID: m.ID, Body: "x"}, thread.Delete{MessageID: m.ID},
		thread.React{MessageID: m.ID, Emoji: "👍", On: true},
	}
	for _, a := range []gotong.Actor{dewi, mod, boss} {
		for _, c := range commands {
			w.Refuse(a, s, c, gotong.CodeNotFound)
		}
	}
	for a, want := range map[gotong.Actor]bool{ani: true, budi: true, citra: true, dewi: false, mod: false} {
		if got := knows(w, a); got != want {
			t.Errorf("%s knows: %v", a.UserID, got)
		}
	}
	w.Do(ani, s, thread.Join{}) // of the group
	w.Do(citra, s, thread.Post{Body: "still a member"})
	w.Do(citra, s, thread.Leave{})
	w.Idle(citra, s, thread.Leave{}) // as one who was there
	w.Refuse(citra, s, thread.Join{}, gotong.CodeNotFound)
	policy := group.Persetujuan
	w.Do(ani, g, group.Update{JoinPolicy: &policy})
	if !knows(w, dewi) {
		t.Error("all may know of the group, and not of its public thread")
	}
	w.Do(dewi, s, thread.Join{})
}

func TestAThreadWithMembersOfAHiddenGroupIsHidden(t *testing.T) {
	w := invited(t, thread.Home)
	for _, c := range []any{thread.Join{}, thread.Leave{}, thread.Post{Body: "x"}} {
		w.Refuse(dewi, s, c, gotong.CodeNotFound)
	}
	if knows(w, dewi) || !knows(w, ani) {
		t.Error("who is not in the group knows of its thread, or who is does not")
	}
}

func knows(w *world, a gotong.Actor) bool {
	state := w.State(s, func(st gotong.State) []gotong.Ref { return ofGroups.KnowNeeds(st, viewer(a)) })
	return ofGroups.MayKnow(state, viewer(a))
}
