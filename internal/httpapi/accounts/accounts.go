// Package accounts has the REST routes of accounts: sign-up, sign-in, tokens,
// tickets for browsers, and the operations of admins on accounts.
//
// # Caveats
//
// Tokens and addresses that pass through here are neither logged nor part of an
// error.
package accounts

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/store"
)

// Options configure the routes. All but Mail are required.
type Options struct {
	Door     *auth.Service
	Engine   httpapi.Executor
	Delivery httpapi.Awaiter
	Names    httpapi.Names // that others see
	Users    httpapi.Names // user names
	Store    store.Committer
	Codec    *store.Codec

	Led      []members.Led   // the kinds whose streams have leaders
	Accounts gotong.Accounts // whose accounts users have

	// Mail sends a reset token to the account that has an address, if one has it. It must
	// return at once. Nil: the server sends no mail.
	Mail func(email string)
}

type accounts struct{ Options }

const (
	tagAuth  = "Accounts"
	tagAdmin = "Administration"
)

// Routes returns the routes under /v1/auth and /v1/admin, and those of tickets.
func Routes(opts Options) func(*httpapi.API) {
	a := &accounts{opts}
	return func(api *httpapi.API) {
		a.loginRoutes(api)
		a.ownRoutes(api)
		a.adminRoutes(api)
		a.auditRoutes(api)
		a.ownerlessRoutes(api)
		a.eraseRoutes(api)
	}
}

func (a *accounts) loginRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "sign-up", Method: http.MethodPost, Path: "/v1/auth/signup", Tag: tagAuth, Public: true, Strict: true,
		Write: true, Summary: "Create an account", Description: "It also creates a login.",
	}, a.signUp)
	httpapi.Register(api, httpapi.Route{
		ID: "sign-in", Method: http.MethodPost, Path: "/v1/auth/signin", Tag: tagAuth, Public: true, Strict: true, Counts: true,
		Write: true, Summary: "Sign in",
		Description: "Repeated with the same Idempotency-Key and body within ten minutes, it returns the same login. " +
			"Send the device_token of an earlier sign-in, so that strangers who guess your password do not lock you out.",
	}, a.signIn)
	httpapi.Register(api, httpapi.Route{
		ID: "refresh", Method: http.MethodPost, Path: "/v1/auth/refresh", Tag: tagAuth, Public: true, Strict: true, Counts: true,
		Write: true, Summary: "Get new tokens",
		Description: "It spends the refresh token. Sent again within ten seconds, the token gets the same answer, whatever the key; " +
			"later, it gets other tokens if nobody used those. Any other use of a spent token ends the login.",
	}, a.refresh)
	httpapi.Register(api, httpapi.Route{
		ID: "logout", Method: http.MethodPost, Path: "/v1/auth/logout", Tag: tagAuth, Write: true,
		Status: http.StatusNoContent, Summary: "End the login",
	}, a.logout)
	httpapi.Register(api, httpapi.Route{
		ID: "me", Method: http.MethodGet, Path: "/v1/auth/me", Tag: tagAuth, Summary: "Get your own account",
	}, a.me)
	httpapi.Register(api, httpapi.Route{
		ID: "set-name", Method: http.MethodPut, Path: "/v1/auth/me/name", Tag: tagAuth, Write: true, Summary: "Set your display name",
		Description: "Others see it instead of your user name, and beside it in lists of members. An empty name removes it.",
	}, a.setName)
	httpapi.Register(api, httpapi.Route{
		ID: "create-ticket", Method: http.MethodPost, Path: "/v1/realtime/tickets", Tag: tagAuth, Write: true,
		Status: http.StatusCreated, Summary: "Get a ticket for a WebSocket or an EventSource",
		Description: "Browsers cannot send a token with either: " +
			"/v1/realtime/ws?ticket=… and /v1/realtime/sse?stream=…&ticket=… accept the ticket instead, once, within 30 seconds.",
	}, a.ticket)
}

// SignUp is the body of a sign-up.
type SignUp struct {
	Email       string `json:"email" minLength:"3" maxLength:"256"`
	Pass        string `json:"pass" minLength:"1" maxLength:"1024" doc:"8 to 256 characters, counted after normalisation to NFKC."`
	Username    string `json:"username" minLength:"3" maxLength:"64"`
	CommunityID string `json:"community_id" minLength:"1" maxLength:"64"`
}

// SignIn is the body of a sign-in.
type SignIn struct {
	Email string `json:"email" minLength:"1" maxLength:"256"`
	Pass  string `json:"pass" minLength:"1" maxLength:"1024"`

	DeviceToken string `json:"device_token,omitempty" maxLength:"512" doc:"The device token of an earlier sign-in on this device."`
}

// Refresh is the body of a refresh.
type Refresh struct {
	Refresh string `json:"refresh" minLength:"8" maxLength:"512"`
}

