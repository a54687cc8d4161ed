package accounts

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/httpapi"
)

const resetRequests = "/v1/auth/reset-requests"

func (a *accounts) ownRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "set-password", Method: http.MethodPut, Path: "/v1/auth/me/password", Tag: tagAuth, Write: true,
		Status: http.StatusNoContent, Summary: "Change your password",
		Description: "It needs the present password. Your other logins end; the one of this request goes on.",
	}, a.setPassword)
	httpapi.Register(api, httpapi.Route{
		ID: "set-email", Method: http.MethodPut, Path: "/v1/auth/me/email", Tag: tagAuth, Write: true,
		Status: http.StatusNoContent, Summary: "Change your e-mail address",
		Description: "It needs the password. From then on, you sign in with the new address alone.",
	}, a.setEmail)
	httpapi.Register(api, httpapi.Route{
		ID: "delete-account", Method: http.MethodPost, Path: "/v1/auth/me/delete", Tag: tagAuth, Write: true,
		Status: http.StatusNoContent, Summary: "Delete your account for good",
		Description: "It needs the password. Your address, password, display name and record are deleted and your logins end. " +
			"What you wrote stays in its threads, without your name. Nobody can take your user name. Admins must lose that role first.",
	}, a.deleteAccount)
	httpapi.Register(api, httpapi.Route{
		ID: "list-logins", Method: http.MethodGet, Path: "/v1/auth/logins", Tag: tagAuth,
		Summary: "List your logins", Description: "The oldest first, at most 32.",
	}, a.listLogins)
	httpapi.Register(api, httpapi.Route{
		ID: "end-login", Method: http.MethodDelete, Path: "/v1/auth/logins/{id}", Tag: tagAuth, Write: true, Subject: "The login's id.",
		Status: http.StatusNoContent, Summary: "End one of your logins", Description: "It changes nothing if the login has ended.",
	}, a.endLogin)
	httpapi.Register(api, httpapi.Route{
		ID: "reset-password", Method: http.MethodPost, Path: "/v1/auth/reset", Tag: tagAuth, Public: true, Strict: true, Counts: true,
		Write: true, Status: http.StatusNoContent, Summary: "Set a new password with a reset token",
		Description: "The token comes by mail or from an operator, works once and within an hour. All logins of the account end.",
	}, a.reset)
	httpapi.Register(api, httpapi.Route{
		ID: "request-reset", Method: http.MethodPost, Path: resetRequests, Tag: tagAuth, Public: true, Strict: true,
		Write: true, Status: http.StatusAccepted, Summary: "Ask for a reset token by mail",
		Description: "The server sends a link with a token if an account has this address. The answer is the same if none has. " +
			"404 where the server sends no mail.",
	}, a.requestReset)
	httpapi.Register(api, httpapi.Route{
		ID: "get-reset-offer", Method: http.MethodGet, Path: resetRequests, Tag: tagAuth, Public: true,
		Summary: "Ask whether the server sends reset tokens by mail",
	}, a.resetOffer)
}

// SetPassword is the body of a change of the caller's password.
type SetPassword struct {
	Current string `json:"current" minLength:"1" maxLength:"1024" doc:"Your present password."`
	Pass    string `json:"pass" minLength:"1" maxLength:"1024" doc:"The new one: 8 to 256 characters, counted after normalisation to NFKC."`
}

// SetEmail is the body of a change of the caller's address.
type SetEmail struct {
	Email string `json:"email" minLength:"3" maxLength:"256"`
	Pass  string `json:"pass" minLength:"1" maxLength:"1024" doc:"Your password."`
}

// DeleteAccount is the body of a deletion of the caller's account.
type DeleteAccount struct {
	Pass string `json:"pass" minLength:"1" maxLength:"1024" doc:"Your password."`
}

// ResetPassword is the body of a reset.
type ResetPassword struct {
	Token string `json:"token" minLength:"1" maxLength:"1024" doc:"The reset token."`
	Pass  string `json:"pass" minLength:"1" maxLength:"1024" doc:"The new password: 8 to 256 characters, counted after normalisation to NFKC."`
}

func own(ctx context.Context, pass string) auth.Own {
	call := httpapi.CallOf(ctx)
	return auth.Own{RequestID: call.RequestID, CorrelationID: call.CorrelationID, Principal: call.Principal.Principal, Pass: pass}
}

func (a *accounts) setPassword(ctx context.Context, in *httpapi.Sent[SetPassword]) (*noOut, error) {
	return &noOut{}, a.Door.ChangePassword(ctx, own(ctx, in.JSON.Value.Current), in.JSON.Value.Pass)
}

func (a *accounts) setEmail(ctx context.Context, in *httpapi.Sent[SetEmail]) (*noOut, error) {
	return &noOut{}, a.Door.ChangeEmail(ctx, own(ctx, in.JSON.Value.Pass), in.JSON.Value.Email)
}

func (a *accounts) deleteAccount(ctx context.Context, in *httpapi.Sent[DeleteAccount]) (*noOut, error) {
	return &noOut{}, a.Door.Delete(ctx, own(ctx, in.JSON.Value.Pass))
}

func (a *accounts) reset(ctx context.Context, in *httpapi.Sent[ResetPassword]) (*noOut, error) {
	v := in.JSON.Value
	return &noOut{}, a.Door.Reset(ctx, httpapi.CallOf(ctx).RequestID, v.Token, v.Pass, httpapi.Count)
}

// RequestReset is the body of a request for a reset token.
type RequestReset struct {
	Email string `json:"email" minLength:"3" maxLength:"256" doc:"The address of your account."`
}

func (a *accounts) requestReset(ctx context.Context, in *httpapi.Sent[RequestReset]) (*noOut, error) {
	if a.Mail == nil {
		return nil, gotong.NotFound()
	}
	email, err := a.Door.ResetAddress(ctx, in.JSON.Value.Email)
	if err == nil {
		a.Mail(email)
	}
	return &noOut{}, err
}

// ResetOffer states whether the server sends reset tokens.
type ResetOffer struct {
	Offered bool `json:"offered"`
}

func (a *accounts) resetOffer(context.Context, *struct{}) (*httpapi.Out[ResetOffer], error) {
	return httpapi.Reply(ResetOffer{a.Mail != nil}, nil)
}

// LoginView is one of the caller's logins.
type LoginView struct {
	LoginID     string `json:"login_id"`
	Agent       string `json:"agent,omitempty" doc:"What the client called itself (User-Agent) at the sign-in."`
	CreatedAtMS int64  `json:"created_at_ms"`
	UsedAtMS    int64  `json:"used_at_ms" doc:"When it was last used, to within the life of an access token."`
	ExpiresAtMS int64  `json:"expires_at_ms" doc:"When it ends if it is not used again."`
	Current     bool   `json:"current" doc:"This request came with it."`
}

func (a *accounts) listLogins(ctx context.Context, _ *struct{}) (*httpapi.Out[[]LoginView], error) {
	list, err := a.Door.Logins(ctx, httpapi.CallOf(ctx).Principal.Principal)
	views := make([]LoginView, len(list))
	for i, l := range list {
		views[i] = LoginView{l.ID, l.Agent, l.Created.Milli(), l.LastUsed.Milli(), l.Expires.Milli(), l.Current}
	}
	return httpapi.Reply(views, err)
}

func (a *accounts) endLogin(ctx context.Context, in *httpapi.SentNothing) (*noOut, error) {
	return &noOut{}, a.Door.EndLogin(origin(ctx), httpapi.CallOf(ctx).Principal.Principal, in.ID)
}
