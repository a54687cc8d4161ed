package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"gotong.dev/gotong"
)

// Message is a message as the caller may see it.
type Message struct {
	ThreadID      string         `json:"thread_id"`
	MessageID     gotong.EventID `json:"message_id"`
	Seq           uint64         `json:"seq"`
	N             uint64         `json:"n"` // ordinal among the thread's messages
	Author        Author         `json:"author"`
	Body          string         `json:"body"`     // empty once it was deleted, or where it is withheld
	Erased        bool           `json:"erased"`   // its text was erased for good
	Withheld      bool           `json:"withheld"` // its newest text lies outside what the caller may see
	Held          bool           `json:"held"`     // for a review, or rejected; only its author gets the body
	Rejected      bool           `json:"rejected"` // by a reviewer
	Warning       string         `json:"warning"`  // the label with which a reviewer published it
	At            gotong.Instant `json:"at"`
	CreatedAtMS   int64          `json:"created_at_ms"`
	EditedAtMS    int64          `json:"edited_at_ms"`
	DeletedAtMS   int64          `json:"deleted_at_ms"`
	Revision      uint64         `json:"revision"` // 0 as posted
	ReplyTo       gotong.EventID `json:"reply_to"`
	Siaga         bool           `json:"siaga"` // an emergency broadcast
	Mentions      []Mention      `json:"mentions"`
	Attachments   []Attachment   `json:"attachments"`
	Reactions     []Reaction     `json:"reactions"`
	Replies       int            `json:"replies"` // that the caller may see; it stops at 999
	Pinned        bool           `json:"pinned"`
	RequestID     string         `json:"request_id"`
	CorrelationID string         `json:"correlation_id"`
	SentAtMS      int64          `json:"sent_at_ms"` // of an imported message
	SentBy        string         `json:"sent_by"`
}

// Author is the user who wrote a message.
type Author struct {
	UserID string `json:"user_id"`
	Name   string `json:"name"`
}

// Mention is a place in the body of a message that names users: one of them, all
// members, or those with a role. From and To are code points, half open.
type Mention struct {
	UserID string `json:"user_id"`
	Name   string `json:"name"`  // of that user, now
	Group  string `json:"group"` // here: all members
	Role   string `json:"role"`
	From   int    `json:"from"`
	To     int    `json:"to"`
}

// Reaction is an emoji on a message, with the users who put it there.
type Reaction struct {
	Emoji   string   `json:"emoji"`
	Count   int      `json:"count"`
	UserIDs []string `json:"user_ids"`
}

// NewMessage describes a message to be posted.
type NewMessage struct {
	Body        string         `json:"body"`                  // 1 to 4,000 characters, 16 KiB; with attachments it may be empty
	Attachments []string       `json:"attachments,omitempty"` // ids of the caller's uploads to the thread, at most 20
	ReplyTo     gotong.EventID `json:"reply_to,omitzero"`
	Siaga       bool           `json:"siaga,omitempty"`      // an emergency broadcast; for owners, admins and moderators
	SentAtMS    int64          `json:"sent_at_ms,omitempty"` // only in an import
	SentBy      string         `json:"sent_by,omitempty"`
}

// Range selects messages of a thread; the zero Range selects the newest.
// Messages are returned in ascending order, whatever the Range.
type Range struct {
	After   From  // [Start] or a cursor
	Before  From  // a cursor
	SinceMS int64 // with SinceID: after this (created_at_ms, message_id)
	SinceID gotong.EventID
	MinSeq  From // wait until the thread has the event at this cursor: read your write, see [Cursor]
	Limit   int
}

// Messages is a part of a thread's messages.
type Messages struct {
	Items []Message
	More  bool // there are others in the direction of the Range
	AsOf  From // the cursor of this state: follow from it
	Next  From // for Range: the After or Before of the next part
}

// Messages reads a part of a thread's history, as edits and deletions have left
// it.
func (c *Client) Messages(ctx context.Context, threadID string, r Range) (Messages, error) {
	q := url.Values{}
	for name, at := range map[string]From{"after_seq": r.After, "before_seq": r.Before, "min_seq": r.MinSeq} {
		if at != "" {
			q.Set(name, string(at))
		}
	}
	setNumber(q, "limit", uint64(max(r.Limit, 0)))
	setNumber(q, "since_created_at_ms", uint64(max(r.SinceMS, 0)))
	if !r.SinceID.IsZero() {
		q.Set("since_message_id", r.SinceID.String())
	}
	return c.messages(ctx, threadPath(threadID, "messages"), q)
}

