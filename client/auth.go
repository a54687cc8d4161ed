package client

import (
	"context"
	"net/http"
	"net/url"
	"sync"

	"gotong.dev/gotong"
)

// SignUp is what the server needs to make an account.
type SignUp struct {
	Email       string `json:"email"`
	Pass        string `json:"pass"`
	Username    string `json:"username"`
	CommunityID string `json:"community_id"`
}

// Auth names the user who is signed in and holds their tokens.
type Auth struct {
	AccessToken  string      `json:"access_token"`
	RefreshToken string      `json:"refresh_token"`          // empty in the result of Me
	DeviceToken  string      `json:"device_token,omitempty"` // set by SignUp and SignIn: for [Device], at the next sign-in on this device
	UserID       string      `json:"user_id"`
	Username     string      `json:"username"`
	Name         string      `json:"name,omitempty"` // that others see; set by Me and SetName
	Role         gotong.Role `json:"role"`
	ExpiresAtMS  int64       `json:"expires_at_ms"` // of the access token
}

// SignUp makes an account and signs in. If the e-mail address or the name
// belongs to another account, the error has [gotong.CodeExists].
func (c *Client) SignUp(ctx context.Context, in SignUp, opts ...CallOption) (Auth, error) {
	return c.enter(ctx, "signup", in, opts)
}

// SignIn signs in. With [Device], the owner can sign in even while strangers
// guess at the password.
func (c *Client) SignIn(ctx context.Context, email, pass string, opts ...CallOption) (Auth, error) {
	set, err := optionsOf(opts)
	if err != nil {
		return Auth{}, err
	}
	body := struct {
		Email  string `json:"email"`
		Pass   string `json:"pass"`
		Device string `json:"device_token,omitempty"`
	}{email, pass, set.device}
	return c.enter(ctx, "signin", body, opts)
}

// enter makes a request that needs no token, and returns the tokens of the answer.
func (c *Client) enter(ctx context.Context, path string, body any, opts []CallOption) (out Auth, err error) {
	err = c.do(ctx, op{method: http.MethodPost, path: "/v1/auth/" + path, body: body, open: true, opts: opts}, &out)
	return out, err
}

// Refresh exchanges a refresh token for new tokens. Within ten seconds, the
// same refresh token returns the same new tokens again. A refresh token that is
// sent after its successors were used ends the login.
func (c *Client) Refresh(ctx context.Context, refresh string, opts ...CallOption) (Auth, error) {
	return c.enter(ctx, "refresh", fields{"refresh": refresh}, opts)
}

// Logout ends the login of the token that the Client sends.
func (c *Client) Logout(ctx context.Context, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: "/v1/auth/logout", opts: opts}, nil)
}

// Me returns the user of the Client's token.
func (c *Client) Me(ctx context.Context) (Auth, error) {
	return read[Auth](ctx, c, "/v1/auth/me", nil)
}

// SetName sets the display name of the user of the Client's token, which others see
// in place of the user name. An empty one removes it.
func (c *Client) SetName(ctx context.Context, name string, opts ...CallOption) (Auth, error) {
	return write[Auth](ctx, c, http.MethodPut, "/v1/auth/me/name", fields{"name": name}, opts)
}

// SetPassword changes the password of the user of the Client's token; it needs the
// present one. The user's other logins end.
func (c *Client) SetPassword(ctx context.Context, current, pass string, opts ...CallOption) error {
	body := fields{"current": current, "pass": pass}
	return c.do(ctx, op{method: http.MethodPut, path: "/v1/auth/me/password", body: body, opts: opts}, nil)
}

// SetEmail changes the e-mail address of the user of the Client's token; it needs the
// password.
func (c *Client) SetEmail(ctx context.Context, email, pass string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPut, path: "/v1/auth/me/email", body: fields{"email": email, "pass": pass}, opts: opts}, nil)
}

// DeleteAccount deletes the account of the user of the Client's token for good; it needs
// the password.
func (c *Client) DeleteAccount(ctx context.Context, pass string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: "/v1/auth/me/delete", body: fields{"pass": pass}, opts: opts}, nil)
}

// ResetPassword sets a password with a reset token, which works once. All logins of the
// account end.
func (c *Client) ResetPassword(ctx context.Context, token, pass string, opts ...CallOption) error {
	body := fields{"token": token, "pass": pass}
	return c.do(ctx, op{method: http.MethodPost, path: "/v1/auth/reset", body: body, open: true, opts: opts}, nil)
}

// Login is one of a user's logins.
type Login struct {
	LoginID     string `json:"login_id"`
	Agent       string `json:"agent"`         // what the client called itself at the sign-in
	CreatedAtMS int64  `json:"created_at_ms"` // of the sign-in
	UsedAtMS    int64  `json:"used_at_ms"`    // to within the life of an access token
	ExpiresAtMS int64  `json:"expires_at_ms"` // if it is not used again
	Current     bool   `json:"current"`       // the Client's token belongs to it
}

// Logins returns the logins of the user of the Client's token, the oldest first.
func (c *Client) Logins(ctx context.Context) ([]Login, error) {
	return read[[]Login](ctx, c, "/v1/auth/logins", nil)
}

// EndLogin ends one of the user's logins. It changes nothing if that has ended.
func (c *Client) EndLogin(ctx context.Context, loginID string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodDelete, path: "/v1/auth/logins/" + url.PathEscape(loginID), opts: opts}, nil)
}

// Session is a [TokenSource] that refreshes its access token when the server
// rejects it. It is safe for concurrent use.
type Session struct {
	refresh func(ctx context.Context, token string, opts ...CallOption) (Auth, error)
	changed func(Auth)

	mu      sync.Mutex
	auth    Auth
	attempt string // request id of a refresh whose outcome is unknown
}

// NewSession returns a session with these tokens. It refreshes them through c,
// which needs no token source. If changed is not nil, it is called with each
// new set of tokens, so that the program can store them; from then on the old
// refresh token is worthless.
func NewSession(c *Client, auth Auth, changed func(Auth)) *Session {
	return &Session{refresh: c.Refresh, auth: auth, changed: changed}
}

// Auth returns the current tokens.
func (s *Session) Auth() Auth {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auth
}

// Token implements [TokenSource]. Calls that arrive during a refresh wait for
// it.
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
