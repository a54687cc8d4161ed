package gotong_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
)

// lenders are groups, which are homes, and teams, which are not.
var lenders = gotong.Lenders{
	{Name: "group", Lends: &gotong.Lends{Prefix: "ent-", Roles: map[string]gotong.Standing{"admin": gotong.Leading, "member": gotong.Ordinary}}},
	{Name: "team", Lends: &gotong.Lends{Roles: map[string]gotong.Standing{"crew": gotong.Ordinary}}},
}

func TestOnlyStreamsWithAPrefixAreHomes(t *testing.T) {
	for scope, want := range map[string]gotong.Stream{
		"ent-1": "group/ent-1", "rt05": "scope/rt05", "team-1": "scope/team-1", "ent": "scope/ent",
	} {
		home := lenders.HomeOf(scope)
		if home != want || home.HasMembers() != (want == "group/ent-1") {
			t.Errorf("%s: got %s, with members %v", scope, home, home.HasMembers())
		}
	}
	if gotong.Stream("").HasMembers() {
		t.Error("no home has members")
	}
}

func TestAHomeWithMembersBoundsItsStreams(t *testing.T) {
	const team, group = gotong.Stream("team/1"), gotong.Stream("group/ent-1")
	for _, tc := range []struct {
		home gotong.Stream
		want []gotong.Stream
	}{
		{group, []gotong.Stream{team, group}}, {"scope/rt05", []gotong.Stream{team}}, {"", []gotong.Stream{team}}, {team, []gotong.Stream{team}},
	} {
		if got := gotong.Chain(team, tc.home); !slices.Equal(got, tc.want) {
			t.Errorf("in %q: %v, want %v", tc.home, got, tc.want)
		}
	}
	chain := gotong.Chain(team, group)
	join := func(role string, left bool) gotong.Membership {
		m := gotong.Membership{}.Join(gotong.Event{Seq: 1, At: 1}, role)
		if left {
			m = m.Leave(gotong.Event{Seq: 2, At: 2})
		}
		return m
	}
	for name, tc := range map[string]struct {
		inTeam, inGroup any
		held            string
		inside          bool
	}{
		"both":                {join("crew", false), join("member", false), "crew", true},
		"a role without name": {join("cook", false), join("admin", false), "cook", true},
		"left the group":      {join("crew", false), join("admin", true), "", false},
		"never in the group":  {join("crew", false), nil, "", false},
		"a guest of it":       {join("crew", false), join("guest", false), "", false},
		"left the team":       {join("crew", true), join("member", false), "", true},
		"never in the team":   {nil, join("member", false), "", true},
	} {
		s := gotong.NewState(team, gotong.Head{})
		s.SetDoc(gotong.MemberKey(team, "u1"), tc.inTeam)
		s.SetDoc(gotong.MemberKey(group, "u1"), tc.inGroup)
		if missing := s.Missing(gotong.ChainRefs(chain, "u1")); len(missing) > 0 {
			t.Fatalf("needs %v", missing)
		}
		if held, inside := lenders.Held(s, chain, "u1"), lenders.Inside(s, chain, "u1"); held != tc.held || inside != tc.inside {
			t.Errorf("%s: holds %q, inside %v; want %q, %v", name, held, inside, tc.held, tc.inside)
		}
	}
}

// What is visible lies in a span of the grant and in a span of every list that
// bounds it.
func TestBoundsOfAGrantAreIntersected(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spans := func(label string) []gotong.Span {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) gotong.Span {
				return gotong.Span{Stream: "team/1", From: rapid.Uint64Range(0, 12).Draw(t, "from"), To: rapid.Uint64Range(0, 12).Draw(t, "to")}
			}), 0, 4).Draw(t, label)
		}
		g := gotong.Grant{Readable: true, Spans: spans("spans")}
		for range rapid.IntRange(0, 3).Draw(t, "lists") {
			g.Within = append(g.Within, spans("within"))
		}
		in := func(list []gotong.Span, seq uint64) bool {
			return slices.ContainsFunc(list, func(s gotong.Span) bool { return s.From <= seq && (s.To == 0 || seq < s.To) })
		}
		a := gotong.Resolve(gotong.Viewer{}, g, func(_ gotong.Stream, seq uint64) uint64 { return seq })
		for seq := uint64(1); seq < 14; seq++ {
			want := in(g.Spans, seq)
			for _, list := range g.Within {
				want = want && in(list, seq)
			}
			if a.Sees(seq, "") != want {
				t.Fatalf("%d: %v, want %v; visible %v of %v within %v", seq, !want, want, a.Visible, g.Spans, g.Within)
			}
		}
		for i := range a.Visible {
			if v := a.Visible[i]; i > 0 && a.Visible[i-1].To >= v.From || v.To != 0 && v.To <= v.From {
				t.Fatalf("%v touch, overlap or are empty", a.Visible)
			}
		}
	})
}
