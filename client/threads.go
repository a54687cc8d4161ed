package client

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"gotong.dev/gotong"
)

// NewThread describes a thread to be created.
type NewThread struct {
	ScopeID string `json:"scope_id"`          // where it belongs: "rt05", or a group's id
	Privacy string `json:"privacy_level"`     // public, private
	History string `json:"history,omitempty"` // all, from_join; empty is all
	Members string `json:"members,omitempty"` // own, home; empty is own or, with a lender, home
	Lender  string `json:"lender,omitempty"`  // kind/id of the stream whose members it borrows; empty is the group
	Name    string `json:"name,omitempty"`
	Topic   string `json:"topic,omitempty"`
	Icon    string `json:"icon,omitempty"` // one emoji
}

// ThreadChange changes what is set of a thread. An empty text removes the old one.
type ThreadChange struct {
	Name     *string `json:"name,omitempty"`
	Topic    *string `json:"topic,omitempty"`
	Icon     *string `json:"icon,omitempty"`
	Archived *bool   `json:"archived,omitempty"` // nobody can write in an archived thread

	SlowModeS *int `json:"slow_mode_s,omitempty"` // the seconds between two messages of an ordinary member; 0 ends the slow mode
}

// Thread is a thread as the caller may see it.
type Thread struct {
	ThreadID    string `json:"thread_id"`
	ScopeID     string `json:"scope_id"`
	CreatedBy   string `json:"created_by"`
	Privacy     string `json:"privacy_level"`
	History     string `json:"history"`
	Members     string `json:"members"`
	Lender      string `json:"lender"` // whose members it borrows; empty if it has its own
	Name        string `json:"name"`
	Topic       string `json:"topic"`
	Icon        string `json:"icon"`
	With        *Actor `json:"with"` // of a direct thread: the other user
	MemberCount int    `json:"member_count"`
	CreatedAtMS int64  `json:"created_at_ms"`
	UpdatedAtMS int64  `json:"updated_at_ms"`
	Seq         uint64 `json:"seq"`
	AsOf        From   `json:"as_of"`    // follow from here
	MyRole      string `json:"my_role"`  // empty if the caller is not a member
	Unread      *int   `json:"unread"`   // for members, counted to 999
	Mentions    *int   `json:"mentions"` // for members: how many of these mention the caller
	Mark        *Mark  `json:"mark"`     // for members

	ArchivedAtMS int64 `json:"archived_at_ms"` // 0 unless it is archived
	Muted        bool  `json:"muted"`          // the caller mutes it for themselves
	MutedUntilMS int64 `json:"muted_until_ms"` // 0: without an end
	SlowModeS    int   `json:"slow_mode_s"`    // the seconds between two messages of an ordinary member; 0: no slow mode
}

// Stream returns the thread's stream.
func (t Thread) Stream() gotong.Stream { return gotong.NewStream("thread", t.ThreadID) }

// Member is a user's membership of a thread.
type Member struct {
	ThreadID    string `json:"thread_id"`
	UserID      string `json:"user_id"`
	Webhook     bool   `json:"webhook"`  // UserID is that of a webhook, which has no role
	Name        string `json:"name"`     // that others see
	Username    string `json:"username"` // unique
	Role        string `json:"role"`     // owner, admin, member
	JoinedAtMS  int64  `json:"joined_at_ms"`
	LeftAtMS    int64  `json:"left_at_ms"` // 0 for an active member
	MuteUntilMS int64  `json:"mute_until_ms"`
}

// Page selects a part of a list; the zero Page is the first part, of the
// server's default length.
type Page struct {
	Limit  int
	Cursor string // Next of the part before
}

func (p Page) query() url.Values {
	q := url.Values{}
	setNumber(q, "limit", uint64(max(p.Limit, 0)))
	set(q, "cursor", p.Cursor)
	return q
}

func set(q url.Values, name, v string) {
	if v != "" {
		q.Set(name, v)
	}
}

func setNumber(q url.Values, name string, n uint64) {
	if n > 0 {
		q.Set(name, strconv.FormatUint(n, 10))
	}
}

// List is a part of a list. Next is empty in the last part.
type List[T any] struct {
	Items []T
	Next  string
}

// list runs an operation whose answer is an array.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) (List[T], error) {
	var out List[T]
	var h http.Header
	err := c.do(ctx, op{method: http.MethodGet, path: path, query: query, header: &h}, &out.Items)
	if h.Get("X-Has-More") == "true" {
		out.Next = h.Get("X-Next-Cursor")
	}
	return out, err
}

// items returns a part of a list whose answer is an object.
func items[T any](ctx context.Context, c *Client, path string, query url.Values) (List[T], error) {
	out, err := read[struct {
		Items  []T    `json:"items"`
		Cursor string `json:"cursor"`
		Next   string `json:"next_cursor"`
	}](ctx, c, path, query)
	return List[T]{Items: out.Items, Next: cmp.Or(out.Cursor, out.Next)}, err
}

func threadPath(id string, more ...string) string {
	return joined("/v1/chat/threads/", append([]string{id}, more...))
}

func groupPath(id string, more ...string) string {
	return joined("/v1/groups/", append([]string{id}, more...))
}

func joined(path string, parts []string) string {
	for i, part := range parts {
		if i > 0 {
			path += "/"
		}
		path += url.PathEscape(part)
	}
	return path
}

// CreateThread creates a thread that the caller owns.
func (c *Client) CreateThread(ctx context.Context, in NewThread, opts ...CallOption) (Thread, error) {
	return write[Thread](ctx, c, http.MethodPost, "/v1/chat/threads", in, opts)
}

