package client

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
)

// NewGroup describes a group to be created.
type NewGroup struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	EntityType  string `json:"entity_type"` // kelompok, lembaga
	JoinPolicy  string `json:"join_policy"` // terbuka, persetujuan, undangan
}

// Group is a group as the caller may see it.
type Group struct {
	GroupID     string        `json:"group_id"`
	Name        string        `json:"name"`
	Description string        `json:"description"`
	EntityType  string        `json:"entity_type"`
	JoinPolicy  string        `json:"join_policy"`
	MemberCount int           `json:"member_count"`
	CreatedAtMS int64         `json:"created_at_ms"`
	UpdatedAtMS int64         `json:"updated_at_ms"`
	Seq         uint64        `json:"seq"`
	AsOf        From          `json:"as_of"`
	MyRole      string        `json:"my_role"`
	MyStatus    string        `json:"my_membership_status"`
	Members     []GroupMember `json:"members"` // the first 200, if the caller may see them; not in lists

	Policy *gotong.Policy `json:"policy"` // of reviews; nil if the caller is no member
}

// GroupChange holds the new values of a group's settings; nil leaves one as it is.
type GroupChange struct {
	Name        *string        `json:"name,omitempty"`
	Description *string        `json:"description,omitempty"`
	JoinPolicy  *string        `json:"join_policy,omitempty"` // terbuka, persetujuan, undangan
	Policy      *gotong.Policy `json:"policy,omitempty"`      // replaces the policy as a whole
}

// Stream returns the group's stream.
func (g Group) Stream() gotong.Stream { return gotong.NewStream("group", g.GroupID) }

// GroupMember is a user's membership of a group.
type GroupMember struct {
	UserID     string         `json:"user_id"`
	Name       string         `json:"name"`
	Role       string         `json:"role"` // admin, moderator, anggota
	JoinedAt   gotong.Instant `json:"joined_at"`
	JoinedAtMS int64          `json:"joined_at_ms"`
}

// CreateGroup creates a group; the caller becomes its first admin.
func (c *Client) CreateGroup(ctx context.Context, in NewGroup, opts ...CallOption) (Group, error) {
	return write[Group](ctx, c, http.MethodPost, "/v1/groups", in, opts)
}

// Groups lists the groups, except those that can only be joined by invitation.
func (c *Client) Groups(ctx context.Context, page Page) (List[Group], error) {
	return items[Group](ctx, c, "/v1/groups", page.query())
}

// Group returns a group.
func (c *Client) Group(ctx context.Context, id string) (Group, error) {
	return read[Group](ctx, c, groupPath(id), nil)
}

// UpdateGroup changes a group, and returns it as it is then.
func (c *Client) UpdateGroup(ctx context.Context, id string, change GroupChange, opts ...CallOption) (Group, error) {
	return write[Group](ctx, c, http.MethodPatch, groupPath(id), change, opts)
}

// JoinGroup makes the caller a member of an open group.
func (c *Client) JoinGroup(ctx context.Context, id string, opts ...CallOption) (GroupMember, error) {
	return write[GroupMember](ctx, c, http.MethodPost, groupPath(id, "join"), nil, opts)
}

// LeaveGroup ends the caller's membership.
func (c *Client) LeaveGroup(ctx context.Context, id string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: groupPath(id, "leave"), opts: opts}, nil)
}

// GroupMembers lists a group's members by user id.
func (c *Client) GroupMembers(ctx context.Context, id string, page Page) (List[GroupMember], error) {
	return list[GroupMember](ctx, c, groupPath(id, "members"), page.query())
}

// AddGroupMember makes a user a member. An empty role means an ordinary member.
func (c *Client) AddGroupMember(ctx context.Context, id, userID, role string, opts ...CallOption) (GroupMember, error) {
	return write[GroupMember](ctx, c, http.MethodPost, groupPath(id, "members"), roleOf{userID, role}, opts)
}

// RemoveGroupMember ends a user's membership, also in threads that borrow the
// group's members. For a user who is not a member, it changes nothing.
func (c *Client) RemoveGroupMember(ctx context.Context, id, userID string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: groupPath(id, "members", userID, "remove"), opts: opts}, nil)
}