// AuthResponse describes the user, with their tokens.
type AuthResponse struct {
	AccessToken  string      `json:"access_token"`
	RefreshToken *string     `json:"refresh_token"`
	DeviceToken  string      `json:"device_token,omitempty" doc:"Returned by a sign-up or sign-in: send it with the next sign-in on this device."`
	UserID       string      `json:"user_id"`
	Username     string      `json:"username"`
	Name         string      `json:"name,omitempty" doc:"The name that others see. Absent in the answers to a sign-up, sign-in and refresh."`
	Role         gotong.Role `json:"role" enum:"user,moderator,admin"`
	ExpiresAtMS  int64       `json:"expires_at_ms" doc:"Of the access token."`
}

func granted(ctx context.Context, g auth.Grant, err error) (*httpapi.Out[AuthResponse], error) {
	if err != nil {
		return nil, err
	}
	if g.Replayed {
		httpapi.Replayed(ctx)
	}
	return httpapi.Reply(AuthResponse{
		AccessToken: g.AccessToken, RefreshToken: &g.RefreshToken, DeviceToken: g.DeviceToken, UserID: g.UserID, Username: g.Username,
		Role: g.Role, ExpiresAtMS: g.Expires.Milli(),
	}, nil)
}

// origin returns ctx with the source of the call, for the record of the account.
func origin(ctx context.Context) context.Context {
	call := httpapi.CallOf(ctx)
	return auth.WithOrigin(ctx, auth.Origin{Address: call.Address, RequestID: call.RequestID})
}

func (a *accounts) signUp(ctx context.Context, in *httpapi.Sent[SignUp]) (*httpapi.Out[AuthResponse], error) {
	call, v := httpapi.CallOf(ctx), in.JSON.Value
	g, err := a.Door.SignUp(ctx, auth.SignUp{
		RequestID: call.RequestID, CorrelationID: call.CorrelationID, Email: v.Email, Pass: v.Pass,
		Username: v.Username, CommunityID: v.CommunityID, Address: call.Address, Agent: call.Agent,
	})
	return granted(ctx, g, err)
}

func (a *accounts) signIn(ctx context.Context, in *httpapi.Sent[SignIn]) (*httpapi.Out[AuthResponse], error) {
	call, v := httpapi.CallOf(ctx), in.JSON.Value
	g, err := a.Door.SignIn(ctx, auth.SignIn{
		RequestID: call.RequestID, Email: v.Email, Pass: v.Pass, Device: v.DeviceToken, Address: call.Address, Agent: call.Agent,
		Count: httpapi.Count,
	})
	return granted(ctx, g, err)
}

func (a *accounts) refresh(ctx context.Context, in *httpapi.Sent[Refresh]) (*httpapi.Out[AuthResponse], error) {
	g, err := a.Door.Refresh(origin(ctx), in.JSON.Value.Refresh, httpapi.Count)
	return granted(ctx, g, err)
}

type noOut struct{}

func (a *accounts) logout(ctx context.Context, _ *httpapi.NoBody) (*noOut, error) {
	return &noOut{}, a.Door.Logout(origin(ctx), httpapi.CallOf(ctx).Principal.Principal)
}

// DisplayName is the body of setting a display name.
type DisplayName struct {
	Name string `json:"name" maxLength:"512" doc:"1 to 40 characters, counted after normalisation to NFC; empty: none."`
}

func (a *accounts) setName(ctx context.Context, in *httpapi.Sent[DisplayName]) (*httpapi.Out[AuthResponse], error) {
	if err := a.Door.Rename(ctx, httpapi.CallOf(ctx).Principal.UserID, in.JSON.Value.Name); err != nil {
		return nil, err
	}
	return a.me(ctx, nil)
}

func (a *accounts) me(ctx context.Context, _ *struct{}) (*httpapi.Out[AuthResponse], error) {
	p := httpapi.CallOf(ctx).Principal
	name := a.Names(ctx, []string{p.UserID})[p.UserID]
	return httpapi.Reply(AuthResponse{
		AccessToken: p.Token, UserID: p.UserID, Username: p.Username, Name: name, Role: p.Role, ExpiresAtMS: p.Expires.Milli(),
	}, nil)
}

// Ticket authenticates like a token, once.
type Ticket struct {
	Ticket      string `json:"ticket"`
	ExpiresAtMS int64  `json:"expires_at_ms"`
}

func (a *accounts) ticket(ctx context.Context, _ *httpapi.NoBody) (*httpapi.Out[Ticket], error) {
	call := httpapi.CallOf(ctx)
	t, err := a.Door.Ticket(ctx, call.RequestID, call.Principal.Principal)
	if err != nil {
		return nil, err
	}
	if t.Replayed {
		httpapi.Replayed(ctx)
	}
	return httpapi.Reply(Ticket{Ticket: t.Text, ExpiresAtMS: t.Expires.Milli()}, nil)
}
