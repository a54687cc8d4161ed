package thread_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
)

// accounts is a world in which nobody has an account but these.
func accounts(t communitytest.T, actors ...gotong.Actor) *world {
	t.Helper()
	w := communitytest.Run(t, thread.Rules{Accounts: gotong.OwnAccounts, Lenders: gotong.Lenders{group.Kind()}}.Kind(), group.KindFor(gotong.OwnAccounts), user.Kind())
	for _, a := range actors {
		w.Do(gotong.Anonymous(), gotong.NewStream(user.Name, a.UserID), user.Register{
			Email: a.UserID + "@rt05.example", Username: "user." + a.UserID, CommunityID: "rt05",
		})
	}
	return w
}

func disable(w *world, a gotong.Actor) {
	w.Do(communitytest.System(), gotong.NewStream(user.Name, a.UserID), user.Disable{})
}

// last reports whether a user leads with this role and no other user who does
// can act.
func (m *model) last(user, role string) bool { return m.seats[user] == role && !m.acts(role, user) }

// acts reports whether somebody with a role, but for one user, can act; any
// role where it is empty.
func (m *model) acts(role, but string) bool {
	for u, r := range m.seats {
		if (role == "" || r == role) && u != but && !m.disabled[u] {
			return true
		}
	}
	return false
}

func (t *trial) unban() {
	a, u := t.actor("actor"), t.actor("target").UserID
	code := first(t.hidden(a), when(t.m.force(a) < 2, gotong.CodeForbidden), when(t.m.home, gotong.CodeConflict),
		when(!t.m.banned[u], idle))
	if _, ok := t.run(a, s, thread.Unban{UserID: u}, code); ok {
		t.m.banned[u] = false
		t.m.note()
	}
}

// toggle disables an account or enables it.
func (t *trial) toggle() {
	u := t.actor("target").UserID
	var cmd any = user.Disable{}
	if t.m.disabled[u] {
		cmd = user.Enable{}
	}
	t.run(communitytest.System(), gotong.NewStream(user.Name, u), cmd, "")
	t.m.disabled[u] = !t.m.disabled[u]
}

// appoint: by an admin of the platform, where no owner can act; an outsider
// where no member can.
func (t *trial) appoint() {
	a, u := t.actor("actor"), t.actor("target").UserID
	all := make([]string, 0, len(t.m.seats))
	for id := range t.m.seats {
		all = append(all, id)
	}
	slices.Sort(all)
	named := rapid.SampledFrom([][]string{all, all, all[:len(all)/2], nil}).Draw(t.T, "named")
	known := !t.m.secret || t.m.grade(a.UserID) > 0
	refused := gotong.CodeConflict
	if !known {
		refused = gotong.CodeNotFound
	}
	admin, outsider := a.Role == gotong.RoleAdmin, t.m.seats[u] == ""
	code := first(when(!admin && known, gotong.CodeForbidden), when(!admin, gotong.CodeNotFound),
		when(t.m.home || len(t.m.seats) == 0 || t.m.acts("owner", ""), refused), when(t.m.disabled[u], gotong.CodeNotFound),
		when(outsider && (t.m.banned[u] || len(named) < len(all) || t.m.acts("", "")), gotong.CodeConflict))
	if _, ok := t.run(a, s, thread.Appoint{UserID: u, Members: named}, code); ok {
		t.seat(u, "owner")
		if outsider {
			t.m.since[u] = len(t.m.moments)
		}
	}
}

// Where accounts are the server's own, nobody else is a member or an owner.
func TestAUserWithoutAnAccountIsNotAdded(t *testing.T) {
	w := accounts(t, ani, budi, citra)
	w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	for _, role := range []thread.Role{"", thread.Owner} {
		w.Refuse(ani, s, thread.Add{UserID: "nobody", Role: role}, gotong.CodeNotFound)
	}
	w.Do(ani, s, thread.Add{UserID: thread.ImportedPrefix + "1"})
	w.Do(ani, s, thread.Add{UserID: "budi", Role: thread.Admin})
	disable(w, budi)
	w.Refuse(ani, s, thread.SetRole{UserID: "budi", Role: thread.Owner}, gotong.CodeNotFound)
	w.Refuse(ani, s, thread.SetRole{UserID: thread.ImportedPrefix + "1", Role: thread.Owner}, gotong.CodeInvalid)
}

