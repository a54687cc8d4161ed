package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"gotong.dev/gotong"
)

// Notification is one item of the caller's inbox. What is empty is not shown to them.
type Notification struct {
	ID          string         `json:"notification_id"`
	Kind        string         `json:"kind"` // siaga, mention, reply, added, removed, invited, declined, gate_opened, gate_closing, decided
	CreatedAtMS int64          `json:"created_at_ms"`
	ReadAtMS    int64          `json:"read_at_ms"` // 0: it is unread
	Actor       Author         `json:"actor"`
	Stream      gotong.Stream  `json:"stream"`
	Title       string         `json:"title"` // of the thread, group or case
	Seq         uint64         `json:"seq"`
	MessageID   gotong.EventID `json:"message_id"`
	Body        string         `json:"body"`        // of the message, up to 280 characters
	Decision    string         `json:"decision"`    // the type of the event that decides about the caller's message
	Description string         `json:"description"` // of the group of an invitation
	ExpiresAtMS int64          `json:"expires_at_ms"`
	Transition  uint64         `json:"transition"` // the gate of the case
}

// Notifications lists what concerns the caller, newest first: what is unread, or all.
func (c *Client) Notifications(ctx context.Context, all bool, page Page) (List[Notification], error) {
	query := page.query()
	if all {
		query.Set("include_read", "true")
	}
	return items[Notification](ctx, c, "/v1/notifications", query)
}

// ReadNotification marks a notification, and older ones of its part of the inbox, as
// read.
func (c *Client) ReadNotification(ctx context.Context, id string, opts ...CallOption) (Notification, error) {
	return write[Notification](ctx, c, http.MethodPost, "/v1/notifications/"+url.PathEscape(id)+"/read", nil, opts)
}

type unreadCount struct {
	UnreadCount int `json:"unread_count"`
}

// ReadNotifications marks all notifications as read, or those up to one. It returns how
// many are unread then, counted to 99.
func (c *Client) ReadNotifications(ctx context.Context, upTo string, opts ...CallOption) (int, error) {
	body := map[string]string{}
	if upTo != "" {
		body["up_to"] = upTo
	}
	out, err := write[unreadCount](ctx, c, http.MethodPost, "/v1/notifications/read", body, opts)
	return out.UnreadCount, err
}

// UnreadNotifications counts the unread notifications, to 99.
func (c *Client) UnreadNotifications(ctx context.Context) (int, error) {
	out, err := read[unreadCount](ctx, c, "/v1/notifications/unread-count", nil)
	return out.UnreadCount, err
}

// Digest is what concerned the caller in a window of time.
type Digest struct {
	WindowStartMS int64 `json:"window_start_ms"`
	WindowEndMS   int64 `json:"window_end_ms"`
	UnreadCount   int   `json:"unread_count"`
	Truncated     bool  `json:"truncated"` // the oldest are left out
	Events        []struct {
		Count  int          `json:"count"`
		Newest Notification `json:"newest"`
	} `json:"events"`
}

// WeeklyDigest returns what concerned the caller in a window of time, grouped by kind
// and by thread, group or case. The bounds are Unix milliseconds; 0 to 0 is the last 7
// days.
func (c *Client) WeeklyDigest(ctx context.Context, startMS, endMS int64) (Digest, error) {
	query := url.Values{}
	for name, ms := range map[string]int64{"window_start_ms": startMS, "window_end_ms": endMS} {
		if ms > 0 {
			query.Set(name, strconv.FormatInt(ms, 10))
		}
	}
	return read[Digest](ctx, c, "/v1/notifications/weekly-digest", query)
}

// Preferences are what the caller has set for their notifications.
type Preferences struct {
	Kinds   map[string]bool   `json:"kinds,omitempty"`   // false: switched off
	Threads map[string]string `json:"threads,omitempty"` // by thread id: all, mentions, none
}

// Preferences returns the caller's preferences.
func (c *Client) Preferences(ctx context.Context) (Preferences, error) {
	return read[Preferences](ctx, c, "/v1/notifications/preferences", nil)
}

// SetPreferences sets those preferences that it names.
func (c *Client) SetPreferences(ctx context.Context, p Preferences, opts ...CallOption) (Preferences, error) {
	return write[Preferences](ctx, c, http.MethodPatch, "/v1/notifications/preferences", p, opts)
}

// Blocks lists the users whom the caller blocks.
func (c *Client) Blocks(ctx context.Context) ([]Author, error) {
	out, err := items[Author](ctx, c, "/v1/blocks", nil)
	return out.Items, err
}

// Block blocks a user: they can send the caller no direct messages and cause them no
// notifications. They do not learn of it.
func (c *Client) Block(ctx context.Context, userID string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPut, path: "/v1/blocks/" + url.PathEscape(userID), opts: opts}, nil)
}

// Unblock ends a block.
func (c *Client) Unblock(ctx context.Context, userID string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodDelete, path: "/v1/blocks/" + url.PathEscape(userID), opts: opts}, nil)
}
