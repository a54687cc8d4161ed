package group_test

import (
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/user"
)

var (
	evi  = communitytest.User("evi")
	fajr = communitytest.User("fajr")
	head = communitytest.Admin("head")
)

// accounts is a world in which nobody has an account but these, with a group
// that ani leads.
func accounts(t communitytest.T, policy group.JoinPolicy) *communitytest.World {
	t.Helper()
	w := communitytest.Run(t, group.KindFor(gotong.OwnAccounts), user.Kind())
	for _, a := range []gotong.Actor{ani, evi, fajr} {
		w.Do(gotong.Anonymous(), gotong.NewStream(user.Name, a.UserID), user.Register{
			Email: a.UserID + "@rt05.example", Username: "user." + a.UserID, CommunityID: "rt05",
		})
	}
	w.Do(ani, rt05, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: policy})
	return w
}

func disable(w *communitytest.World, a gotong.Actor) {
	w.Do(communitytest.System(), gotong.NewStream(user.Name, a.UserID), user.Disable{})
}

// Leading rests on accounts that can act: nobody else is a member, and one that
// is disabled does not count.
func TestTheLastAdminWhoCanActStays(t *testing.T) {
	w := accounts(t, group.Terbuka)
	w.Refuse(ani, rt05, group.Add{UserID: "nobody", Role: group.Admin}, gotong.CodeNotFound)
	w.Refuse(ani, rt05, group.Add{UserID: "nobody"}, gotong.CodeNotFound)
	w.Do(ani, rt05, group.Add{UserID: "evi", Role: group.Admin})
	w.Do(fajr, rt05, group.Join{})
	disable(w, evi)
	w.Refuse(ani, rt05, group.Leave{}, gotong.CodeConflict)
	w.Refuse(ani, rt05, group.Remove{UserID: "ani"}, gotong.CodeConflict)
	w.Refuse(ani, rt05, group.SetRole{UserID: "ani", Role: group.Anggota}, gotong.CodeConflict)
	w.Do(ani, rt05, group.SetRole{UserID: "evi", Role: group.Anggota})
	w.Refuse(ani, rt05, group.SetRole{UserID: "evi", Role: group.Admin}, gotong.CodeNotFound)
	w.Do(ani, rt05, group.SetRole{UserID: "fajr", Role: group.Admin})
	w.Do(ani, rt05, group.Leave{})
}

