package group_test

import (
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
)

const rt05 = gotong.Stream("group/ent-rt05")

var (
	ani   = communitytest.User("ani")
	budi  = communitytest.User("budi")
	citra = communitytest.User("citra")
	dewi  = communitytest.User("dewi")
)

func found(t *testing.T, p group.JoinPolicy) *communitytest.World {
	t.Helper()
	w := communitytest.Run(t, group.Kind())
	w.Do(ani, rt05, group.Create{Name: " RT 05 ", EntityType: group.Kelompok, JoinPolicy: p})
	return w
}

// staffed has ani as admin, budi as moderator, citra as an ordinary member.
func staffed(t *testing.T, p group.JoinPolicy) *communitytest.World {
	t.Helper()
	w := found(t, p)
	w.Do(ani, rt05, group.Add{UserID: "budi", Role: group.Moderator})
	w.Do(budi, rt05, group.Add{UserID: "citra"})
	return w
}

func docOf(t *testing.T, w *communitytest.World) group.Group {
	t.Helper()
	g, ok := w.Doc(group.GroupKey("ent-rt05")).(group.Group)
	if !ok {
		t.Fatal("no group document")
	}
	return g
}

func roleOf(w *communitytest.World, id string) string {
	m, _ := w.Doc(gotong.MemberKey("group/ent-rt05", id)).(gotong.Membership)
	if !m.Active() {
		return ""
	}
	return m.Role
}

func TestTheCreatorIsTheFirstAdmin(t *testing.T) {
	w := found(t, group.Terbuka)
	g := docOf(t, w)
	if g.Name != "RT 05" || g.CreatedBy != "ani" || len(g.Leaders) != 1 || g.Members != 1 || roleOf(w, "ani") != "admin" {
		t.Fatalf("got %+v", g)
	}
	if len(w.Keys(group.OfUser, "ani")) != 1 || len(w.Keys(group.Directory, group.DirectoryOwner)) != 1 {
		t.Fatal("not listed")
	}
	if w.Head(rt05).Home != rt05 {
		t.Fatal("a group is its own home")
	}
	w.Refuse(budi, rt05, group.Create{Name: "x", EntityType: group.Lembaga, JoinPolicy: group.Terbuka}, gotong.CodeConflict)
	w.Refuse(gotong.Anonymous(), "group/ent-2",
		group.Create{Name: "x", EntityType: group.Lembaga, JoinPolicy: group.Terbuka}, gotong.CodeUnauthorized)
	for _, c := range []any{group.Join{}, group.Leave{}, group.Add{UserID: "ani"}} {
		w.Refuse(ani, "group/ent-none", c, gotong.CodeNotFound)
	}
}

func TestACommandWithABadFieldIsRejected(t *testing.T) {
	long, policy := strings.Repeat("é", 129), group.JoinPolicy("tertutup")
	ok := group.Create{Name: "x", EntityType: group.Lembaga, JoinPolicy: group.Undangan}
	for name, tc := range map[string]struct {
		cmd    any
		fields []string
	}{
		"fine":            {ok, nil},
		"longest name":    {group.Create{Name: long[:256], EntityType: "lembaga", JoinPolicy: "terbuka"}, nil},
		"no name":         {group.Create{Name: " ", EntityType: "lembaga", JoinPolicy: "terbuka"}, []string{"name"}},
		"unseen name":     {group.Create{Name: "\u200b", EntityType: "lembaga", JoinPolicy: "terbuka"}, []string{"name"}},
		"two lines":       {group.Create{Name: "a\nb", EntityType: "lembaga", JoinPolicy: "terbuka"}, []string{"name"}},
		"all wrong":       {group.Create{Name: long, Description: strings.Repeat("x", 2001)}, []string{"name", "description", "entity_type", "join_policy"}},
		"nothing updated": {group.Update{}, []string{"name"}},
		"bad policy":      {group.Update{JoinPolicy: &policy}, []string{"join_policy"}},
		"bad user":        {group.Add{UserID: "a b"}, []string{"user_id"}},
		"bad role":        {group.Add{UserID: "a", Role: "owner"}, []string{"role"}},
		"no role":         {group.SetRole{UserID: "a"}, []string{"role"}},
		"nobody removed":  {group.Remove{}, []string{"user_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := gotong.Validate(tc.cmd)
			if got := communitytest.Fields(err); !slices.Equal(got, tc.fields) || (err == nil) != (tc.fields == nil) {
				t.Fatalf("got %v (%v), want %v", got, err, tc.fields)
			}
		})
	}
}

