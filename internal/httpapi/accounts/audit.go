package accounts

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/httpapi"
)

func (a *accounts) auditRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "my-audit", Method: http.MethodGet, Path: "/v1/auth/audit", Tag: tagAuth,
		Summary:     "Get the record of your account",
		Description: "Newest first: sign-ins, failed sign-ins and logouts of the last 90 days, and changes by admins.",
	}, a.myAudit)
	httpapi.Register(api, httpapi.Route{
		ID: "user-audit", Method: http.MethodGet, Path: "/v1/admin/users/{id}/audit", Tag: tagAdmin,
		Summary:     "Get the record of an account",
		Description: "For admins. The id anonymous returns sign-ins with addresses that no account has.",
	}, a.userAudit)
}

// AuditEntry is one entry of the record of an account.
type AuditEntry struct {
	ID        gotong.EventID `json:"id"`
	At        gotong.Instant `json:"at" format:"date-time"`
	AtMS      int64          `json:"at_ms"`
	UserID    string         `json:"user_id,omitempty"`
	Action    string         `json:"action" enum:"signed_up,signed_in,sign_in_failed,refresh_reused,logged_out,role_changed,disabled,enabled"`
	IP        string         `json:"ip,omitempty"`
	RequestID string         `json:"request_id,omitempty"`
	LoginID   string         `json:"login_id,omitempty" doc:"The login that was created, used or ended."`
	By        string         `json:"by,omitempty" doc:"The admin who made the change."`
	Role      gotong.Role    `json:"role,omitempty" doc:"The new role."`
	More      int            `json:"more,omitempty" doc:"The number of later entries of this sort on the same day, which were not kept; an estimate for failed sign-ins."`
}

func (a *accounts) myAudit(ctx context.Context, in *httpapi.Page) (*httpapi.Listed[AuditEntry], error) {
	return a.audit(ctx, httpapi.CallOf(ctx).Principal.UserID, *in)
}

type userAuditIn struct {
	ID string `path:"id" doc:"The user's id, or anonymous."`
	httpapi.Page
}

func (a *accounts) userAudit(ctx context.Context, in *userAuditIn) (*httpapi.Listed[AuditEntry], error) {
	if err := mustBeAdmin(ctx); err != nil {
		return nil, err
	}
	if _, err := gotong.ParseStream(user.Name + "/" + in.ID); err != nil {
		return nil, gotong.NotFound()
	}
	return a.audit(ctx, in.ID, in.Page)
}

func (a *accounts) audit(ctx context.Context, userID string, page httpapi.Page) (*httpapi.Listed[AuditEntry], error) {
	before, err := beforeOf(ctx, page)
	if err != nil {
		return nil, err
	}
	list, more, err := a.Door.Record(ctx, userID, before, page.Limit)
	if err != nil {
		return nil, err
	}
	out := &httpapi.Listed[AuditEntry]{Body: make([]AuditEntry, len(list))}
	for i, e := range list {
		out.Body[i] = viewEntry(e)
	}
	if more {
		out.Next = httpapi.Next{HasMore: true, NextCursor: httpapi.ByID.Cursor(ctx, list[len(list)-1].ID.String())}
	}
	return out, nil
}

// beforeOf returns the entry after which the page begins; zero for the first page.
func beforeOf(ctx context.Context, page httpapi.Page) (before gotong.EventID, err error) {
	after, err := httpapi.ByID.Name(ctx, page.Cursor)
	if err != nil || after == "" {
		return before, err
	}
	if before, err = gotong.ParseEventID(after); err != nil {
		err = gotong.NewError(gotong.CodeCursorInvalid, "The cursor is malformed.")
	}
	return before, err
}

func viewEntry(e auth.Entry) AuditEntry {
	return AuditEntry{
		ID: e.ID, At: e.At, AtMS: e.At.Milli(), UserID: e.UserID, Action: e.Action, IP: e.Address,
		RequestID: e.RequestID, LoginID: e.LoginID, By: e.By, Role: e.Role, More: e.More,
	}
}
