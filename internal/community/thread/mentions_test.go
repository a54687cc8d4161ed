package thread_test

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
)

// The offsets are of the text as it is stored, in code points.
func TestNamesInATextStandAlone(t *testing.T) {
	for body, want := range map[string]string{
		"@budi": "budi 0-5", "Halo @Budi!": "budi 5-10", "(@budi)": "budi 1-6", "“@budi”": "budi 1-6", "e\u0301🎉 @budi": "budi 4-9",
		"@bu.budi-2_x.": "bu.budi-2_x 0-12", "@budi,@citra": "budi 0-5, citra 6-12", "a\n@budi\tb": "budi 2-7", "@budi--": "budi 0-5",
		"👋@budi": "budi 1-6", "@budi's": "budi 0-5", "**@budi**": "budi 2-7", "@budi..": "budi 0-5", "@a..b": "a 0-2",
		"budi@rt05.example": "", "x.@budi": "", "@@budi": "", "@budi@rt05": "", "@": "", "@.budi": "", "/@budi": "", "é@budi": "",
		"@budі": "", "@budi\u0301": "", "@bud\u200bi": "", "@budi\u200d": "", "\u200b@budi": "", "@budi\u2060": "", "@бudi": "",
		"@budié": "", "@budi-é": "", "@ｂｕｄｉ": "", "@budi１": "", "@budi\ufe0f": "",
		"@" + strings.Repeat("x", 65): "", "@" + strings.Repeat("x", 64): strings.Repeat("x", 64) + " 0-65",
	} {
		var got []string
		for _, m := range thread.Tokens(body) {
			got = append(got, fmt.Sprintf("%s %d-%d", m.Name, m.From, m.To))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%+q: %v, want %s", body, got, want)
		}
	}
	if got := thread.Tokens(strings.Repeat("@budi ", 60)); len(got) != thread.MaxMentions {
		t.Errorf("%d names of 60", len(got))
	}
}

var shapeOfName = regexp.MustCompile(`^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*`)

// FuzzNamesInAText compares the names with those that a slow reading of the text, a
// code point at a time, finds.
func FuzzNamesInAText(f *testing.F) {
	for _, s := range []string{"@budi", "a@b @c.d-é @e", "@@x@y", "\u200b@budi\u0301 @budi", "@a.-b @c\xff@d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		text := []rune(body)
		joins := func(r rune) bool {
			return r != '\n' && r != '\t' && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r) ||
				unicode.In(r, unicode.C, unicode.Other_Default_Ignorable_Code_Point))
		}
		at := func(i int) rune {
			if i < 0 || i >= len(text) {
				return ' '
			}
			return text[i]
		}
		var want []thread.Token
		for i, r := range text {
			name := shapeOfName.FindString(string(text[min(i+1, len(text)):]))
			end := i + 1 + len(name)
			after := at(end)
			if strings.ContainsRune("._-", after) {
				after = at(end + 1)
			}
			before := at(i - 1)
			if r != '@' || name == "" || len(name) > 64 || joins(before) || joins(after) || after == '@' ||
				strings.ContainsRune(`@./\_-+=#%&~^$`, before) {
				continue
			}
			want = append(want, thread.Token{Name: strings.ToLower(name), From: i, To: end})
		}
		want = want[:min(len(want), thread.MaxMentions)]
		if got := thread.Tokens(body); !slices.Equal(got, want) {
			t.Fatalf("%+q: %v, want %v", body, got, want)
		}
	})
}

// namedWorld has the people of [staffed] or [lent] with accounts, and dewi, who is a
// stranger.
func namedWorld(t *testing.T, borrows bool) *world {
	t.Helper()
	w := communitytest.Run(t, thread.Rules{Lenders: gotong.Lenders{group.Kind()}, Claim: user.NameClaim}.Kind(), group.Kind(), user.Kind())
	for _, a := range []gotong.Actor{ani, budi, citra, dewi} {
		w.Do(gotong.Anonymous(), gotong.NewStream(user.Name, a.UserID), user.Register{
			Email: a.UserID + "@rt05.example", Username: "Bu." + a.UserID, CommunityID: "rt05",
		})
	}
	if borrows {
		w.Do(ani, g, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Persetujuan})
		w.Do(ani, g, group.Add{UserID: "budi", Role: group.Moderator})
		w.Do(ani, g, group.Add{UserID: "citra"})
		w.Do(citra, s, thread.Create{ScopeID: in, Privacy: thread.Private, Members: thread.Home})
		return w
	}
	w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	w.Do(ani, s, thread.Add{UserID: "budi", Role: thread.Admin})
	w.Do(budi, s, thread.Add{UserID: "citra"})
	return w
}

func mentionsOf(e gotong.Event) []thread.Mention {
	switch d := e.Data.(type) {
	case thread.Posted:
		return d.Mentions
	case thread.Edited:
		return d.Mentions
	}
	return nil
}