func TestOnlyOpenGroupsCanBeJoined(t *testing.T) {
	for policy, code := range map[group.JoinPolicy]gotong.Code{
		group.Terbuka: "", group.Persetujuan: gotong.CodeForbidden, group.Undangan: gotong.CodeNotFound,
	} {
		t.Run(string(policy), func(t *testing.T) {
			w := found(t, policy)
			w.Refuse(dewi, rt05, group.Join{}, code)
			if code != "" {
				return
			}
			w.Idle(dewi, rt05, group.Join{})
			if roleOf(w, "dewi") != "anggota" || docOf(t, w).Members != 2 || len(w.Keys(group.OfUser, "dewi")) != 1 {
				t.Fatal("not a member")
			}
		})
	}
}

func TestLeavingEndsTheMembership(t *testing.T) {
	w := staffed(t, group.Terbuka)
	w.Refuse(ani, rt05, group.Leave{}, gotong.CodeConflict)
	w.Do(citra, rt05, group.Leave{})
	w.Idle(citra, rt05, group.Leave{})
	w.Idle(dewi, rt05, group.Leave{})
	if len(w.Keys(group.OfUser, "citra")) != 0 {
		t.Fatal("still listed")
	}
	w.Do(ani, rt05, group.SetRole{UserID: "budi", Role: group.Admin})
	w.Do(ani, rt05, group.Leave{})
	w.Do(budi, rt05, group.Leave{}) // alone, the last admin may
	if g := docOf(t, w); len(g.Leaders) != 0 || g.Members != 0 {
		t.Fatalf("got %+v", g.Roster)
	}
}

func TestLeavingRevealsNoInvitationGroup(t *testing.T) {
	w := staffed(t, group.Undangan)
	w.Refuse(dewi, rt05, group.Leave{}, gotong.CodeNotFound)
	w.Do(citra, rt05, group.Leave{})
	w.Idle(citra, rt05, group.Leave{})
	for _, c := range []any{
		group.Join{}, group.Add{UserID: "dewi"}, group.Remove{UserID: "ani"}, group.SetRole{UserID: "ani", Role: group.Anggota},
	} {
		w.Refuse(citra, rt05, c, gotong.CodeNotFound)
	}
}

func TestOnlyAdminsAndModeratorsAddMembers(t *testing.T) {
	for _, policy := range []group.JoinPolicy{group.Terbuka, group.Persetujuan, group.Undangan} {
		w := staffed(t, policy)
		w.Refuse(citra, rt05, group.Add{UserID: "dewi"}, gotong.CodeForbidden)
		w.Refuse(budi, rt05, group.Add{UserID: "dewi", Role: group.Moderator}, gotong.CodeForbidden)
		w.Idle(budi, rt05, group.Add{UserID: "citra"})
		w.Idle(budi, rt05, group.Add{UserID: "ani"})
		w.Refuse(ani, rt05, group.Add{UserID: "citra", Role: group.Admin}, gotong.CodeConflict)
		w.Do(ani, rt05, group.Add{UserID: "dewi", Role: group.Admin})
		if g := docOf(t, w); len(g.Leaders) != 2 || g.Members != 4 {
			t.Fatalf("got %+v", g.Roster)
		}
	}
}

func TestAdminsAndModeratorsRemoveMembers(t *testing.T) {
	w := staffed(t, group.Terbuka)
	w.Refuse(citra, rt05, group.Remove{UserID: "budi"}, gotong.CodeForbidden)
	w.Refuse(budi, rt05, group.Remove{UserID: "ani"}, gotong.CodeForbidden)
	w.Refuse(ani, rt05, group.Remove{UserID: "ani"}, gotong.CodeConflict)
	w.Idle(budi, rt05, group.Remove{UserID: "nobody"})
	w.Do(budi, rt05, group.Remove{UserID: "citra"})
	w.Idle(budi, rt05, group.Remove{UserID: "citra"})
	w.Do(ani, rt05, group.Add{UserID: "dewi", Role: group.Admin})
	w.Do(dewi, rt05, group.Remove{UserID: "ani"})
	w.Refuse(ani, rt05, group.Remove{UserID: "dewi"}, gotong.CodeForbidden)
	if g := docOf(t, w); len(g.Leaders) != 1 || g.Members != 2 {
		t.Fatalf("got %+v", g.Roster)
	}
}

