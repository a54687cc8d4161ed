package thread_test

import (
	"reflect"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

const (
	s  = gotong.Stream("thread/t")
	g  = gotong.Stream("group/ent-g")
	in = "ent-g"
)

var (
	ani   = communitytest.User("ani")  // owner
	budi  = communitytest.User("budi") // admin
	citra = communitytest.User("citra")
	dewi  = communitytest.User("dewi") // a stranger
	mod   = communitytest.Moderator("mod")
	boss  = communitytest.Admin("boss")
)

type world = communitytest.World

func viewer(a gotong.Actor) gotong.Viewer { return gotong.Viewer(a) }

// staffed has ani as owner, budi as admin, citra as an ordinary member.
func staffed(t communitytest.T, p thread.Privacy, h thread.Policy) *world {
	t.Helper()
	w := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind())
	w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: p, History: h})
	w.Do(ani, s, thread.Add{UserID: "budi", Role: thread.Admin})
	w.Do(budi, s, thread.Add{UserID: "citra"})
	return w
}

// lent is a thread that borrows the members of a group: ani is the group's
// admin, budi its moderator, citra an ordinary member; citra made the thread.
func lent(t communitytest.T, p thread.Privacy, h thread.Policy) *world {
	t.Helper()
	w := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind())
	w.Do(ani, g, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Persetujuan})
	w.Do(ani, g, group.Add{UserID: "budi", Role: group.Moderator})
	w.Do(ani, g, group.Add{UserID: "citra"})
	w.Do(citra, s, thread.Create{ScopeID: in, Privacy: p, History: h, Members: thread.Home})
	return w
}

func docOf(t communitytest.T, w *world) thread.Thread {
	t.Helper()
	d, ok := w.Doc(thread.ThreadKey("t")).(thread.Thread)
	if !ok {
		t.Fatalf("no thread document")
	}
	return d
}

func memberOf(w *world, id string) thread.Member {
	m, _ := w.Doc(thread.MemberKey("t", id)).(thread.Member)
	return m
}

func post(w *world, a gotong.Actor, body string) gotong.Event {
	return w.Do(a, s, thread.Post{Body: body})[0]
}

func TestTheCreatorIsTheOwner(t *testing.T) {
	w := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind())
	w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	d := docOf(t, w)
	if d.Home != "scope/rt05" || w.Head(s).Home != d.Home || d.Members != thread.Own || d.Policy() != thread.All ||
		d.CreatedBy != "ani" || len(d.Leaders) != 1 || d.Roster.Members != 1 || memberOf(w, "ani").Role != "owner" {
		t.Fatalf("got %+v", d)
	}
	if len(w.Keys(thread.OfUser, "ani")) != 1 || len(w.Keys(thread.OfScope, "rt05")) != 1 {
		t.Fatal("not listed")
	}
	w.Refuse(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Public}, gotong.CodeConflict)
	w.Refuse(gotong.Anonymous(), "thread/2", thread.Create{ScopeID: "rt05", Privacy: thread.Public}, gotong.CodeUnauthorized)
	for _, c := range []any{thread.Join{}, thread.Leave{}, thread.Post{Body: "x"}} {
		w.Refuse(ani, "thread/none", c, gotong.CodeNotFound)
	}
	w.Do(ani, "thread/2", thread.Create{ScopeID: "rt05", Privacy: thread.Private})
	if len(w.Keys(thread.OfScope, "rt05")) != 1 || len(w.Keys(thread.OfUser, "ani")) != 2 {
		t.Fatal("a private thread is listed for its members only")
	}
}

func TestOnlyMembersOfAGroupCreateThreadsInIt(t *testing.T) {
	w := lent(t, thread.Private, "")
	if w.Head(s).Home != g || len(w.Keys(thread.OfLender, string(g))) != 1 || len(w.Keys(thread.OfUser, "citra")) != 0 {
		t.Fatal("not in the group")
	}
	for _, members := range []thread.Source{thread.Own, thread.Home} {
		create := thread.Create{ScopeID: in, Privacy: thread.Public, Members: members}
		w.Refuse(dewi, "thread/3", create, gotong.CodeNotFound)
		w.Refuse(boss, "thread/3", create, gotong.CodeNotFound)
		create.ScopeID = "ent-none"
		w.Refuse(ani, "thread/3", create, gotong.CodeNotFound)
	}
	w.Refuse(ani, "thread/3", thread.Create{ScopeID: "rt05", Privacy: thread.Public, Members: thread.Home}, gotong.CodeInvalid)
	w.Do(budi, "thread/4", thread.Create{ScopeID: in, Privacy: thread.Public, Members: thread.Own})
	w.Do(ani, g, group.Remove{UserID: "citra"})
	w.Refuse(citra, "thread/5", thread.Create{ScopeID: in, Privacy: thread.Public}, gotong.CodeNotFound)
}

