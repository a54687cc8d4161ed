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
	var out struct {
		Items  []Group `json:"items"`
		Cursor string  `json:"cursor"`
	}
	err := c.do(ctx, op{method: http.MethodGet, path: "/v1/groups", query: page.query()}, &out)
	return List[Group]{Items: out.Items, Next: out.Cursor}, err
}

// Group returns a group.
func (c *Client) Group(ctx context.Context, id string) (Group, error) {
	return read[Group](ctx, c, groupPath(id), nil)
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
