package client

import (
	"context"
	"net/http"
	"net/url"

	"gotong.dev/gotong"
)

// ContentID returns the id of a message in moderation: of its thread, a colon, its own.
func ContentID(threadID string, message gotong.EventID) string {
	return threadID + ":" + message.String()
}

// Moderation is what was decided about a message. The variant says what the caller
// gets: Public, Author or Moderator.
type Moderation struct {
	Variant      string `json:"variant"`
	ContentID    string `json:"content_id"`
	Status       string `json:"moderation_status"` // processing, under_review, published or rejected
	Action       string `json:"moderation_action"`
	Noop         string `json:"noop,omitempty"` // why a request changed nothing; empty if it did
	Visible      bool   `json:"is_visible"`
	Label        string `json:"warning_label"`
	ReasonCode   string `json:"reason_code"`
	HeldBy       string `json:"held_by"` // advice, moderator, newcomer, reports or appeal
	ExpiresMS    int64  `json:"hold_expires_at_ms"`
	AutoRelease  bool   `json:"auto_release_if_no_action"` // the hold ends at that time by itself
	DecidedMS    int64  `json:"decided_at_ms"`
	AppealMS     int64  `json:"appeal_window_until_ms"`
	Appealed     bool   `json:"appealed"`
	AuthorID     string `json:"author_id"`
	Reports      int    `json:"report_count"`
	Flagged      bool   `json:"flagged"`
	WaitsSinceMS int64  `json:"waits_since_ms"`

	Decisions []DecisionTaken `json:"decisions,omitempty"` // for reviewers, oldest first; absent in the queue
	Looks     []Look          `json:"looks,omitempty"`     // likewise: the newest looks at what is opened
}

// DecisionTaken is one decision about a message.
type DecisionTaken struct {
	Seq        uint64  `json:"seq"`
	AtMS       int64   `json:"decided_at_ms"`
	Revision   uint64  `json:"revision,omitempty"`
	Status     string  `json:"moderation_status"`
	HeldBy     string  `json:"held_by,omitempty"`
	ReasonCode string  `json:"reason_code,omitempty"`
	Label      string  `json:"warning_label,omitempty"`
	DecidedBy  string  `json:"decided_by,omitempty"` // empty: the server
	Confidence float64 `json:"confidence,omitempty"`
	Grounds    Grounds `json:"grounds,omitzero"`
	Appeal     string  `json:"appeal,omitempty"` // what the author wrote
}

// Grounds are why a reviewer decided, for reviewers.
type Grounds struct {
	Reasoning  string      `json:"reasoning,omitempty"`
	Violations []Violation `json:"violations,omitempty"`
}

// Violation is one rule that the message breaks, in the reviewer's opinion.
type Violation struct {
	Category string `json:"category"`
	Severity string `json:"severity,omitempty"`
	Snippet  string `json:"snippet,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Look is one look of a reviewer at what a report or a hold opens.
type Look struct {
	UserID string `json:"user_id"`
	AtMS   int64  `json:"at_ms"`
}

// Verdict is a decision about a message.
type Verdict struct {
	ContentID     string  `json:"content_id"`
	Revision      *uint64 `json:"revision,omitempty"` // that the caller has read; nil: the newest
	Action        string  `json:"moderation_action"`  // publish_now, publish_with_warning, hold_for_review or block
	ReasonCode    string  `json:"reason_code,omitempty"`
	HoldMinutes   int     `json:"hold_duration_minutes,omitempty"`
	AutoRelease   bool    `json:"auto_release_if_no_action,omitempty"`
	AppealMinutes int     `json:"appeal_window_minutes,omitempty"`
	Reasoning     string  `json:"reasoning,omitempty"`
}

// Opened is what a report or a hold opens to a reviewer.
type Opened struct {
	Content  Moderation `json:"content"`
	Messages []struct {
		MessageID gotong.EventID `json:"message_id"`
		AuthorID  string         `json:"author_id"`
		Revisions []struct {
			Revision uint64 `json:"revision"`
			Body     string `json:"body"`
			AtMS     int64  `json:"at_ms"`
		} `json:"revisions"`
	} `json:"messages"`
	Reports []struct {
		Reason string `json:"reason"`
		Text   string `json:"text"`
		AtMS   int64  `json:"at_ms"`
	} `json:"reports"`
}

// NewReport is a report on a message.
type NewReport struct {
	ContentID string           `json:"content_id"`
	Reason    string           `json:"reason"`
	Text      string           `json:"text,omitempty"`
	Context   []gotong.EventID `json:"context,omitempty"` // up to 5 other messages of the thread
}

// Decide decides about a message. To decide again what is decided, with the same reason
// code, changes nothing; Noop of the result says so.
func (c *Client) Decide(ctx context.Context, v Verdict, opts ...CallOption) (Moderation, error) {
	return write[Moderation](ctx, c, http.MethodPost, "/v1/moderations", v, opts)
}

// Moderation returns what the caller may know of what was decided about a message.
func (c *Client) Moderation(ctx context.Context, contentID string) (Moderation, error) {
	return read[Moderation](ctx, c, moderationPath(contentID), nil)
}

// ReviewQueue returns what waits for the caller's decision, oldest first.
func (c *Client) ReviewQueue(ctx context.Context, page Page) (List[Moderation], error) {
	return list[Moderation](ctx, c, "/v1/moderations/review-queue", page.query())
}

// OpenContent returns the texts that a report or a hold opens. Each call is recorded.
func (c *Client) OpenContent(ctx context.Context, contentID string, opts ...CallOption) (Opened, error) {
	return write[Opened](ctx, c, http.MethodPost, moderationPath(contentID)+"/open", nil, opts)
}

// EndHold ends a hold whose time is over, for a platform admin whose server is late. Noop
// of the result says why it changed nothing. Before that time, the error has
// [gotong.CodeConflict].
func (c *Client) EndHold(ctx context.Context, contentID string, opts ...CallOption) (Moderation, error) {
	return write[Moderation](ctx, c, http.MethodPost, moderationPath(contentID)+"/end-hold", nil, opts)
}

// Appeal asks for a review of the decision about the caller's own message.
func (c *Client) Appeal(ctx context.Context, contentID, reason string, opts ...CallOption) (Moderation, error) {
	body := struct {
		Reason string `json:"reason,omitempty"`
	}{reason}
	return write[Moderation](ctx, c, http.MethodPost, moderationPath(contentID)+"/appeal", body, opts)
}

// Report reports a message to its reviewers. Nobody learns who reported it. A second
// report on a message changes nothing.
func (c *Client) Report(ctx context.Context, r NewReport, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: "/v1/reports", body: r, opts: opts}, &struct{}{})
}

func moderationPath(contentID string) string { return "/v1/moderations/" + url.PathEscape(contentID) }