func TestOnlyPublicThreadsCanBeJoined(t *testing.T) {
	w := staffed(t, thread.Public, "")
	w.Do(dewi, s, thread.Join{})
	w.Idle(dewi, s, thread.Join{})
	w.Idle(ani, s, thread.Join{})
	w.Do(dewi, s, thread.Leave{})
	w.Do(dewi, s, thread.Join{})
	m := memberOf(w, "dewi")
	if len(m.Stretches) != 2 || !m.Active() || m.JoinedAt != w.Head(s).At || docOf(t, w).Roster.Members != 4 {
		t.Fatalf("got %+v", m)
	}
	w = staffed(t, thread.Private, "")
	w.Refuse(dewi, s, thread.Join{}, gotong.CodeNotFound)
	w.Idle(citra, s, thread.Join{})
}

func TestLeavingEndsTheMembership(t *testing.T) {
	w := staffed(t, thread.Public, "")
	w.Refuse(ani, s, thread.Leave{}, gotong.CodeConflict)
	w.Do(citra, s, thread.Leave{})
	w.Idle(citra, s, thread.Leave{})
	w.Idle(dewi, s, thread.Leave{})
	w.Do(ani, s, thread.SetRole{UserID: "budi", Role: thread.Owner}) // hands over
	w.Do(ani, s, thread.Leave{})
	w.Do(budi, s, thread.Leave{}) // alone
	if d := docOf(t, w); len(d.Leaders) != 0 || d.Roster.Members != 0 || len(w.Keys(thread.OfUser, "ani")) != 0 {
		t.Fatalf("got %+v", d.Roster)
	}
}

// A private thread answers all who are not members as one that never existed,
// but a repeated leave of somebody who was one is quiet.
func TestAPrivateThreadDoesNotExistForStrangers(t *testing.T) {
	w := staffed(t, thread.Private, "")
	m := post(w, citra, "Halo")
	w.Do(citra, s, thread.Leave{})
	w.Idle(citra, s, thread.Leave{})
	for _, a := range []gotong.Actor{citra, dewi, mod, boss} {
		if a != citra {
			w.Refuse(a, s, thread.Leave{}, gotong.CodeNotFound)
		}
		for _, c := range []any{
			thread.Join{}, thread.Add{UserID: a.UserID}, thread.Remove{UserID: "ani"}, thread.Mute{UserID: "ani"},
			thread.SetRole{UserID: "ani", Role: thread.MemberRole}, thread.SetHistory{Policy: thread.All},
			thread.Post{Body: "x"}, thread.Edit{MessageID: m.ID, Body: "x"}, thread.Delete{MessageID: m.ID},
			thread.React{MessageID: m.ID, Emoji: "👍", On: true},
		} {
			w.Refuse(a, s, c, gotong.CodeNotFound)
		}
	}
	w.Do(ani, s, thread.Add{UserID: "mod"})
	w.Do(mod, s, thread.Delete{MessageID: m.ID}) // a member now, and a moderator
}

func TestOnlyOwnersAndAdminsAddMembers(t *testing.T) {
	w := staffed(t, thread.Public, "")
	w.Refuse(citra, s, thread.Add{UserID: "dewi"}, gotong.CodeForbidden)
	w.Refuse(dewi, s, thread.Add{UserID: "dewi"}, gotong.CodeForbidden)
	w.Refuse(mod, s, thread.Add{UserID: "mod"}, gotong.CodeForbidden)
	w.Refuse(budi, s, thread.Add{UserID: "dewi", Role: thread.Admin}, gotong.CodeForbidden)
	w.Idle(budi, s, thread.Add{UserID: "citra"})
	w.Idle(budi, s, thread.Add{UserID: "ani"})
	w.Refuse(ani, s, thread.Add{UserID: "citra", Role: thread.Admin}, gotong.CodeConflict)
	w.Do(ani, s, thread.Add{UserID: "dewi", Role: thread.Owner})
	if d := docOf(t, w); len(d.Leaders) != 2 || d.Roster.Members != 4 {
		t.Fatalf("got %+v", d.Roster)
	}
}

