package auth

import (
	"context"
	"time"

	"gotong.dev/gotong"
)

// BypassToken authenticates [BypassUser] without proof if [Options.Bypass] is set.
// It is for development only.
const (
	BypassToken = "dev-bypass-token" //nolint:gosec // published, and valid only with the option
	BypassUser  = "dev-user"
)

// bypassLife is how long a principal of the bypass lasts after each use.
const bypassLife = time.Hour

func (s *Service) bypasses(token string) bool { return s.opts.Bypass && token == BypassToken }

// bypass returns the principal of the bypass: an ordinary user without an account.
// If an account with this id exists, disabling it shuts the bypass too.
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
