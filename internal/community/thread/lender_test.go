package thread_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/regutest"
	"gotong.dev/gotong/internal/community/thread"
)

const regu = gotong.Stream("regu/regu-1")

// teams is a world in which ani leads a group with budi and citra, and a team in
// it with citra. dewi is in the group, but not in the team.
func teams(t communitytest.T) *world {
	t.Helper()
	w := communitytest.Run(t, thread.Kind(group.Kind(), regutest.Kind(group.Kind())), regutest.Kind(group.Kind()), group.Kind())
	w.Do(ani, g, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
	for _, user := range []string{"budi", "citra", "dewi"} {
		w.Do(ani, g, group.Add{UserID: user})
	}
	w.Do(budi, regu, regutest.Create{ScopeID: in})
	w.Do(budi, regu, regutest.Seat{UserID: "citra", Role: regutest.Crew})
	w.Do(budi, regu, regutest.Seat{UserID: "ani", Role: regutest.Guest})
	return w
}

func TestAThreadBorrowsTheMembersOfAStreamInItsHome(t *testing.T) {
	w := teams(t)
	w.Do(citra, s, thread.Create{ScopeID: in, Lender: regu, Privacy: thread.Private})
	if d := docOf(t, w); d.Home != g || d.Lender != regu || d.Members != thread.Home || w.Head(s).Home != g ||
		len(w.Keys(thread.OfLender, string(regu))) != 1 || len(w.Keys(thread.OfLender, string(g))) != 0 {
		t.Fatalf("got %+v", d)
	}
	roles := func(want map[gotong.Actor]string) {
		t.Helper()
		for actor, role := range want {
			grant, governing := w.Grant(s, viewer(actor))
			if got := append(grant.Roles, "")[0]; got != role || grant.Readable != (role != "") {
				t.Errorf("%s: role %q, want %q", actor.UserID, got, role)
			}
			if !slices.Contains(governing, g) || !slices.Contains(governing, regu) {
				t.Errorf("%s: governed by %v", actor.UserID, governing)
			}
		}
	}
	roles(map[gotong.Actor]string{citra: "owner", budi: "admin", ani: "", dewi: "", boss: ""})
	for _, c := range []any{thread.Post{Body: "x"}, thread.Join{}, thread.Leave{}} {
		w.Refuse(dewi, s, c, gotong.CodeNotFound)
	}
	w.Refuse(citra, s, thread.Add{UserID: "dewi"}, gotong.CodeConflict)
	w.Do(ani, g, group.Remove{UserID: "citra"})
	roles(map[gotong.Actor]string{citra: "", budi: "admin"})
	for _, c := range []any{thread.Post{Body: "x"}, thread.Join{}, thread.Leave{}} { // also to leave: it was never in her power
		w.Refuse(citra, s, c, gotong.CodeNotFound)
	}
	w.Refuse(citra, regu, regutest.Seat{UserID: "citra"}, gotong.CodeNotFound)
	w.Refuse(budi, regu, regutest.Seat{UserID: "boss", Role: regutest.Crew}, gotong.CodeConflict)
}

// TestABroadcastToALenderIsAnOffice: it passes the blocks of its members, so the member who
// created the thread, and owns it, cannot send one.
func TestABroadcastToALenderIsAnOffice(t *testing.T) {
	w := teams(t)
	w.Do(citra, s, thread.Create{ScopeID: in, Privacy: thread.Private, Members: thread.Home})
	w.Refuse(citra, s, thread.Post{Body: "x", Siaga: true}, gotong.CodeForbidden)
	w.Refuse(dewi, s, thread.Post{Body: "x", Siaga: true}, gotong.CodeForbidden)
	w.Do(ani, s, thread.Post{Body: "x", Siaga: true})
	w.Do(ani, g, group.SetRole{UserID: "dewi", Role: group.Moderator})
	w.Do(dewi, s, thread.Post{Body: "x", Siaga: true})
	w.Do(ani, g, group.Add{UserID: "mod"})
	w.Do(mod, s, thread.Post{Body: "x", Siaga: true})
	w.Do(citra, "thread/own", thread.Create{ScopeID: "rt05", Privacy: thread.Private})
	w.Do(citra, "thread/own", thread.Post{Body: "x", Siaga: true})
}

func TestALenderHasTheHomeOfItsBorrower(t *testing.T) {
	w := teams(t)
	w.Do(citra, "group/ent-2", group.Create{Name: "RT 06", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
	w.Do(citra, "regu/regu-2", regutest.Create{ScopeID: "rt05"})
	w.Do(ani, "regu/regu-3", regutest.Create{ScopeID: in})
	for name, tc := range map[string]struct {
		actor gotong.Actor
		c     thread.Create
		code  gotong.Code
		field string
	}{
		"of the group":        {citra, thread.Create{ScopeID: in, Lender: g}, "", ""},
		"of a scope":          {citra, thread.Create{ScopeID: "rt05", Lender: "regu/regu-2"}, "", ""},
		"members named too":   {citra, thread.Create{ScopeID: in, Lender: regu, Members: thread.Home}, "", ""},
		"by the server":       {communitytest.System(), thread.Create{ScopeID: in, Lender: regu}, "", ""},
		"own members":         {citra, thread.Create{ScopeID: in, Lender: regu, Members: thread.Own}, gotong.CodeInvalid, "members"},
		"no stream":           {citra, thread.Create{ScopeID: in, Lender: "regu-1"}, gotong.CodeInvalid, "lender"},
		"only a name":         {citra, thread.Create{ScopeID: "rt05", Lender: "scope/rt05"}, gotong.CodeInvalid, "members"},
		"no lender":           {citra, thread.Create{ScopeID: "rt05", Members: thread.Home}, gotong.CodeInvalid, "members"},
		"another group":       {citra, thread.Create{ScopeID: "ent-2", Lender: regu}, gotong.CodeInvalid, "lender"},
		"a scope, of a group": {citra, thread.Create{ScopeID: "rt05", Lender: regu}, gotong.CodeInvalid, "lender"},
		"a group, of a scope": {citra, thread.Create{ScopeID: in, Lender: "regu/regu-2"}, gotong.CodeInvalid, "lender"},
		"public":              {citra, thread.Create{ScopeID: in, Lender: regu, Privacy: thread.Public}, gotong.CodeInvalid, "privacy_level"},
		"a stranger to it":    {citra, thread.Create{ScopeID: in, Lender: "regu/regu-3"}, gotong.CodeNotFound, ""},
		"a guest of it":       {ani, thread.Create{ScopeID: in, Lender: regu}, gotong.CodeNotFound, ""},
		"one that is not":     {citra, thread.Create{ScopeID: in, Lender: "regu/none"}, gotong.CodeNotFound, ""},
		"a group elsewhere":   {ani, thread.Create{ScopeID: in, Lender: "group/ent-2"}, gotong.CodeNotFound, ""},
		"a user":              {citra, thread.Create{ScopeID: "rt05", Lender: "user/ani"}, gotong.CodeNotFound, ""},
		"of an unknown kind":  {citra, thread.Create{ScopeID: in, Lender: "zzz/1"}, gotong.CodeNotFound, ""},
		"one's own thread":    {citra, thread.Create{ScopeID: in, Lender: "thread/of-citra"}, gotong.CodeNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.c.Privacy == "" {
				tc.c.Privacy = thread.Private
			}
			_, err := w.Try(tc.actor, gotong.NewStream("thread", "x-"+gotong.DeriveID("t", name, "")), tc.c)
			if fields := communitytest.Fields(err); gotong.CodeOf(err) != tc.code || tc.field != "" && !slices.Equal(fields, []string{tc.field}) {
				t.Errorf("got %v, about %v; want %q about %q", err, fields, tc.code, tc.field)
			}
		})
	}
}

// The model writes down, for every event of the thread, who was in the group and
// in the team when it was committed, and what the policy was.
func TestThreadsOfAStreamInAGroupAgreeWithAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := teams(rt)
		policy := rapid.SampledFrom([]thread.Policy{thread.All, thread.FromJoin}).Draw(rt, "history")
		w.Do(budi, s, thread.Create{ScopeID: in, Lender: regu, Privacy: thread.Private, History: policy})
		type moment struct {
			policy  thread.Policy
			members []string
			posts   int
		}
		inGroup := map[string]bool{"citra": true, "dewi": true}
		inTeam := map[string]bool{"citra": true}
		users := []string{"citra", "dewi"}
		now := func() (list []string) {
			return slices.DeleteFunc(slices.Clone(users), func(u string) bool { return !inGroup[u] || !inTeam[u] })
		}
		moments := []moment{{policy, now(), 0}}
		seat := func(*rapid.T) {
			u := rapid.SampledFrom(users).Draw(rt, "user")
			if role := map[bool]string{false: regutest.Crew}[inTeam[u]]; role == "" || inGroup[u] {
				w.Do(budi, regu, regutest.Seat{UserID: u, Role: role})
				inTeam[u] = !inTeam[u]
			}
		}
		member := func(*rapid.T) {
			u := rapid.SampledFrom(users).Draw(rt, "user")
			var c any = group.Add{UserID: u}
			if inGroup[u] {
				c = group.Remove{UserID: u}
			}
			w.Do(ani, g, c)
			inGroup[u] = !inGroup[u]
		}
		rt.Repeat(map[string]func(*rapid.T){
			"team": seat, "group": member,
			"post": func(*rapid.T) {
				moments = append(moments, moment{policy, now(), 1})
				post(w, budi, "Halo")
			},
			"history": func(*rapid.T) {
				policy = map[thread.Policy]thread.Policy{thread.All: thread.FromJoin, thread.FromJoin: thread.All}[policy]
				w.Do(budi, s, thread.SetHistory{Policy: policy})
				moments = append(moments, moment{policy, now(), 0})
			},
			"": func(rt *rapid.T) {
				for _, u := range users {
					posts := 0
					access := w.Access(s, gotong.Viewer{UserID: u, Role: gotong.RoleUser})
					for i, m := range moments {
						want := slices.Contains(now(), u) && (m.policy == thread.All || slices.Contains(m.members, u))
						if got := access.Sees(uint64(i+1), ""); got != want {
							rt.Fatalf("%s sees event %d: %v, want %v; %+v", u, i+1, got, want, access)
						} else if got {
							posts += m.posts
						}
					}
					if got := unread(rt, w, communitytest.User(u), 0); got != posts {
						rt.Fatalf("%s has %d unread messages, want %d", u, got, posts)
					}
				}
			},
		})
	})
}
