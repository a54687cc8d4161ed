package client

import (
	"context"
	"net/http"
	"sync"

	"gotong.dev/gotong"
)

// SignUp is what a new account needs.
type SignUp struct {
	Email       string `json:"email"`
	Pass        string `json:"pass"`
	Username    string `json:"username"`
	CommunityID string `json:"community_id"`
}

// Auth is who is signed in, with the tokens.
type Auth struct {
	AccessToken  string      `json:"access_token"`
	RefreshToken string      `json:"refresh_token"`          // empty in the answer of Me
	DeviceToken  string      `json:"device_token,omitempty"` // of SignUp and SignIn: for [Device], at the next sign-in here
	UserID       string      `json:"user_id"`
	Username     string      `json:"username"`
	Role         gotong.Role `json:"role"`
	ExpiresAtMS  int64       `json:"expires_at_ms"` // of the access token
}

// SignUp makes an account and signs in. An e-mail address or a name that is
// taken is [gotong.CodeExists].
func (c *Client) SignUp(ctx context.Context, in SignUp, opts ...CallOption) (Auth, error) {
	var out Auth
	err := c.do(ctx, op{method: http.MethodPost, path: "/v1/auth/signup", body: in, open: true, opts: opts}, &out)
	return out, err
}

// SignIn signs in. With [Device], strangers who guess at the password do not
// keep the owner out.
func (c *Client) SignIn(ctx context.Context, email, pass string, opts ...CallOption) (Auth, error) {
	var out Auth
	set, err := optionsOf(opts)
	if err != nil {
		return out, err
	}
	body := struct {
		Email  string `json:"email"`
		Pass   string `json:"pass"`
		Device string `json:"device_token,omitempty"`
	}{email, pass, set.device}
	err = c.do(ctx, op{method: http.MethodPost, path: "/v1/auth/signin", body: body, open: true, opts: opts}, &out)
	return out, err
}

// Refresh changes a refresh token for new tokens. Within ten seconds the same
// token gets the same new tokens again. To send it after the new ones were used
// ends the login.
func (c *Client) Refresh(ctx context.Context, refresh string, opts ...CallOption) (Auth, error) {
	var out Auth
	body := struct {
		Refresh string `json:"refresh"`
	}{refresh}
	err := c.do(ctx, op{method: http.MethodPost, path: "/v1/auth/refresh", body: body, open: true, opts: opts}, &out)
	return out, err
}

// Logout ends the login of the token that the Client sends.
func (c *Client) Logout(ctx context.Context, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: "/v1/auth/logout", opts: opts}, nil)
}

// Me is who the Client's token is of.
func (c *Client) Me(ctx context.Context) (Auth, error) {
	var out Auth
	err := c.do(ctx, op{method: http.MethodGet, path: "/v1/auth/me"}, &out)
	return out, err
}

// Session is a [TokenSource] that refreshes its access token when the server
// takes it no longer. Safe for concurrent use.
type Session struct {
	refresh func(ctx context.Context, token string, opts ...CallOption) (Auth, error)
	changed func(Auth)

	mu      sync.Mutex
	auth    Auth
	attempt string // request id of a refresh whose outcome is unknown
}

// NewSession is a session with these tokens, refreshed through a Client, which
// may be one without a token source. Changed, if not nil, is called with the
// new tokens, to store them: the old refresh token is worth nothing then.
func NewSession(c *Client, auth Auth, changed func(Auth)) *Session {
	return &Session{refresh: c.Refresh, auth: auth, changed: changed}
}

// Auth is the tokens of the moment.
func (s *Session) Auth() Auth {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auth
}

// Token implements [TokenSource]. Who asks while a refresh is under way waits
// for it.
func (s *Session) Token(ctx context.Context, refused string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refused == "" || refused != s.auth.AccessToken {
		return s.auth.AccessToken, nil
	}
	if s.auth.RefreshToken == "" {
		return "", ErrTokenRefused
	}
	if s.attempt == "" {
		s.attempt = NewRequestID()
	}
	next, err := s.refresh(ctx, s.auth.RefreshToken, RequestID(s.attempt))
	if p := problemIn(err); p != nil && p.Status == http.StatusUnauthorized {
		return "", ErrTokenRefused
	}
	if err != nil {
		return "", err
	}
	s.attempt = ""
	next.DeviceToken = s.auth.DeviceToken // of the sign-in
	s.auth = next
	if s.changed != nil {
		s.changed(next)
	}
	return next.AccessToken, nil
}