// Ownership rests on accounts that can act: one that is disabled does not count.
func TestTheLastOwnerWhoCanActStays(t *testing.T) {
	w := accounts(t, ani, budi, citra)
	w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	w.Do(ani, s, thread.Add{UserID: "budi", Role: thread.Owner})
	w.Do(ani, s, thread.Add{UserID: "citra"})
	disable(w, budi)
	w.Refuse(ani, s, thread.Leave{}, gotong.CodeConflict)
	w.Refuse(ani, s, thread.SetRole{UserID: "ani", Role: thread.MemberRole}, gotong.CodeConflict)
	w.Refuse(boss, s, thread.Remove{UserID: "ani"}, gotong.CodeConflict)
	w.Do(ani, s, thread.SetRole{UserID: "citra", Role: thread.Owner})
	w.Do(ani, s, thread.Leave{})
	w.Do(citra, s, thread.Remove{UserID: "budi"})
}

func TestAThreadHasAtMost50Owners(t *testing.T) {
	w := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind())
	w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	for i := range gotong.MaxLeaders - 1 {
		w.Do(ani, s, thread.Add{UserID: "owner-" + string(rune('a'+i/26)) + string(rune('a'+i%26)), Role: thread.Owner})
	}
	w.Refuse(ani, s, thread.Add{UserID: "one-more", Role: thread.Owner}, gotong.CodeConflict)
	w.Do(ani, s, thread.Add{UserID: "one-more"})
	w.Refuse(ani, s, thread.SetRole{UserID: "one-more", Role: thread.Owner}, gotong.CodeConflict)
}

// An outsider who is appointed sees nothing from before, whatever the policy,
// until they come as others do; a member who is appointed sees on as before.
func TestAPlatformAdminAppointsWhereNoOwnerCanAct(t *testing.T) {
	w := accounts(t, ani, budi, citra, dewi)
	w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Private})
	secret := post(w, ani, "before")
	w.Do(ani, s, thread.Add{UserID: "budi"})
	w.Refuse(boss, s, thread.Appoint{UserID: "budi"}, gotong.CodeNotFound) // ani can act
	w.Refuse(dewi, s, thread.Appoint{UserID: "dewi"}, gotong.CodeNotFound)
	disable(w, ani)
	w.Refuse(dewi, s, thread.Appoint{UserID: "dewi"}, gotong.CodeNotFound)
	w.Refuse(boss, s, thread.Appoint{UserID: "dewi", Members: []string{"ani", "budi"}}, gotong.CodeConflict)
	e := w.Do(boss, s, thread.Appoint{UserID: "budi"})[0]
	if !w.Access(s, viewer(budi)).Sees(e.Seq, e.Audience) || !w.Access(s, viewer(budi)).Sees(secret.Seq, "") || memberOf(w, "budi").Role != "owner" {
		t.Fatal("a member was appointed, and does not see it or what was before")
	}
	disable(w, budi)
	w.Refuse(boss, s, thread.Appoint{UserID: "dewi"}, gotong.CodeConflict) // without proof
	w.Refuse(boss, s, thread.Appoint{UserID: "nobody", Members: []string{"ani", "budi"}}, gotong.CodeNotFound)
	e = w.Do(boss, s, thread.Appoint{UserID: "dewi", Members: []string{"ani", "budi"}})[0]
	if a := w.Access(s, viewer(dewi)); a.Sees(secret.Seq, "") || !a.Sees(e.Seq, "") || !a.Sees(post(w, dewi, "after").Seq, "") {
		t.Fatalf("an outsider was appointed, and sees %+v", a)
	}
	w.Refuse(dewi, s, thread.React{MessageID: secret.ID, Emoji: "👍", On: true}, gotong.CodeNotFound)
	w.Do(dewi, s, thread.Add{UserID: "citra", Role: thread.Owner})
	w.Do(dewi, s, thread.Leave{})
	w.Do(citra, s, thread.Add{UserID: "dewi"})
	if !w.Access(s, viewer(dewi)).Sees(secret.Seq, "") {
		t.Fatal("added as others are, and sees less than they")
	}
	during := post(w, citra, "during")
	w.Do(dewi, s, thread.Leave{})
	disable(w, citra)
	w.Do(boss, s, thread.Appoint{UserID: "dewi", Members: []string{"ani", "budi", "citra"}})
	if a := w.Access(s, viewer(dewi)); a.Sees(secret.Seq, "") || a.Sees(during.Seq, "") {
		t.Fatal("a former member was appointed as an outsider, and sees what was before")
	}
}

