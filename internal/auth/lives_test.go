package auth

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
)

// A login lives until something ends it, whatever becomes of its tokens.
func TestLives(t *testing.T) {
	for _, c := range []struct {
		name    string
		foreign bool
		end     func(*house, Principal, string)
		want    bool
	}{
		{"nothing", false, func(*house, Principal, string) {}, true},
		{"its token has expired", false, func(h *house, _ Principal, _ string) { h.pass(time.Hour) }, true},
		{"it was refreshed often", false, func(h *house, _ Principal, token string) {
			for range 12 { // each exchange is of a token that was used
				h.pass(time.Minute)
				g, err := h.refresh(t.Context(), token)
				if err != nil {
					t.Fatal(err)
				}
				token = g.RefreshToken
			}
		}, true},
		{"logout", false, func(h *house, p Principal, _ string) { _ = h.Logout(t.Context(), p) }, false},
		{"not used for a month", false, func(h *house, _ Principal, _ string) { h.pass(31 * 24 * time.Hour) }, false},
		{"disabled", false, func(h *house, p Principal, _ string) { h.command(t, p.UserID, "c1", user.CmdDisable, user.Disable{}) }, false},
		{"disabled and enabled", false, func(h *house, p Principal, _ string) {
			h.command(t, p.UserID, "c1", user.CmdDisable, user.Disable{})
			h.command(t, p.UserID, "c2", user.CmdEnable, user.Enable{})
		}, false},
		{"another role", false, func(h *house, p Principal, _ string) {
			h.command(t, p.UserID, "c1", user.CmdSetRole, user.SetRole{Role: gotong.RoleModerator})
		}, false},
		{"all logins ended", false, func(h *house, _ Principal, _ string) { _, _ = EndLogins(t.Context(), h.store, h.now()) }, false},
		{"of another issuer", true, func(*house, Principal, string) {}, true},
		{"of another issuer, expired", true, func(h *house, _ Principal, _ string) { h.pass(2 * time.Hour) }, false},
		{"of another issuer, logout", true, func(h *house, p Principal, _ string) { _ = h.Logout(t.Context(), p) }, false},
	} {
		h := build(t, func(o *Options) { o.Keys = []Key{{Alg: "HS256", Material: []byte(earlier)}} })
		g := h.signUp(t, siti("r1"))
		token := g.AccessToken
		if c.foreign {
			token = signed(t, jwt.SigningMethodHS256, nil, []byte(earlier), jwt.MapClaims{"sub": "warga-7", "exp": h.now().Add(time.Hour).Time().Unix()})
		}
		p, err := h.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		c.end(h, p, g.RefreshToken)
		if lives, err := h.Lives(t.Context(), p); err != nil || lives != c.want {
			t.Errorf("%s: lives %v (%v), want %v", c.name, lives, err, c.want)
		}
	}
}