func TestNobodyRemovesAHigherRole(t *testing.T) {
	w := staffed(t, thread.Public, "")
	w.Refuse(citra, s, thread.Remove{UserID: "budi"}, gotong.CodeForbidden)
	w.Refuse(dewi, s, thread.Remove{UserID: "citra"}, gotong.CodeForbidden)
	w.Refuse(budi, s, thread.Remove{UserID: "ani"}, gotong.CodeForbidden)
	w.Refuse(mod, s, thread.Remove{UserID: "ani"}, gotong.CodeForbidden)
	w.Refuse(boss, s, thread.Remove{UserID: "ani"}, gotong.CodeConflict)
	w.Refuse(ani, s, thread.Remove{UserID: "ani"}, gotong.CodeConflict)
	w.Idle(budi, s, thread.Remove{UserID: "dewi"})
	w.Do(mod, s, thread.Remove{UserID: "citra"})
	w.Idle(mod, s, thread.Remove{UserID: "citra"})
	w.Do(ani, s, thread.SetRole{UserID: "budi", Role: thread.Owner})
	w.Do(boss, s, thread.Remove{UserID: "ani"})
	if d := docOf(t, w); len(d.Leaders) != 1 || d.Roster.Members != 1 {
		t.Fatalf("got %+v", d.Roster)
	}
}

func TestOnlyOwnersChangeRoles(t *testing.T) {
	w := staffed(t, thread.Public, "")
	w.Refuse(budi, s, thread.SetRole{UserID: "citra", Role: thread.Admin}, gotong.CodeForbidden)
	w.Refuse(boss, s, thread.SetRole{UserID: "citra", Role: thread.Admin}, gotong.CodeForbidden)
	w.Refuse(ani, s, thread.SetRole{UserID: "dewi", Role: thread.Admin}, gotong.CodeNotFound)
	w.Refuse(ani, s, thread.SetRole{UserID: "ani", Role: thread.MemberRole}, gotong.CodeConflict)
	w.Idle(ani, s, thread.SetRole{UserID: "citra", Role: thread.MemberRole})
	w.Do(ani, s, thread.SetRole{UserID: "citra", Role: thread.Owner})
	w.Do(ani, s, thread.SetRole{UserID: "ani", Role: thread.MemberRole})
	if d := docOf(t, w); len(d.Leaders) != 1 || memberOf(w, "ani").Role != "member" || len(memberOf(w, "ani").Stretches) != 1 {
		t.Fatalf("got %+v", d.Roster)
	}
}

func TestAMutedMemberReadsButDoesNotSend(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, citra, "Halo")
	until := w.Now().Milli() + 60_000
	w.Refuse(citra, s, thread.Mute{UserID: "budi", UntilMS: until}, gotong.CodeForbidden)
	w.Refuse(budi, s, thread.Mute{UserID: "ani", UntilMS: until}, gotong.CodeForbidden)
	w.Refuse(budi, s, thread.Mute{UserID: "dewi", UntilMS: until}, gotong.CodeNotFound)
	w.Refuse(budi, s, thread.Mute{UserID: "citra", UntilMS: w.Now().Milli() - 1}, gotong.CodeInvalid)
	w.Idle(budi, s, thread.Mute{UserID: "citra"})
	w.Do(mod, s, thread.Mute{UserID: "citra", UntilMS: until})
	w.Idle(budi, s, thread.Mute{UserID: "citra", UntilMS: until})
	silent := func() {
		t.Helper()
		w.Refuse(citra, s, thread.Post{Body: "x"}, gotong.CodeForbidden)
		w.Refuse(citra, s, thread.Edit{MessageID: m.ID, Body: "x"}, gotong.CodeForbidden)
		w.Refuse(citra, s, thread.React{MessageID: m.ID, Emoji: "👍", On: true}, gotong.CodeForbidden)
	}
	silent()
	if len(w.History(s, viewer(citra))) == 0 {
		t.Fatal("who is muted may read")
	}
	w.Do(citra, s, thread.Leave{})
	w.Do(citra, s, thread.Join{})
	silent() // coming again does not lift a mute
	w.Pass(time.Minute)
	post(w, citra, "time has passed")
	w.Do(budi, s, thread.Mute{UserID: "citra", UntilMS: until + 600_000})
	w.Do(citra, s, thread.Delete{MessageID: m.ID}) // taking back is not sending
	w.Do(budi, s, thread.Mute{UserID: "citra"})
	post(w, citra, "unmuted")
}

func TestOnlyOwnersAndAdminsChangeTheHistoryPolicy(t *testing.T) {
	w := staffed(t, thread.Public, thread.FromJoin)
	w.Refuse(citra, s, thread.SetHistory{Policy: thread.All}, gotong.CodeForbidden)
	w.Refuse(dewi, s, thread.SetHistory{Policy: thread.All}, gotong.CodeForbidden)
	w.Refuse(mod, s, thread.SetHistory{Policy: thread.All}, gotong.CodeForbidden)
	w.Idle(budi, s, thread.SetHistory{Policy: thread.FromJoin})
	for i := range thread.MaxPolicyChanges {
		w.Do(budi, s, thread.SetHistory{Policy: []thread.Policy{thread.All, thread.FromJoin}[i%2]})
	}
	w.Refuse(budi, s, thread.SetHistory{Policy: thread.All}, gotong.CodeConflict)
}

