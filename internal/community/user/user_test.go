package user_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/user"
)

const s = gotong.Stream("user/u1")

var (
	self = communitytest.User("u1")
	boss = communitytest.Admin("boss")
	mod  = communitytest.Moderator("mod")
	siti = user.Register{Email: " Siti@Example.ORG ", Username: "Siti", CommunityID: "rt05"}
)

func registered(t *testing.T) *communitytest.World {
	t.Helper()
	w := communitytest.Run(t, user.Kind())
	w.Do(gotong.Anonymous(), s, siti)
	return w
}

func docOf(w *communitytest.World) user.User { u, _ := w.Doc(user.UserKey("u1")).(user.User); return u }

func TestRegisterCreatesAnAccountAndClaimsItsNames(t *testing.T) {
	w := registered(t)
	want := user.User{Role: gotong.RoleUser, Enabled: true, CommunityID: "rt05", CreatedAt: w.Head(s).At, Standing: 1}
	if got := docOf(w); got != want || w.Head(s).Home != s {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	w.Refuse(gotong.Anonymous(), s, user.Register{Email: "x@y", Username: "other", CommunityID: "rt05"}, gotong.CodeConflict)
	w.Refuse(gotong.Anonymous(), "user/u2", user.Register{Email: "other@example.org", Username: "sITI ", CommunityID: "rt05"}, gotong.CodeExists)
	w.Do(gotong.Anonymous(), "user/u2", user.Register{Email: "o@example.org", Username: "other", CommunityID: "rt05"})
}

// A name that looks like one that is taken is taken.
func TestNamesThatLookAlikeAreOneName(t *testing.T) {
	w := communitytest.Run(t, user.Kind())
	for i, name := range []string{"Paul", "bu.wati", "rt05", "all", "sitir"} {
		w.Do(gotong.Anonymous(), gotong.Stream(fmt.Sprint("user/u", i)), user.Register{
			Email: fmt.Sprint("u", i, "@example.org"), Username: name, CommunityID: "rt05",
		})
	}
	for i, tc := range []struct {
		name string
		free bool
	}{
		{"PauI", false}, {"Pau1", false}, {"pAUL", false}, {"bu_wati", false}, {"Bu-Wati", false}, {"rtO5", false}, {"AI1", false},
		{"Pauli", true}, {"buwati", true}, {"rt06", true}, {"rt15", true}, {"ali", true}, {"siti.r", true},
	} {
		stream, cmd := gotong.Stream(fmt.Sprint("user/x", i)), user.Register{
			Email: fmt.Sprint("x", i, "@example.org"), Username: tc.name, CommunityID: "rt05",
		}
		if tc.free {
			w.Do(gotong.Anonymous(), stream, cmd)
		} else {
			w.Refuse(gotong.Anonymous(), stream, cmd, gotong.CodeExists)
		}
	}
}

// Neither the address nor the name is in the log or in a document.
func TestNamesAreInNoEventAndNoDocument(t *testing.T) {
	w := registered(t)
	for _, v := range []any{w.Event(s, 1), docOf(w)} {
		b, err := json.Marshal(v)
		if err != nil || bytes.Contains(bytes.ToLower(b), []byte("siti")) || bytes.Contains(b, []byte("xample")) {
			t.Fatalf("%s %v", b, err)
		}
	}
}

func TestRegisterWithABadFieldIsRejected(t *testing.T) {
	for name, tc := range map[string]struct {
		cmd   user.Register
		field string
	}{
		"fine":            {siti, ""},
		"signs between":   {user.Register{Email: "é@ü", Username: "Nandu_1.x-y", CommunityID: "rt05"}, ""},
		"only digits":     {user.Register{Email: "a@b", Username: "123", CommunityID: "rt05"}, ""},
		"Cyrillic a":      {user.Register{Email: "a@b", Username: "p\u0430ul", CommunityID: "rt05"}, "username"},
		"all Cyrillic":    {user.Register{Email: "a@b", Username: "\u0441\u043e\u0440", CommunityID: "rt05"}, "username"},
		"composed mark":   {user.Register{Email: "a@b", Username: "Jos\u00e9", CommunityID: "rt05"}, "username"},
		"combining mark":  {user.Register{Email: "a@b", Username: "Jose\u0301", CommunityID: "rt05"}, "username"},
		"dotless i":       {user.Register{Email: "a@b", Username: "s\u0131ti", CommunityID: "rt05"}, "username"},
		"full width":      {user.Register{Email: "a@b", Username: "\uff53\uff49\uff54\uff49", CommunityID: "rt05"}, "username"},
		"ligature":        {user.Register{Email: "a@b", Username: "arie\ufb01", CommunityID: "rt05"}, "username"},
		"Arabic digits":   {user.Register{Email: "a@b", Username: "rt\u0660\u0661", CommunityID: "rt05"}, "username"},
		"right to left":   {user.Register{Email: "a@b", Username: "si\u202eti", CommunityID: "rt05"}, "username"},
		"dot at the end":  {user.Register{Email: "a@b", Username: "siti.", CommunityID: "rt05"}, "username"},
		"sign at first":   {user.Register{Email: "a@b", Username: "_siti", CommunityID: "rt05"}, "username"},
		"two signs":       {user.Register{Email: "a@b", Username: "si.-ti", CommunityID: "rt05"}, "username"},
		"only signs":      {user.Register{Email: "a@b", Username: "._-", CommunityID: "rt05"}, "username"},
		"no @":            {user.Register{Email: "example.org", Username: "siti", CommunityID: "rt05"}, "email"},
		"two @":           {user.Register{Email: "a@b@c", Username: "siti", CommunityID: "rt05"}, "email"},
		"space in it":     {user.Register{Email: "a b@c", Username: "siti", CommunityID: "rt05"}, "email"},
		"header in it":    {user.Register{Email: "a@b\nBcc:c", Username: "siti", CommunityID: "rt05"}, "email"},
		"pointed":         {user.Register{Email: "<a@b>", Username: "siti", CommunityID: "rt05"}, "email"},
		"empty label":     {user.Register{Email: "a@b..c", Username: "siti", CommunityID: "rt05"}, "email"},
		"Kelvin sign":     {user.Register{Email: "a@b", Username: "\u212aadir", CommunityID: "rt05"}, "username"},
		"dotted I":        {user.Register{Email: "a@b", Username: "S\u0130ti", CommunityID: "rt05"}, "username"},
		"long address":    {user.Register{Email: "a@" + strings.Repeat("x", 255), Username: "siti", CommunityID: "rt05"}, "email"},
		"short name":      {user.Register{Email: "a@b", Username: "ab", CommunityID: "rt05"}, "username"},
		"long name":       {user.Register{Email: "a@b", Username: strings.Repeat("x", 65), CommunityID: "rt05"}, "username"},
		"an address":      {user.Register{Email: "a@b", Username: "a@b.c", CommunityID: "rt05"}, "username"},
		"hidden sign":     {user.Register{Email: "a@b", Username: "si\u200bti", CommunityID: "rt05"}, "username"},
		"no community":    {user.Register{Email: "a@b", Username: "siti"}, "community_id"},
		"long community":  {user.Register{Email: "a@b", Username: "siti", CommunityID: strings.Repeat("x", 65)}, "community_id"},
		"community of //": {user.Register{Email: "a@b", Username: "siti", CommunityID: "a/b"}, "community_id"},
	} {
		t.Run(name, func(t *testing.T) {
			err := gotong.Validate(tc.cmd.Clean())
			if (err == nil) != (tc.field == "") || err != nil && communitytest.Fields(err)[0] != tc.field {
				t.Fatalf("got %v, want %q", err, tc.field)
			}
		})
	}
}

func TestOnlyAdminsChangeRoles(t *testing.T) {
	w := registered(t)
	for _, a := range []gotong.Actor{self, mod, gotong.Anonymous()} {
		for _, c := range []any{user.SetRole{Role: gotong.RoleAdmin}, user.Disable{}, user.Enable{}} {
			w.Refuse(a, s, c, gotong.CodeForbidden)
		}
	}
	w.Refuse(boss, "user/none", user.SetRole{Role: gotong.RoleAdmin}, gotong.CodeNotFound)
	w.Refuse(boss, s, user.SetRole{Role: gotong.RoleSystem}, gotong.CodeInvalid)
	w.Refuse(boss, s, user.SetRole{Role: gotong.RoleAnonymous}, gotong.CodeInvalid)
	w.Refuse(boss, s, user.SetRole{}, gotong.CodeInvalid)
	w.Idle(boss, s, user.SetRole{Role: gotong.RoleUser})
	w.Do(communitytest.System(), s, user.SetRole{Role: gotong.RoleModerator})
	if docOf(w).Role != gotong.RoleModerator {
		t.Fatalf("got %+v", docOf(w))
	}
}

func TestADisabledUserReadsNoMore(t *testing.T) {
	w := registered(t)
	w.Idle(boss, s, user.Enable{})
	e := w.Do(boss, s, user.Disable{Reason: " spam "})[0]
	if docOf(w).Enabled || e.Content != (user.Reason{Reason: "spam"}) {
		t.Fatalf("got %+v %+v", docOf(w), e.Content)
	}
	w.Idle(boss, s, user.Disable{})
	if w.Access(s, gotong.Viewer(self)).Readable {
		t.Fatal("a disabled user reads on")
	}
	if e := w.Do(boss, s, user.Enable{})[0]; !docOf(w).Enabled || e.Content != nil {
		t.Fatalf("got %+v %+v", docOf(w), e.Content)
	}
	w.Refuse(boss, s, user.Disable{Reason: strings.Repeat("x", 501)}, gotong.CodeInvalid)
}

// TestUsersAloneAmendTheirAccounts: the events of changes, by the account's user and
// at the expected seq alone; a deleted account stays deleted.
func TestUsersAloneAmendTheirAccounts(t *testing.T) {
	w := registered(t)
	amend := func(event string, seq uint64) user.Amend { return user.Amend{Event: event, Seq: seq} }
	for _, a := range []gotong.Actor{boss, mod, gotong.Anonymous(), communitytest.User("u2")} {
		w.Refuse(a, s, amend(user.EvPasswordChanged, 2), gotong.CodeNotFound)
	}
	w.Refuse(self, s, amend(user.EvRegistered, 2), gotong.CodeInvalid)
	w.Refuse(self, s, amend(user.EvPasswordChanged, 1), gotong.CodeConflict)
	w.Refuse(self, s, amend(user.EvPasswordChanged, 3), gotong.CodeConflict)
	w.Do(self, s, amend(user.EvPasswordChanged, 2))
	w.Do(self, s, amend(user.EvEmailChanged, 3))
	if got := docOf(w); got.Standing != 2 || !got.Enabled {
		t.Fatalf("got %+v", got)
	}
	w.Do(communitytest.System(), s, user.SetRole{Role: gotong.RoleAdmin})
	w.Refuse(self, s, amend(user.EvDeleted, 5), gotong.CodeForbidden)
	w.Do(communitytest.System(), s, user.SetRole{Role: gotong.RoleUser})
	w.Do(self, s, amend(user.EvDeleted, 6))
	if got := docOf(w); got.Standing != 6 || got.Enabled || !got.Deleted || w.Access(s, gotong.Viewer(self)).Readable {
		t.Fatalf("got %+v", got)
	}
	w.Refuse(self, s, amend(user.EvPasswordChanged, 7), gotong.CodeNotFound)
	for _, c := range []any{user.Enable{}, user.Disable{}, user.SetRole{Role: gotong.RoleModerator}} {
		w.Refuse(boss, s, c, gotong.CodeConflict)
	}
	w.Idle(communitytest.System(), s, user.WarnOfWebhook{WebhookID: "whk-1"})
}

func TestAnAccountIsReadByItsUserAndAdmins(t *testing.T) {
	w := registered(t)
	for _, tc := range []struct {
		a    gotong.Actor
		want bool
	}{{self, true}, {boss, true}, {mod, false}, {communitytest.User("u2"), false}} {
		if got := w.Access(s, gotong.Viewer(tc.a)).Sees(1, ""); got != tc.want {
			t.Errorf("%s: %v", tc.a.UserID, got)
		}
	}
	if w.Access("user/none", gotong.Viewer(boss)).Readable {
		t.Error("an account that is not there is readable")
	}
}

// There is always an admin left: nobody shuts themselves out or takes their own
// role, and who was shut out, or is no admin any more, changes nobody.
func TestAdminsCannotDisableOrDemoteThemselves(t *testing.T) {
	w := communitytest.Run(t, user.Kind())
	a, b := communitytest.Admin("a"), communitytest.Admin("b")
	for _, id := range []string{"a", "b"} {
		w.Do(gotong.Anonymous(), gotong.NewStream(user.Name, id), user.Register{Email: id + "@x", Username: "user" + id, CommunityID: "rt05"})
	}
	for _, id := range []string{"a", "b"} {
		w.Do(communitytest.System(), gotong.NewStream(user.Name, id), user.SetRole{Role: gotong.RoleAdmin})
	}
	for _, c := range []any{user.Disable{}, user.SetRole{Role: gotong.RoleUser}} {
		w.Refuse(a, "user/a", c, gotong.CodeForbidden)
	}
	w.Do(a, "user/b", user.Disable{})
	for _, c := range []any{user.Disable{}, user.SetRole{Role: gotong.RoleUser}} {
		w.Refuse(b, "user/a", c, gotong.CodeForbidden) // with a token from before
	}
	w.Refuse(b, "user/b", user.Enable{}, gotong.CodeForbidden)
	w.Do(a, "user/b", user.Enable{})
	w.Do(b, "user/a", user.SetRole{Role: gotong.RoleUser})
	w.Refuse(a, "user/b", user.Disable{}, gotong.CodeForbidden)
}
