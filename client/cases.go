package client

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
)

// NewCase describes a case to be created.
type NewCase struct {
	ScopeID     string `json:"scope_id"` // where it belongs: "rt05", or a group's id
	Track       string `json:"track"`    // tuntaskan, wujudkan, telusuri, rayakan, musyawarah, or one of the operator's
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Privacy     string `json:"privacy_level,omitempty"` // public, private; empty is public
}

// Case is a case as the caller may see it.
type Case struct {
	CaseID      string   `json:"case_id"`
	ScopeID     string   `json:"scope_id"`
	Track       string   `json:"track"`
	Stage       string   `json:"active_stage"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Privacy     string   `json:"privacy_level"`
	CreatedBy   string   `json:"created_by"`
	MemberCount int      `json:"member_count"`
	Transition  string   `json:"open_transition_id"` // empty if none is open
	CreatedAtMS int64    `json:"created_at_ms"`
	UpdatedAtMS int64    `json:"updated_at_ms"`
	AsOf        From     `json:"as_of"`          // follow from here
	MyRoles     []string `json:"my_track_roles"` // the caller's roles; empty if they are not a member
}

// Stream returns the case's stream.
func (c Case) Stream() gotong.Stream { return gotong.NewStream("case", c.CaseID) }

// CaseMember is a user's membership of a case.
type CaseMember struct {
	UserID     string   `json:"user_id"`
	Webhook    bool     `json:"webhook"` // UserID is that of a webhook, which has no roles
	Name       string   `json:"name"`
	TrackRoles []string `json:"track_roles"` // author, pic, participant, saksi, bendahara, humas, verifikator
	JoinedAtMS int64    `json:"joined_at_ms"`
}

func casePath(id string, more ...string) string {
	return joined("/v1/cases/", append([]string{id}, more...))
}

// CreateCase creates a case; the caller becomes its author.
func (c *Client) CreateCase(ctx context.Context, in NewCase, opts ...CallOption) (Case, error) {
	return write[Case](ctx, c, http.MethodPost, "/v1/cases", in, opts)
}

// Cases lists cases, newest first: the public ones of a scope or, without one,
// those of the caller.
func (c *Client) Cases(ctx context.Context, scopeID string, page Page) (List[Case], error) {
	q := page.query()
	set(q, "scope_id", scopeID)
	return list[Case](ctx, c, "/v1/cases", q)
}

// Case returns a case.
func (c *Client) Case(ctx context.Context, id string) (Case, error) {
	return read[Case](ctx, c, casePath(id), nil)
}

// CaseMembers lists a case's members by user id.
func (c *Client) CaseMembers(ctx context.Context, id string, page Page) (List[CaseMember], error) {
	return list[CaseMember](ctx, c, casePath(id, "members"), page.query())
}

// SetCaseMember makes a user a member with these roles, or gives a member these
// roles in place of the former ones.
func (c *Client) SetCaseMember(ctx context.Context, id, userID string, roles []string, opts ...CallOption) (CaseMember, error) {
	body := struct {
		TrackRoles []string `json:"track_roles"`
	}{roles}
	return write[CaseMember](ctx, c, http.MethodPut, casePath(id, "members", userID), body, opts)
}

// RemoveCaseMember ends a user's membership. After it returns, no further event
// of the case is delivered to that user.
func (c *Client) RemoveCaseMember(ctx context.Context, id, userID string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodDelete, path: casePath(id, "members", userID), opts: opts}, nil)
}

// LeaveCase ends the caller's membership. Votes on an open gate still count.
func (c *Client) LeaveCase(ctx context.Context, id string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: casePath(id, "leave"), opts: opts}, nil)
}
