package user_test

import (
	"fmt"
	"reflect"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/user"
)

// TestSettings: a user sets things for themselves alone, what changes nothing writes
// nothing, and nobody else, an admin included, sees the events.
func TestSettings(t *testing.T) {
	w := registered(t)
	set := func() user.Settings { d, _ := w.Doc(gotong.SettingsRef("u1").Key).(user.Settings); return d }
	w.Do(self, s, user.Block{UserID: "u3"})
	w.Do(self, s, user.Block{UserID: "u2"})
	w.Idle(self, s, user.Block{UserID: "u2"})
	w.Do(self, s, user.Prefer{Kinds: map[string]bool{"reply": false}, Threads: map[string]user.Level{"t1": user.Nothing, "t2": user.MentionsOnly}})
	w.Do(self, s, user.Prefer{Threads: map[string]user.Level{"t1": user.Everything}})
	w.Idle(self, s, user.Prefer{Kinds: map[string]bool{"added": true, "reply": false}})
	want := user.Settings{Blocked: []string{"u2", "u3"}, Off: []string{"reply"}, Threads: map[string]user.Level{"t2": user.MentionsOnly}}
	if got := set(); !reflect.DeepEqual(got, want) || !got.Blocks("u3") || got.Blocks("u4") {
		t.Errorf("%+v", got)
	}
	w.Do(self, s, user.Unblock{UserID: "u3"})
	w.Idle(self, s, user.Unblock{UserID: "u3"})
	if set().Blocks("u3") {
		t.Error("still blocked")
	}
	if all := w.History(s, gotong.Viewer{UserID: "boss", Role: gotong.RoleAdmin}); len(all) != 1 {
		t.Errorf("an admin sees %v", all)
	}
	if own := w.History(s, gotong.Viewer{UserID: "u1", Role: gotong.RoleUser}); len(own) != 6 {
		t.Errorf("the user sees %v", own)
	}
	many := map[string]user.Level{}
	for i := range 101 {
		many[fmt.Sprint("t", i)] = user.Nothing
	}
	for name, tc := range map[string]struct {
		by   gotong.Actor
		data any
		code gotong.Code
	}{
		"another user":        {communitytest.User("u2"), user.Block{UserID: "u1"}, gotong.CodeNotFound},
		"an admin":            {boss, user.Prefer{}, gotong.CodeNotFound},
		"oneself":             {self, user.Block{UserID: "u1"}, gotong.CodeInvalid},
		"a kind that must be": {self, user.Prefer{Kinds: map[string]bool{"removed": false}}, gotong.CodeInvalid},
		"an unknown level":    {self, user.Prefer{Threads: map[string]user.Level{"t1": "some"}}, gotong.CodeInvalid},
		"too many at once":    {self, user.Prefer{Threads: many}, gotong.CodeInvalid},
		"no user id":          {self, user.Unblock{UserID: "a b"}, gotong.CodeInvalid},
	} {
		if _, err := w.Try(tc.by, s, tc.data); gotong.CodeOf(err) != tc.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}