func TestAGroupHasAtMost50Admins(t *testing.T) {
	w := communitytest.Run(t, group.Kind())
	w.Do(ani, rt05, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	for i := range gotong.MaxLeaders - 1 {
		w.Do(ani, rt05, group.Add{UserID: "admin-" + string(rune('a'+i/26)) + string(rune('a'+i%26)), Role: group.Admin})
	}
	w.Refuse(ani, rt05, group.Add{UserID: "evi", Role: group.Admin}, gotong.CodeConflict)
	w.Do(ani, rt05, group.Add{UserID: "evi"})
	w.Refuse(ani, rt05, group.SetRole{UserID: "evi", Role: group.Admin}, gotong.CodeConflict)
}

// A group by invitation whose last admin was disabled gets a new one: a member
// and, where none can act, an outsider, who sees nothing from before.
func TestAPlatformAdminAppointsWhereNoAdminCanAct(t *testing.T) {
	w := accounts(t, group.Undangan)
	w.Do(ani, rt05, group.Add{UserID: "evi"})
	w.Refuse(head, rt05, group.Appoint{UserID: "evi"}, gotong.CodeNotFound) // ani can act
	disable(w, ani)
	w.Refuse(evi, rt05, group.Appoint{UserID: "evi"}, gotong.CodeForbidden)
	w.Refuse(fajr, rt05, group.Appoint{UserID: "fajr"}, gotong.CodeNotFound)
	w.Refuse(head, rt05, group.Appoint{UserID: "ani"}, gotong.CodeNotFound)
	w.Refuse(head, rt05, group.Appoint{UserID: "fajr", Members: []string{"ani", "evi"}}, gotong.CodeConflict)
	e := w.Do(head, rt05, group.Appoint{UserID: "evi"})[0]
	if a := w.Access(rt05, gotong.Viewer(evi)); roleOf(w, "evi") != "admin" || !a.Sees(e.Seq, e.Audience) || !a.Sees(1, "") {
		t.Fatalf("a member was appointed, and sees %+v", a)
	}
	disable(w, evi)
	w.Refuse(head, rt05, group.Appoint{UserID: "fajr", Members: []string{"ani", "ani"}}, gotong.CodeConflict)
	e = w.Do(head, rt05, group.Appoint{UserID: "fajr", Members: []string{"evi", "ani"}})[0]
	if a := w.Access(rt05, gotong.Viewer(fajr)); !a.Sees(e.Seq, "") || a.Sees(e.Seq-1, "") {
		t.Fatalf("an outsider was appointed, and sees %+v", a)
	}
	w.Refuse(head, rt05, group.Appoint{UserID: "fajr"}, gotong.CodeNotFound)
}

func TestABannedUserCannotJoinOrBeAdded(t *testing.T) {
	w := communitytest.Run(t, group.Kind())
	w.Do(ani, rt05, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	w.Do(evi, rt05, group.Join{})
	soon := gotong.Ban{UntilMS: w.Now().Milli() + time.Hour.Milliseconds()}
	w.Refuse(evi, rt05, group.Remove{UserID: "fajr", Ban: soon}, gotong.CodeForbidden)
	w.Refuse(ani, rt05, group.Remove{UserID: "ani", Ban: soon}, gotong.CodeConflict)
	w.Refuse(ani, rt05, group.Remove{UserID: "evi", Ban: gotong.Ban{UntilMS: 1}}, gotong.CodeInvalid)
	w.Do(ani, rt05, group.Remove{UserID: "evi", Ban: soon})
	w.Refuse(evi, rt05, group.Join{}, gotong.CodeForbidden)
	w.Refuse(ani, rt05, group.Add{UserID: "evi"}, gotong.CodeConflict)
	w.Idle(evi, rt05, group.Leave{})
	w.Idle(ani, rt05, group.Remove{UserID: "evi", Ban: soon})
	if g := docOf(t, w); g.Members != 1 {
		t.Fatalf("who is banned is counted: %+v", g.Roster)
	}
	w.Pass(time.Duration(soon.UntilMS-w.Now().Milli()-2) * time.Millisecond) // each command takes one
	w.Refuse(evi, rt05, group.Join{}, gotong.CodeForbidden)
	if e := w.Do(evi, rt05, group.Join{})[0]; e.Data.(group.Member).Now == 0 {
		t.Fatal("a deadline was compared, and the event does not say when")
	}
	w.Do(ani, rt05, group.Remove{UserID: "fajr", Ban: gotong.Ban{Ever: true}}) // never was a member
	w.Pass(1000 * time.Hour)
	w.Refuse(fajr, rt05, group.Join{}, gotong.CodeForbidden)
	w.Refuse(evi, rt05, group.Unban{UserID: "fajr"}, gotong.CodeForbidden)
	w.Do(ani, rt05, group.Unban{UserID: "fajr"})
	w.Idle(ani, rt05, group.Unban{UserID: "fajr"})
	w.Do(fajr, rt05, group.Join{})
}

// A ban does not tell who never was a member that the group exists.
func TestABanRevealsNoHiddenGroup(t *testing.T) {
	w := communitytest.Run(t, group.Kind())
	w.Do(ani, rt05, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
	w.Do(ani, rt05, group.Remove{UserID: "evi", Ban: gotong.Ban{Ever: true}})
	for _, c := range []any{group.Join{}, group.Leave{}} {
		w.Refuse(evi, rt05, c, gotong.CodeNotFound)
	}
}

// An erased text is gone from the group, and no older one appears in its place.
func TestErasedTexts(t *testing.T) {
	w := communitytest.Run(t, group.Kind())
	first := w.Do(ani, rt05, group.Create{Name: "one", Description: "about", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})[0]
	second := w.Do(ani, rt05, group.Update{Name: new("two")})[0]
	for _, tc := range []struct {
		event gotong.EventID
		name  string
	}{{first.ID, "two"}, {second.ID, ""}} {
		w.Do(head, rt05, gotong.Erase{Events: []gotong.EventID{tc.event}, Reason: "by order"})
		if g := docOf(t, w); g.Name != tc.name || g.Description != "" {
			t.Fatalf("got %q, %q", g.Name, g.Description)
		}
	}
}