// SetGroupRole changes a member's role: admin, moderator, anggota.
func (c *Client) SetGroupRole(ctx context.Context, id, userID, role string, opts ...CallOption) (GroupMember, error) {
	return write[GroupMember](ctx, c, http.MethodPost, groupPath(id, "members", userID, "role"), roleOf{"", role}, opts)
}

// GroupRequest is a pending request to join a group.
type GroupRequest struct {
	RequestID     string `json:"request_id"`
	UserID        string `json:"user_id"`
	Name          string `json:"name"`
	Message       string `json:"message"`
	RequestedAtMS int64  `json:"requested_at_ms"`
}

// GroupInvitation is an open invitation to a group: for the user who was invited
// with the group, for its admins and moderators with the user.
type GroupInvitation struct {
	GroupID     string `json:"group_id"`
	UserID      string `json:"user_id"`
	Name        string `json:"name"` // of the group or the user
	Description string `json:"description"`
	InvitedBy   Author `json:"invited_by"`
	InvitedAtMS int64  `json:"invited_at_ms"`
	ExpiresAtMS int64  `json:"expires_at_ms"`
}

// RequestToJoin requests to become a member of a group that approves its members.
// While a request is pending, it returns that one.
func (c *Client) RequestToJoin(ctx context.Context, groupID, message string, opts ...CallOption) (GroupRequest, error) {
	in := struct {
		Message string `json:"message,omitempty"`
	}{message}
	return write[GroupRequest](ctx, c, http.MethodPost, groupPath(groupID, "requests"), in, opts)
}

// GroupRequests lists the pending requests to join a group, oldest first; for its
// admins and moderators.
func (c *Client) GroupRequests(ctx context.Context, groupID string, page Page) (List[GroupRequest], error) {
	return list[GroupRequest](ctx, c, groupPath(groupID, "requests"), page.query())
}

// ApproveRequest makes the user who made a request a member.
func (c *Client) ApproveRequest(ctx context.Context, groupID, requestID string, opts ...CallOption) (GroupMember, error) {
	return write[GroupMember](ctx, c, http.MethodPost, groupPath(groupID, "requests", requestID, "approve"), nil, opts)
}

// RejectRequest ends a request without making its user a member.
func (c *Client) RejectRequest(ctx context.Context, groupID, requestID string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: groupPath(groupID, "requests", requestID, "reject"), opts: opts}, nil)
}

// WithdrawRequest ends the caller's own request.
func (c *Client) WithdrawRequest(ctx context.Context, groupID, requestID string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: groupPath(groupID, "requests", requestID, "withdraw"), opts: opts}, nil)
}

// InviteToGroup invites a user, who becomes a member by accepting. It returns the
// end of the invitation in milliseconds since 1970, or 0 if the user is a member.
func (c *Client) InviteToGroup(ctx context.Context, groupID, userID string, opts ...CallOption) (expiresAtMS int64, err error) {
	out, err := write[GroupInvitation](ctx, c, http.MethodPost, groupPath(groupID, "invite"), roleOf{userID, ""}, opts)
	return out.ExpiresAtMS, err
}

// GroupInvitations lists the open invitations to a group, in order of user id; for
// its admins and moderators.
func (c *Client) GroupInvitations(ctx context.Context, groupID string, page Page) (List[GroupInvitation], error) {
	return list[GroupInvitation](ctx, c, groupPath(groupID, "invitations"), page.query())
}

// WithdrawInvitation ends a user's invitation.
func (c *Client) WithdrawInvitation(ctx context.Context, groupID, userID string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodDelete, path: groupPath(groupID, "invitations", userID), opts: opts}, nil)
}

// Invitations lists the caller's open invitations to groups, newest first.
func (c *Client) Invitations(ctx context.Context, page Page) (List[GroupInvitation], error) {
	return items[GroupInvitation](ctx, c, groupPath("invitations"), page.query())
}

// AcceptInvitation makes the caller, who was invited, a member of the group.
func (c *Client) AcceptInvitation(ctx context.Context, groupID string, opts ...CallOption) (GroupMember, error) {
	return write[GroupMember](ctx, c, http.MethodPost, groupPath("invitations", groupID, "accept"), nil, opts)
}

// DeclineInvitation ends the caller's invitation.
func (c *Client) DeclineInvitation(ctx context.Context, groupID string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: groupPath("invitations", groupID, "decline"), opts: opts}, nil)
}