// Roles are those of the lender where the members are borrowed.
func TestATextMentionsActiveMembersAlone(t *testing.T) {
	one := func(m thread.Mention) []thread.Mention { return []thread.Mention{m} }
	citraIs := one(thread.Mention{UserID: "citra", From: 5, To: 14})
	for body, want := range map[string][2][]thread.Mention{
		"Halo @bu.CITRA":       {citraIs, citraIs},
		"Halo @bu-citra":       {}, // looks like it
		"Halo @bu.dewi":        {}, // is no member
		"Halo @bu.eko":         {}, // has no account
		"Halo @citra":          {}, // an id is no name
		"@here":                {one(thread.Mention{Group: "here", To: 5}), one(thread.Mention{Group: "here", To: 5})},
		"@admin":               {one(thread.Mention{Role: "admin", To: 6}), one(thread.Mention{Role: "admin", To: 6})},
		"@Owner":               {one(thread.Mention{Role: "owner", To: 6})},
		"@moderator":           {nil, one(thread.Mention{Role: "moderator", To: 10})},
		"@bu.citra @bu.citra,": {{{UserID: "citra", To: 9}, {UserID: "citra", From: 10, To: 19}}, {{UserID: "citra", To: 9}, {UserID: "citra", From: 10, To: 19}}},
	} {
		for i, borrows := range []bool{false, true} {
			w := namedWorld(t, borrows)
			e := post(w, ani, body)
			if got := mentionsOf(e); !reflect.DeepEqual(got, want[i]) {
				t.Errorf("%q, borrowed %v: %+v, want %+v", body, borrows, got, want[i])
			}
			if got := e.Data.(thread.Posted).Lender; (got == g) != (borrows && len(want[i]) > 0) {
				t.Errorf("%q, borrowed %v: the lender is %q", body, borrows, got)
			}
		}
	}
	w := namedWorld(t, false)
	w.Do(ani, s, thread.Remove{UserID: "citra"})
	if got := mentionsOf(post(w, ani, "Halo @bu.citra")); got != nil {
		t.Errorf("a former member: %+v", got)
	}
	imported := w.Do(ani, s, thread.Post{Body: "Halo @bu.budi @here", Origin: thread.Origin{SentBy: "Pak Joko"}})[0]
	if got := mentionsOf(imported); got != nil {
		t.Errorf("an import: %+v", got)
	}
}

// An edit adds and withdraws; what is not shown mentions nobody.
func TestMentionsAreShownWithTheirText(t *testing.T) {
	w := namedWorld(t, false)
	m := post(w, citra, "Halo @bu.ani")
	shown := func(a gotong.Actor, seq uint64) []thread.Mention {
		t.Helper()
		for _, e := range w.History(s, viewer(a)) {
			if e.Seq == seq {
				return mentionsOf(e)
			}
		}
		return nil
	}
	of := func(id string, from, to int) []thread.Mention {
		return []thread.Mention{{UserID: id, From: from, To: to}}
	}
	check := func(what string, seq uint64, ofAuthor, ofOthers []thread.Mention) {
		t.Helper()
		if got := shown(citra, seq); !reflect.DeepEqual(got, ofAuthor) {
			t.Errorf("%s: the author gets %+v, want %+v", what, got, ofAuthor)
		}
		if got := shown(budi, seq); !reflect.DeepEqual(got, ofOthers) {
			t.Errorf("%s: others get %+v, want %+v", what, got, ofOthers)
		}
	}
	first := w.Do(citra, s, thread.Edit{MessageID: m.ID, Body: "@bu.budi"})[0]
	check("edited", m.Seq, of("budi", 0, 8), of("budi", 0, 8))
	second := w.Do(citra, s, thread.Edit{MessageID: m.ID, Revision: 1, Body: "maaf @bu.ani"})[0]
	check("edited again", m.Seq, of("ani", 5, 12), of("ani", 5, 12))
	check("the replaced edit", first.Seq, nil, nil)
	check("the newest edit", second.Seq, of("ani", 5, 12), of("ani", 5, 12))
	w.Do(budi, s, thread.Review{MessageID: m.ID, Decision: thread.Hold})
	check("held", m.Seq, of("ani", 5, 12), nil)
	check("the held edit", second.Seq, nil, nil)
	w.Do(budi, s, thread.Review{MessageID: m.ID, Decision: thread.Release})
	check("released", m.Seq, of("ani", 5, 12), of("ani", 5, 12))
	w.Do(boss, s, gotong.Erase{Events: []gotong.EventID{second.ID}, Reason: "by order"})
	check("erased", m.Seq, nil, nil)
	check("the erased edit", second.Seq, nil, nil)
	other := post(w, citra, "Halo @here")
	w.Do(citra, s, thread.Delete{MessageID: other.ID})
	check("deleted", other.Seq, nil, nil)
	plain := post(w, citra, "Halo @here")
	w.Do(boss, s, gotong.Erase{Events: []gotong.EventID{plain.ID}, Reason: "by order"})
	check("erased as posted", plain.Seq, nil, nil)
	w.Do(ani, s, thread.SetHistory{Policy: thread.FromJoin})
	w.Do(ani, s, thread.Remove{UserID: "budi"})
	last := post(w, citra, "Halo @bu.ani")
	w.Do(ani, s, thread.Add{UserID: "budi"})
	check("unseen", last.Seq, of("ani", 5, 12), nil)
}

// A text without an @ looks at nothing more than before.
func TestAPlainTextLooksNobodyUp(t *testing.T) {
	needs := thread.Rules{Claim: user.NameClaim}.Kind().Needs
	for body, want := range map[string]int{"Halo": 0, "budi@rt05.example": 0, "@here @admin": 0, "@budi": 1, strings.Repeat("@budi ", 60): 50} {
		claims := 0
		for _, r := range needs(gotong.NewState(s, gotong.Head{}), gotong.Command{Stream: s, Actor: ani, Data: thread.Post{Body: body}}) {
			if r.Claim != (gotong.Claim{}) {
				claims++
			}
		}
		if claims != want {
			t.Errorf("%.20q: %d claims are looked up, want %d", body, claims, want)
		}
	}
}