func (c *Client) messages(ctx context.Context, path string, q url.Values) (out Messages, err error) {
	var h http.Header
	err = c.do(ctx, op{method: http.MethodGet, path: path, query: q, header: &h}, &out.Items)
	out.More, out.AsOf, out.Next = h.Get("X-Has-More") == "true", From(h.Get("X-As-Of")), From(h.Get("X-Next-Seq"))
	return out, err
}

// Replies reads a part of the replies to a message, deleted ones among them: the oldest
// after a cursor or, without one, the oldest. A limit of 0 leaves the number to the
// server.
func (c *Client) Replies(ctx context.Context, threadID string, id gotong.EventID, after From, limit int) (Messages, error) {
	q := url.Values{}
	if after != "" {
		q.Set("after_seq", string(after))
	}
	setNumber(q, "limit", uint64(max(limit, 0)))
	return c.messages(ctx, threadPath(threadID, "messages", id.String(), "replies"), q)
}

// Pins reads the pinned messages of a thread that the caller may see, at most 50, the
// newest pin first.
func (c *Client) Pins(ctx context.Context, threadID string) (Messages, error) {
	return c.messages(ctx, threadPath(threadID, "pins"), nil)
}

// Pin puts a message on the list of pinned messages, or takes it off.
func (c *Client) Pin(ctx context.Context, threadID string, id gotong.EventID, on bool, opts ...CallOption) (Message, error) {
	method := http.MethodDelete
	if on {
		method = http.MethodPut
	}
	return write[Message](ctx, c, method, threadPath(threadID, "messages", id.String(), "pin"), nil, opts)
}

// Message reads one message.
func (c *Client) Message(ctx context.Context, threadID string, id gotong.EventID) (Message, error) {
	return read[Message](ctx, c, threadPath(threadID, "messages", id.String()), nil)
}

// Send posts a message. When it returns without an error, the message has its
// final seq and survives a crash of the server.
func (c *Client) Send(ctx context.Context, threadID string, m NewMessage, opts ...CallOption) (Message, error) {
	return write[Message](ctx, c, http.MethodPost, threadPath(threadID, "messages", "send"), m, opts)
}

// EditMessage replaces the text of a message if the message has this revision;
// otherwise the error has [gotong.CodePrecondition].
func (c *Client) EditMessage(
	ctx context.Context, threadID string, id gotong.EventID, revision uint64, body string, opts ...CallOption,
) (Message, error) {
	in := struct {
		Body string `json:"body"`
	}{body}
	return write[Message](ctx, c, http.MethodPatch, threadPath(threadID, "messages", id.String()), in,
		append(opts, ifRevision(revision)))
}

// DeleteMessage deletes a message, whatever its revision.
func (c *Client) DeleteMessage(ctx context.Context, threadID string, id gotong.EventID, opts ...CallOption) (Message, error) {
	return write[Message](ctx, c, http.MethodDelete, threadPath(threadID, "messages", id.String()), nil, opts)
}

func ifRevision(n uint64) CallOption {
	return func(o *callOptions) { o.ifMatch = `"` + strconv.FormatUint(n, 10) + `"` }
}

// React adds the caller's emoji to a message, or removes it.
func (c *Client) React(
	ctx context.Context, threadID string, id gotong.EventID, emoji string, on bool, opts ...CallOption,
) (Message, error) {
	method := http.MethodDelete
	if on {
		method = http.MethodPut
	}
	return write[Message](ctx, c, method, threadPath(threadID, "messages", id.String(), "reactions", emoji), nil, opts)
}

// Mark is how far a user has read in a thread.
type Mark struct {
	Generation uint64 `json:"generation"` // incremented when messages are marked as unread
	N          uint64 `json:"n"`          // ordinal of the last message that was read; 0: none
}

// Replaces reports whether the mark holds where both are known, in whatever order they
// arrived: the one of the higher generation does or, in the same, the one further on.
func (m Mark) Replaces(other Mark) bool {
	return m.Generation > other.Generation || m.Generation == other.Generation && m.N > other.N
}

// Mark returns the mark in a signal of type "read"; ok is false for any other.
func (s Signal) Mark() (m Mark, ok bool) {
	ok = s.Type == "read" && json.Unmarshal(s.Data, &m) == nil
	return m, ok
}

// ReadCursor is the place up to which a user has read a thread.
type ReadCursor struct {
	ThreadID          string         `json:"thread_id"`
	UserID            string         `json:"user_id"`
	LastReadMessageID gotong.EventID `json:"last_read_message_id"` // zero after MarkUnread and ReadAll
	LastReadAtMS      int64          `json:"last_read_at_ms"`
	Seq               uint64         `json:"seq"`
	Mark
}

// ReadCursor returns how far the caller has read. If nothing was marked yet,
// the error has [gotong.CodeNotFound].
func (c *Client) ReadCursor(ctx context.Context, threadID string) (ReadCursor, error) {
	return read[ReadCursor](ctx, c, threadPath(threadID, "read-cursor"), nil)
}