func TestOnlyAdminsChangeRoles(t *testing.T) {
	w := staffed(t, group.Terbuka)
	w.Refuse(budi, rt05, group.SetRole{UserID: "citra", Role: group.Moderator}, gotong.CodeForbidden)
	w.Refuse(ani, rt05, group.SetRole{UserID: "dewi", Role: group.Moderator}, gotong.CodeNotFound)
	w.Refuse(ani, rt05, group.SetRole{UserID: "ani", Role: group.Anggota}, gotong.CodeConflict)
	w.Idle(ani, rt05, group.SetRole{UserID: "ani", Role: group.Admin})
	w.Do(ani, rt05, group.SetRole{UserID: "citra", Role: group.Admin})
	w.Do(citra, rt05, group.SetRole{UserID: "ani", Role: group.Anggota})
	if g := docOf(t, w); len(g.Leaders) != 1 || roleOf(w, "ani") != "anggota" {
		t.Fatalf("got %+v", g.Roster)
	}
}

func TestOnlyAdminsUpdateAGroup(t *testing.T) {
	w := staffed(t, group.Terbuka)
	name, same, policy := "RT 05 Kauman", " RT 05 ", group.Undangan
	w.Refuse(budi, rt05, group.Update{Name: &name}, gotong.CodeForbidden)
	w.Idle(ani, rt05, group.Update{Name: &same})
	events := w.Do(ani, rt05, group.Update{Name: &name, JoinPolicy: &policy})
	if want := (group.Updated{JoinPolicy: policy, Renamed: true}); events[0].Data != want {
		t.Fatalf("got %+v", events[0].Data)
	}
	if g := docOf(t, w); g.Name != name || g.JoinPolicy != policy {
		t.Fatalf("got %+v", g)
	}
	if len(w.Keys(group.Directory, group.DirectoryOwner)) != 0 {
		t.Fatal("a group by invitation only is listed")
	}
	policy = group.Persetujuan
	w.Do(ani, rt05, group.Update{JoinPolicy: &policy})
	if len(w.Keys(group.Directory, group.DirectoryOwner)) != 1 || docOf(t, w).Name != name {
		t.Fatal("not listed again, or the name is gone")
	}
}

func TestOnlyMembersReadAGroup(t *testing.T) {
	w := staffed(t, group.Persetujuan)
	last := w.Position(rt05, w.Head(rt05).Seq)
	for id, want := range map[string]bool{"ani": true, "citra": true, "dewi": false} {
		a := w.Access(rt05, gotong.Viewer{UserID: id, Role: gotong.RoleUser})
		if a.Sees(1, "") != want || a.Sees(last, "") != want || a.Sees(last, gotong.ForRole("admin")) != (id == "ani") {
			t.Errorf("%s: %+v", id, a)
		}
	}
	g, none := docOf(t, w), gotong.Membership{}
	if !group.MayKnow(g, none) || group.MayListMembers(g, none) {
		t.Error("of such a group all know, but not its members")
	}
	if g.JoinPolicy = group.Undangan; group.MayKnow(g, none) {
		t.Error("a group by invitation only is known to a stranger")
	}
}

func TestAMembershipKeepsTheLast64Stretches(t *testing.T) {
	w := found(t, group.Terbuka)
	for range gotong.MaxStretches + 3 {
		w.Do(budi, rt05, group.Join{})
		w.Do(budi, rt05, group.Leave{})
	}
	m, _ := w.Doc(gotong.MemberKey("group/ent-rt05", "budi")).(gotong.Membership)
	if n := len(m.Stretches); n != gotong.MaxStretches || m.Stretches[n-1].To != w.Head(rt05).Seq {
		t.Fatalf("%d stretches, the last %+v", n, m.Stretches[n-1])
	}
}