// Direct starts the direct thread of the caller and another user, or returns the caller
// to it. Two users have one, however often each of them starts it.
func (c *Client) Direct(ctx context.Context, userID string, opts ...CallOption) (Thread, error) {
	return write[Thread](ctx, c, http.MethodPut, joined("/v1/chat/direct/", []string{userID}), nil, opts)
}

// Threads lists threads, newest first. With a scope, it lists the scope's
// public threads and those of its threads that the caller belongs to; without
// one, all threads of the caller.
func (c *Client) Threads(ctx context.Context, scopeID string, page Page) (List[Thread], error) {
	q := page.query()
	set(q, "scope_id", scopeID)
	return list[Thread](ctx, c, "/v1/chat/threads", q)
}

// ArchivedThreads lists the caller's archived threads, which Threads leaves out.
func (c *Client) ArchivedThreads(ctx context.Context, page Page) (List[Thread], error) {
	q := page.query()
	q.Set("archived", "true")
	return list[Thread](ctx, c, "/v1/chat/threads", q)
}

// UpdateThread changes the name, topic, icon or slow mode of a thread, or archives it. It
// returns the thread as it is then.
func (c *Client) UpdateThread(ctx context.Context, id string, change ThreadChange, opts ...CallOption) (Thread, error) {
	return write[Thread](ctx, c, http.MethodPatch, threadPath(id), change, opts)
}

// Thread returns a thread.
func (c *Client) Thread(ctx context.Context, id string) (Thread, error) {
	return read[Thread](ctx, c, threadPath(id), nil)
}

// JoinThread makes the caller a member of a public thread.
func (c *Client) JoinThread(ctx context.Context, id string, opts ...CallOption) (Member, error) {
	return write[Member](ctx, c, http.MethodPost, threadPath(id, "join"), nil, opts)
}

// LeaveThread ends the caller's membership.
func (c *Client) LeaveThread(ctx context.Context, id string, opts ...CallOption) (Member, error) {
	return write[Member](ctx, c, http.MethodPost, threadPath(id, "leave"), nil, opts)
}

// Members lists a thread's active members by user id.
func (c *Client) Members(ctx context.Context, id string, page Page) (List[Member], error) {
	return list[Member](ctx, c, threadPath(id, "members"), page.query())
}

// AddMember makes a user a member. An empty role means an ordinary member.
func (c *Client) AddMember(ctx context.Context, id, userID, role string, opts ...CallOption) (Member, error) {
	return write[Member](ctx, c, http.MethodPost, threadPath(id, "members"), roleOf{userID, role}, opts)
}

// RemoveMember ends a user's membership. After it returns, no further event of
// the thread is delivered to that user.
func (c *Client) RemoveMember(ctx context.Context, id, userID string, opts ...CallOption) (Member, error) {
	return write[Member](ctx, c, http.MethodDelete, threadPath(id, "members", userID), nil, opts)
}

// MuteMember keeps a member from sending until a time, in milliseconds since
// the Unix epoch; 0 ends the mute.
func (c *Client) MuteMember(ctx context.Context, id, userID string, untilMS int64, opts ...CallOption) (Member, error) {
	return write[Member](ctx, c, http.MethodPost, threadPath(id, "members", userID, "mute"), fields{"until_ms": untilMS}, opts)
}

// MuteThread mutes a thread for the caller alone until a time, in milliseconds since
// the Unix epoch; 0 is without an end.
func (c *Client) MuteThread(ctx context.Context, id string, untilMS int64, opts ...CallOption) (Thread, error) {
	body := struct {
		UntilMS int64 `json:"until_ms,omitempty"`
	}{untilMS}
	return write[Thread](ctx, c, http.MethodPut, threadPath(id, "mute"), body, opts)
}

// UnmuteThread lifts the caller's mute of a thread.
func (c *Client) UnmuteThread(ctx context.Context, id string, opts ...CallOption) (Thread, error) {
	return write[Thread](ctx, c, http.MethodDelete, threadPath(id, "mute"), nil, opts)
}

// SetMemberRole changes a member's role: owner, admin, member.
func (c *Client) SetMemberRole(ctx context.Context, id, userID, role string, opts ...CallOption) (Member, error) {
	return write[Member](ctx, c, http.MethodPost, threadPath(id, "members", userID, "role"), roleOf{"", role}, opts)
}

// SetHistory sets the history policy for events from now on: "all", or
// "from_join" for members only from their joining.
func (c *Client) SetHistory(ctx context.Context, id, policy string, opts ...CallOption) (Thread, error) {
	return write[Thread](ctx, c, http.MethodPut, threadPath(id, "history"), fields{"policy": policy}, opts)
}

// roleOf is a request body that names a user, a role or both.
type roleOf struct {
	UserID string `json:"user_id,omitempty"`
	Role   string `json:"role,omitempty"`
}

// write runs an operation that changes something. The result is empty if the
// user may not read the changed stream: the server then sends a bare receipt.
// fields is a body of few fields.
type fields map[string]any

func write[T any](ctx context.Context, c *Client, method, path string, body any, opts []CallOption) (T, error) {
	var out T
	err := c.do(ctx, op{method: method, path: path, body: body, opts: opts}, &out)
	return out, err
}

func read[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	var out T
	err := c.do(ctx, op{method: http.MethodGet, path: path, query: query}, &out)
	return out, err
}