// NewMark describes a mark to be set.
type NewMark struct {
	MessageID  gotong.EventID `json:"message_id"`
	Unread     bool           `json:"unread,omitempty"`     // mark this message and all after it as unread, instead of all up to it as read
	Generation *uint64        `json:"generation,omitempty"` // the one that is known: with an older one than the present, nothing changes; nil: any
}

// SetMark moves the caller's mark, and returns the one that holds.
func (c *Client) SetMark(ctx context.Context, threadID string, mark NewMark, opts ...CallOption) (ReadCursor, error) {
	return write[ReadCursor](ctx, c, http.MethodPost, threadPath(threadID, "read-cursor"), mark, opts)
}

// MarkRead moves the caller's mark to a message; it never moves back.
func (c *Client) MarkRead(ctx context.Context, threadID string, id gotong.EventID, opts ...CallOption) (ReadCursor, error) {
	return c.SetMark(ctx, threadID, NewMark{MessageID: id}, opts...)
}

// ReadAll marks the caller's threads as read, all or those of a scope, and returns how
// many marks moved.
func (c *Client) ReadAll(ctx context.Context, scopeID string, opts ...CallOption) (int, error) {
	body := struct {
		ScopeID string `json:"scope_id,omitempty"`
	}{scopeID}
	moved, err := write[struct{ Threads int }](ctx, c, http.MethodPost, "/v1/chat/unread/read", body, opts)
	return moved.Threads, err
}

// Count is how many messages the caller has not read, and how many of them mention the
// caller. Of each thread, they are counted to 999.
type Count struct {
	Unread   int `json:"unread"`
	Mentions int `json:"mentions"`
}

// Unread counts what the caller has not read of one thread.
type Unread struct {
	ThreadID string `json:"thread_id"`
	ScopeID  string `json:"scope_id"`
	Count
	Mark Mark   `json:"mark"`
	N    uint64 `json:"n"`
	AsOf From   `json:"as_of"`
}

// Unread returns the counts of the caller's threads, newest thread first.
func (c *Client) Unread(ctx context.Context, page Page) (List[Unread], error) {
	return list[Unread](ctx, c, "/v1/chat/unread", page.query())
}

// Found is a page of what a search found.
type Found struct {
	Items      []FoundMessage `json:"items"` // newest first
	Names      []FoundName    `json:"names"` // on the first page alone
	NextCursor string         `json:"next_cursor"`
	AsOf       []IndexAsOf    `json:"as_of"`
}

// FoundMessage is a message that fits a search.
type FoundMessage struct {
	ThreadID  string         `json:"thread_id"`
	MessageID gotong.EventID `json:"message_id"`
	Seq       uint64         `json:"seq"`
	N         uint64         `json:"n"`
	Author    Author         `json:"author"`
	At        gotong.Instant `json:"at"`
	SentAtMS  int64          `json:"sent_at_ms"` // of an imported message
	SentBy    string         `json:"sent_by"`
	Revision  uint64         `json:"revision"`
	Snippet   Snippet        `json:"snippet"`
	FileNames []Snippet      `json:"file_names,omitempty"`
}

// FoundName is the name of a group, a case or a thread that fits a search.
type FoundName struct {
	Kind    string  `json:"kind"`
	ID      string  `json:"id"`
	Snippet Snippet `json:"snippet"`
}

// Snippet is a part of a text. Marks are the parts that fit the query, in code
// points of Text, half open.
type Snippet struct {
	Text  string `json:"text"`
	Marks []struct {
		From int `json:"from"`
		To   int `json:"to"`
	} `json:"marks"`
	Cut bool `json:"cut"` // it is not the whole text
}

// IndexAsOf is how far the index had read a partition of the log that a searched
// thread is in.
type IndexAsOf struct {
	Partition uint64 `json:"partition"`
	Position  uint64 `json:"position"`
}

// Search returns the messages and names that fit a query, such as
// `"kerja bakti" from:wati after:2026-11-01`.
func (c *Client) Search(ctx context.Context, query string, page Page) (Found, error) {
	q := page.query()
	q.Set("query", query)
	return read[Found](ctx, c, "/v1/search", q)
}

// UnreadTotal counts what the caller has not read in all threads, and by scope.
type UnreadTotal struct {
	Count
	Scopes []struct {
		ScopeID string `json:"scope_id"`
		Count
	} `json:"scopes"`
}

// UnreadTotal returns the sums of the counts of the caller's threads.
func (c *Client) UnreadTotal(ctx context.Context) (UnreadTotal, error) {
	return read[UnreadTotal](ctx, c, "/v1/chat/unread/total", nil)
}
