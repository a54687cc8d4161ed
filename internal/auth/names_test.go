package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// TestDisplayNames: a user sets, changes and removes theirs. The user name stays as it
// is, a retry after a lost write sets the name once more, and another node shows a
// new name after a minute at most.
func TestDisplayNames(t *testing.T) {
	n := newTwoNodes(t)
	g, _ := n.connect(t, "s1")
	shown := func(h *house) string {
		names, users := h.Names(t.Context(), []string{g.UserID}), h.Usernames(t.Context(), []string{g.UserID})
		known, _ := h.Known(g.UserID)
		return names[g.UserID] + " " + users[g.UserID] + " " + known
	}
	lost := 1
	n.held = func(gotong.Key) error {
		if lost--; lost >= 0 {
			return store.ErrConflict
		}
		return nil
	}
	for _, step := range []struct {
		name, want string
		code       gotong.Code
	}{
		{"", "us1", ""},
		{" Bu\u00a0Siti 🌷 ", "Bu Siti 🌷", ""},
		{"Siti\u202e", "Bu Siti 🌷", gotong.CodeInvalid},
		{strings.Repeat("x", 41), "Bu Siti 🌷", gotong.CodeInvalid},
		{"مريم", "مريم", ""},
		{"us1", "us1", ""},
		{"ᮞᮤᮒᮤ", "ᮞᮤᮒᮤ", ""},
		{" ", "us1", ""},
	} {
		before := shown(n.there)
		if err := n.here.Rename(t.Context(), g.UserID, step.name); gotong.CodeOf(err) != step.code {
			t.Fatalf("%q: %v", step.name, err)
		}
		want := step.want + " us1 " + step.want
		if got := shown(n.here); got != want {
			t.Errorf("%q: here %q, want %q", step.name, got, want)
		}
		if got := shown(n.there); got != before {
			t.Errorf("%q: there %q at once", step.name, got)
		}
		n.pass(time.Minute)
		if got := shown(n.there); got != want {
			t.Errorf("%q: there %q, want %q", step.name, got, want)
		}
	}
	if a, _, err := n.here.account(t.Context(), g.UserID); err != nil || a.Email != "s1@example.org" || a.Hash == "" {
		t.Errorf("the account is %+v, %v", a, err)
	}
	if err := n.here.Rename(t.Context(), "nobody", "x"); gotong.CodeOf(err) != gotong.CodeNotFound {
		t.Errorf("no account: %v", err)
	}
	n.held = func(gotong.Key) error { return errors.New("the disk is gone") }
	if err := n.here.Rename(t.Context(), g.UserID, "y"); err == nil || shown(n.here) != strings.Repeat(" us1", 3)[1:] {
		t.Errorf("a failed write: %v, %s", err, shown(n.here))
	}
}
