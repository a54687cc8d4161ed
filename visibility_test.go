package gotong_test

import (
	"slices"
	"testing"

	"gotong.dev/gotong"
	"pgregory.net/rapid"
)

// TestSees compares the decision with a model that is written the other way
// round: it walks the log position by position and keeps who is in.
func TestSees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const last = 30
		roles := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"owner", "admin", "member"}), rapid.ID).Draw(t, "roles")
		in := rapid.SliceOfN(rapid.Bool(), last+1, last+1).Draw(t, "in") // at each position
		readable := rapid.Bool().Draw(t, "readable")
		audience := rapid.SampledFrom([]gotong.Audience{
			"", "user/u1", "user/u2", "user/", "role/owner", "role/admin", "role/member", "role/", "role/u1", "user/admin", "all",
		}).Draw(t, "audience")

		access := gotong.Access{Viewer: gotong.Viewer{UserID: "u1", Role: gotong.RoleUser}, Readable: readable, Roles: roles}
		for at := 1; at <= last; at++ {
			was := at > 1 && in[at-1]
			switch {
			case in[at] && !was:
				access.Visible = append(access.Visible, gotong.Interval{From: uint64(at)})
			case !in[at] && was:
				access.Visible[len(access.Visible)-1].To = uint64(at)
			}
		}
		belongs := audience == "" || audience == "user/u1"
		for _, r := range roles {
			belongs = belongs || string(audience) == "role/"+r
		}
		for at := 1; at <= last; at++ {
			if got, want := access.Sees(uint64(at), audience), readable && belongs && in[at]; got != want {
				t.Fatalf("position %d, audience %q: %v, want %v (%+v)", at, audience, got, want, access)
			}
		}
		if got, want := access.Sees(last+100, audience), readable && belongs && in[last]; got != want {
			t.Fatalf("what comes later: %v, want %v", got, want)
		}
	})
}

// TestSeesAll: it may say no too often, but when it says yes, every event of
// the range is visible to them.
func TestSeesAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := rapid.Custom(func(t *rapid.T) gotong.Interval {
			from := rapid.Uint64Range(0, 20).Draw(t, "from")
			to := rapid.Uint64Range(0, 20).Draw(t, "to")
			return gotong.Interval{From: from, To: to}
		})
		intervals := rapid.SliceOfN(interval, 0, 4).Draw(t, "intervals")
		access := resolved(rapid.Bool().Draw(t, "readable"), intervals)
		from := rapid.Uint64Range(1, 20).Draw(t, "first")
		to := rapid.Uint64Range(from, 22).Draw(t, "last")
		all := true
		for at := from; at <= to; at++ {
			all = all && access.Sees(at, "")
		}
		got := access.SeesAll(from, to)
		if got && !all {
			t.Fatalf("(%d to %d) is not all visible with %+v", from, to, access)
		}
		if !got && all {
			t.Fatalf("(%d to %d) is all visible with %+v", from, to, access)
		}
	})
}

// resolved is the access that spans with these ends give.
func resolved(readable bool, intervals []gotong.Interval) gotong.Access {
	g := gotong.Grant{Readable: readable}
	for _, v := range intervals {
		g.Spans = append(g.Spans, gotong.Span{Stream: "thread/a", From: v.From, To: v.To})
	}
	return gotong.Resolve(gotong.Viewer{}, g, func(_ gotong.Stream, seq uint64) uint64 { return seq })
}

// TestResolveMerges: whatever the spans are, the intervals hold the same seqs,
// in order, and no two of them overlap or touch. Who came and went a thousand
// times while nobody posted has one.
func TestResolveMerges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		end := rapid.Uint64Range(0, 12)
		intervals := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) gotong.Interval {
			return gotong.Interval{From: end.Draw(t, "from"), To: end.Draw(t, "to")}
		}), 0, 6).Draw(t, "intervals")
		access := resolved(true, intervals)
		for seq := uint64(1); seq <= 14; seq++ {
			want := slices.ContainsFunc(intervals, func(v gotong.Interval) bool {
				return v.From <= seq && (v.To == 0 || seq < v.To)
			})
			if access.Sees(seq, "") != want {
				t.Fatalf("%+v sees %d of %+v: %v", access.Visible, seq, intervals, !want)
			}
		}
		for i, v := range access.Visible {
			if v.To != 0 && v.To <= v.From || i > 0 && (access.Visible[i-1].To == 0 || access.Visible[i-1].To >= v.From) {
				t.Fatalf("%+v are not merged", access.Visible)
			}
		}
	})
	var often []gotong.Interval
	for range 1000 {
		often = append(often, gotong.Interval{From: 7, To: 7})
	}
	often = append(often, gotong.Interval{From: 3, To: 7}, gotong.Interval{From: 7})
	if got := resolved(true, often).Visible; !slices.Equal(got, []gotong.Interval{{From: 3}}) {
		t.Errorf("%d intervals are left", len(got))
	}
}

func TestResolve(t *testing.T) {
	positions := map[gotong.Stream][]uint64{"thread/a": {0, 3, 5, 8}, "group/g": {0, 1, 4, 9}}
	position := func(s gotong.Stream, seq uint64) uint64 {
		if at := positions[s]; seq < uint64(len(at)) {
			return at[seq]
		}
		return 0
	}
	viewer := gotong.Viewer{UserID: "u1", Role: gotong.RoleUser}
	for name, tt := range map[string]struct {
		spans []gotong.Span
		want  []gotong.Interval
	}{
		"none":            {nil, nil},
		"everything":      {[]gotong.Span{{Stream: "thread/a"}}, []gotong.Interval{{}}},
		"from a join":     {[]gotong.Span{{Stream: "thread/a", From: 2}}, []gotong.Interval{{From: 5}}},
		"until a removal": {[]gotong.Span{{Stream: "group/g", To: 3}}, []gotong.Interval{{To: 9}}},
		"two stretches": {
			[]gotong.Span{{Stream: "group/g", From: 1, To: 2}, {Stream: "thread/a", From: 3}}, []gotong.Interval{{From: 1, To: 4}, {From: 8}},
		},
		"an end that cannot be found":   {[]gotong.Span{{Stream: "thread/a", From: 1, To: 9}, {Stream: "thread/a", From: 3}}, []gotong.Interval{{From: 8}}},
		"a start that cannot be found":  {[]gotong.Span{{Stream: "none/x", From: 1}}, nil},
		"a stream that cannot be found": {[]gotong.Span{{Stream: "none/x", To: 1}}, nil},
	} {
		g := gotong.Grant{Readable: true, Roles: []string{"owner"}, Spans: tt.spans}
		a := gotong.Resolve(viewer, g, position)
		if a.Viewer != viewer || !a.Readable || !slices.Equal(a.Roles, g.Roles) || !slices.Equal(a.Visible, tt.want) {
			t.Errorf("%s: %+v, want intervals %v", name, a, tt.want)
		}
	}
}
