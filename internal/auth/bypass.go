package auth

import (
	"context"
	"time"

	"gotong.dev/gotong"
)

// BypassToken stands, where [Options.Bypass] is set, for [BypassUser] without
// any proof: development only.
const (
	BypassToken = "dev-bypass-token" //nolint:gosec // published; it opens nothing by itself
	BypassUser  = "dev-user"
)

// bypassLife is how long what rests on the bypass lasts, anew with each use.
const bypassLife = time.Hour

// bypasses reports a token that needs no proof.
func (s *Service) bypasses(token string) bool { return s.opts.Bypass && token == BypassToken }

// bypass is the principal of the bypass: an ordinary user without an account,
// who can be disabled like any other where there is one.
func (s *Service) bypass(ctx context.Context) (Principal, error) {
	p, err := s.admit(ctx, Principal{
		UserID: BypassUser, Role: gotong.RoleUser, LoginID: foreignLogin(BypassToken),
		Expires: s.now().Add(bypassLife), Foreign: true,
	})
	if err == nil && p.Username == "" {
		p.Username = BypassUser
	}
	return p, err
}