func TestBorrowedMembersFollowTheGroup(t *testing.T) {
	for _, p := range []thread.Privacy{thread.Public, thread.Private} {
		t.Run(string(p), func(t *testing.T) { borrowed(t, lent(t, p, ""), p) })
	}
}

func borrowed(t *testing.T, w *world, p thread.Privacy) {
	t.Helper()
	until := w.Now().Milli() + 60_000
	stranger := gotong.CodeNotFound
	if p == thread.Public {
		stranger = gotong.CodeForbidden
	}
	post(w, ani, "Halo")
	w.Refuse(dewi, s, thread.Post{Body: "x"}, stranger)
	w.Idle(citra, s, thread.Join{})
	for _, c := range []any{
		thread.Leave{}, thread.Add{UserID: "dewi"}, thread.Remove{UserID: "budi"},
		thread.SetRole{UserID: "budi", Role: thread.MemberRole},
	} {
		w.Refuse(citra, s, c, gotong.CodeConflict)
	}
	if p == thread.Public {
		w.Refuse(dewi, s, thread.Join{}, gotong.CodeConflict)
		w.Idle(dewi, s, thread.Leave{})
	}
	w.Refuse(ani, s, thread.SetRole{UserID: "budi", Role: thread.MemberRole}, gotong.CodeForbidden)
	// citra owns the thread, ani and budi are its admins.
	w.Refuse(budi, s, thread.Mute{UserID: "citra", UntilMS: until}, gotong.CodeForbidden)
	w.Do(citra, s, thread.Mute{UserID: "budi", UntilMS: until})
	w.Refuse(budi, s, thread.Post{Body: "x"}, gotong.CodeForbidden)
	w.Do(ani, s, thread.Mute{UserID: "budi"})
	if w.Doc(thread.MemberKey("t", "budi")) != nil {
		t.Fatal("a row is left of who is not muted")
	}
	w.Do(ani, g, group.Remove{UserID: "citra"})
	w.Refuse(citra, s, thread.Post{Body: "x"}, stranger)
	w.Do(ani, g, group.Add{UserID: "citra"})
	w.Do(citra, s, thread.SetHistory{Policy: thread.FromJoin}) // owns it again
}

func TestAnImportKeepsTheOriginalTimeAndName(t *testing.T) {
	w := staffed(t, thread.Public, "")
	user := thread.ImportedPrefix + gotong.DeriveID("import", "file", "nick")
	when := thread.Origin{SentAtMS: 1_600_000_000_000, SentBy: " nick "}
	added := w.Do(budi, s, thread.Add{UserID: user, Origin: when})[0]
	if added.Content != (thread.SentBy{SentBy: "nick"}) || added.Data.(thread.Added).SentAtMS != when.SentAtMS {
		t.Fatalf("got %+v %+v", added.Data, added.Content)
	}
	posted := w.Do(budi, s, thread.Post{Body: "from elsewhere", Origin: when})[0]
	if !reflect.DeepEqual(posted.Content, thread.Text{Body: "from elsewhere", SentBy: "nick"}) {
		t.Fatalf("got %+v", posted.Content)
	}
	w.Refuse(citra, s, thread.Post{Body: "x", Origin: when}, gotong.CodeForbidden)
	w.Refuse(mod, s, thread.Remove{UserID: user, Origin: when}, gotong.CodeForbidden)
	w.Refuse(ani, s, thread.SetRole{UserID: user, Role: thread.Owner}, gotong.CodeInvalid)
	w.Do(budi, s, thread.Remove{UserID: user, Origin: when})
	w.Do(budi, s, thread.Add{UserID: user, Origin: when})
	if d := docOf(t, w); d.Roster.Members != 3 {
		t.Fatalf("imported members are counted: %+v", d.Roster)
	}
	w.Do(ani, s, thread.Remove{UserID: "budi"})
	w.Do(ani, s, thread.Remove{UserID: "citra"})
	w.Do(ani, s, thread.Leave{}) // nobody could take over
}

// A thread's own key of a member is the one under which other kinds look.
func TestMemberKeyIsThatOfAllKinds(t *testing.T) {
	if got, want := thread.MemberKey("t", "ani"), gotong.MemberKey("thread/t", "ani"); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