func TestNobodyIsAppointedWhereMembersAreBorrowed(t *testing.T) {
	w := accounts(t, ani, budi)
	w.Do(ani, g, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Persetujuan})
	w.Do(ani, s, thread.Create{ScopeID: in, Privacy: thread.Public, Members: thread.Home})
	disable(w, ani)
	w.Refuse(boss, s, thread.Appoint{UserID: "budi"}, gotong.CodeConflict)
}

// A ban keeps out until it is over or lifted, members and others.
func TestABannedUserCannotJoinOrBeAdded(t *testing.T) {
	w := staffed(t, thread.Public, "")
	until := func(d time.Duration) gotong.Ban { return gotong.Ban{UntilMS: w.Now().Milli() + d.Milliseconds()} }
	w.Refuse(citra, s, thread.Remove{UserID: "dewi", Ban: gotong.Ban{Ever: true}}, gotong.CodeForbidden)
	w.Refuse(budi, s, thread.Remove{UserID: "ani", Ban: gotong.Ban{Ever: true}}, gotong.CodeForbidden)
	w.Refuse(budi, s, thread.Remove{UserID: "citra", Ban: until(-time.Second)}, gotong.CodeInvalid)
	w.Refuse(budi, s, thread.Remove{UserID: "citra", Ban: gotong.Ban{Ever: true, UntilMS: 1}}, gotong.CodeInvalid)
	w.Do(budi, s, thread.Remove{UserID: "citra", Ban: until(time.Hour)})
	if d := docOf(t, w); d.Roster.Members != 2 {
		t.Fatalf("who is banned is counted: %+v", d.Roster)
	}
	w.Refuse(citra, s, thread.Join{}, gotong.CodeForbidden)
	w.Refuse(ani, s, thread.Add{UserID: "citra"}, gotong.CodeConflict)
	w.Idle(citra, s, thread.Leave{})
	w.Idle(budi, s, thread.Remove{UserID: "citra"}) // lifts nothing
	w.Refuse(citra, s, thread.Join{}, gotong.CodeForbidden)
	w.Pass(time.Hour)
	if e := w.Do(citra, s, thread.Join{})[0]; e.Data.(thread.Joined).Now == 0 {
		t.Fatal("a deadline was compared, and the event does not say when")
	}
	if memberOf(w, "citra").Set() {
		t.Fatal("a member is banned")
	}
	w.Do(mod, s, thread.Remove{UserID: "dewi", Ban: gotong.Ban{Ever: true}}) // who never was a member
	w.Idle(mod, s, thread.Remove{UserID: "dewi", Ban: gotong.Ban{Ever: true}})
	w.Pass(1000 * time.Hour)
	w.Refuse(dewi, s, thread.Join{}, gotong.CodeForbidden)
	w.Refuse(citra, s, thread.Unban{UserID: "dewi"}, gotong.CodeForbidden)
	w.Do(budi, s, thread.Unban{UserID: "dewi"})
	w.Idle(budi, s, thread.Unban{UserID: "dewi"})
	if e := w.Do(dewi, s, thread.Join{})[0]; e.Data.(thread.Joined).Now != 0 {
		t.Fatal("no deadline was compared")
	}
	if d := docOf(t, w); d.Roster.Members != 4 {
		t.Fatalf("got %+v", d.Roster)
	}
}

// In a private thread a ban tells nothing to who is kept out.
func TestABanRevealsNoPrivateThread(t *testing.T) {
	w := staffed(t, thread.Private, "")
	w.Do(budi, s, thread.Remove{UserID: "dewi", Ban: gotong.Ban{Ever: true}})
	for _, c := range []any{thread.Join{}, thread.Leave{}, thread.Post{Body: "x"}} {
		w.Refuse(dewi, s, c, gotong.CodeNotFound)
	}
	w.Refuse(ani, s, thread.Add{UserID: "dewi"}, gotong.CodeConflict)
}

// Who is banned from a group does not come into its public threads.
func TestABanFromTheGroupBarsItsPublicThreads(t *testing.T) {
	w := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind())
	w.Do(ani, g, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	w.Do(ani, s, thread.Create{ScopeID: in, Privacy: thread.Public})
	w.Do(ani, g, group.Remove{UserID: "dewi", Ban: gotong.Ban{UntilMS: w.Now().Milli() + 60_000}})
	w.Refuse(dewi, s, thread.Join{}, gotong.CodeForbidden)
	w.Pass(time.Minute)
	if e := w.Do(dewi, s, thread.Join{})[0]; e.Data.(thread.Joined).Now == 0 {
		t.Fatal("a deadline was compared, and the event does not say when")
	}
}
