// Package notifications serves the REST routes of a user's inbox, of what they have set
// for it, and of the users whom they block.
package notifications

import (
	"context"
	"net/http"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/store"
)

// Options are what the routes work with; all are required.
type Options struct {
	Box    *inbox.Box
	Engine httpapi.Executor
	Names  httpapi.Names
	Store  store.Loader
	Codec  *store.Codec
	Now    func() gotong.Instant
}

type routes struct{ Options }

const (
	tag  = "Notifications"
	path = "/v1/notifications"
)

// Routes returns the routes under /v1/notifications and /v1/blocks.
func Routes(opts Options) func(*httpapi.API) {
	r := &routes{opts}
	return func(api *httpapi.API) {
		httpapi.Register(api, httpapi.Route{
			ID: "list-notifications", Method: http.MethodGet, Path: path, Tag: tag, Summary: "List what concerns you",
			Description: "Newest first: mentions, replies to your messages, memberships, invitations, gates of cases and decisions on " +
				"your messages. The list has those that you may see now and have not switched off.",
		}, r.list)
		httpapi.Register(api, httpapi.Route{
			ID: "read-notification", Method: http.MethodPost, Path: path + "/{id}/read", Tag: tag, Write: true,
			Subject: "The notification's id.", Summary: "Mark a notification as read",
			Description: "A mark covers a part of the inbox, a sixteenth of all groups and scopes: " +
				"the older notifications of that part become read, too.",
		}, r.read)
		httpapi.Register(api, httpapi.Route{
			ID: "read-notifications", Method: http.MethodPost, Path: path + "/read", Tag: tag, Write: true,
			Summary: "Mark all notifications as read",
			Description: "All, or those up to one. No record of the Idempotency-Key is kept, because marks are no events and only move " +
				"forward: a late repetition without up_to also marks what arrived in between.",
		}, r.readAll)
		httpapi.Register(api, httpapi.Route{
			ID: "count-notifications", Method: http.MethodGet, Path: path + "/unread-count", Tag: tag,
			Summary: "Count unread notifications", Description: "Up to 99: as many as the list of unread notifications has.",
		}, r.count)
		httpapi.Register(api, httpapi.Route{
			ID: "get-weekly-digest", Method: http.MethodGet, Path: path + "/weekly-digest", Tag: tag,
			Summary:     "Get what concerned you in a week",
			Description: "The notifications of a window of time, by default the last 7 days, grouped by kind and thread, group or case.",
		}, r.digest)
		r.settingRoutes(api)
	}
}

// Notification is one item of an inbox. What is absent is not shown to you now.
type Notification struct {
	ID          string         `json:"notification_id"`
	Kind        inbox.Kind     `json:"kind" enum:"siaga,mention,reply,added,removed,invited,declined,gate_opened,gate_closing,decided"`
	CreatedAtMS int64          `json:"created_at_ms"`
	ReadAtMS    int64          `json:"read_at_ms,omitempty" doc:"When you read it, exact for the last eight marks of a part of the inbox. Absent: it is unread."`
	Actor       *User          `json:"actor,omitempty"`
	Stream      gotong.Stream  `json:"stream,omitempty" doc:"The thread, group or case, as kind/id."`
	Title       string         `json:"title,omitempty" doc:"Its name or title."`
	Seq         uint64         `json:"seq,omitempty" doc:"The event in the stream."`
	MessageID   gotong.EventID `json:"message_id,omitzero"`
	Body        string         `json:"body,omitempty" doc:"The text of the message, up to 280 characters."`
	Decision    string         `json:"decision,omitempty" doc:"The type of the event that decides about your message, such as message.held."`
	Description string         `json:"description,omitempty" doc:"Of the group of an invitation."`
	ExpiresAtMS int64          `json:"expires_at_ms,omitempty" doc:"The end of an invitation, or of the window of a gate."`
	Transition  uint64         `json:"transition,omitempty" doc:"The gate of the case."`
}

// User is a user with their name.
type User struct {
	UserID string `json:"user_id"`
	Name   string `json:"name"`
}

// Notifications is a page of an inbox.
type Notifications struct {
	Items      []Notification `json:"items"`
	NextCursor string         `json:"next_cursor,omitempty"`
}

// NextPage implements [httpapi.Paged].
func (n Notifications) NextPage() (parameter, value string) { return "cursor", n.NextCursor }

type listIn struct {
	Limit       int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"The maximum number of items."`
	Cursor      string `query:"cursor" doc:"next_cursor of the previous page."`
	IncludeRead bool   `query:"include_read" doc:"True: also those that you have read."`
}

func viewer(ctx context.Context) gotong.Viewer { return httpapi.CallOf(ctx).Principal.Viewer() }

func (r *routes) list(ctx context.Context, in *listIn) (*httpapi.Out[Notifications], error) {
	before, err := cursor(in.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := r.Box.List(ctx, viewer(ctx), inbox.Query{Before: before, Limit: in.Limit, Unread: !in.IncludeRead})
	if err != nil {
		return nil, err
	}
	out := Notifications{Items: r.views(ctx, page.Items)}
	if page.Next != (inbox.ID{}) {
		out.NextCursor = page.Next.String()
	}
	return httpapi.Reply(out, nil)
}

func cursor(s string) (inbox.ID, error) {
	if s == "" {
		return inbox.ID{}, nil
	}
	id, err := inbox.ParseID(s)
	if err != nil {
		err = gotong.NewError(gotong.CodeCursorInvalid, "The cursor is malformed; leave it out for the first page.")
	}
	return id, err
}

// views returns items as clients get them.
func (r *routes) views(ctx context.Context, items []inbox.Shown) []Notification {
	var ids []string
	for _, i := range items {
		if i.By != "" {
			ids = append(ids, i.By)
		}
	}
	names := r.Names(ctx, ids)
	list := make([]Notification, len(items))
	for n, i := range items {
		list[n] = viewOf(i, names)
	}
	return list
}

// maxBody is how many characters of a message a notification has.
const maxBody = 280

func viewOf(i inbox.Shown, names map[string]string) Notification {
	v := Notification{
		ID: i.ID.String(), Kind: i.Kind, CreatedAtMS: i.At.Milli(), ReadAtMS: i.ReadAt.Milli(), Stream: i.Stream, Title: i.Title,
		Body: i.Text, Decision: i.Decision, Description: i.Description, ExpiresAtMS: i.UntilMS,
	}
	if text := []rune(v.Body); len(text) > maxBody {
		v.Body = string(text[:maxBody])
	}
	if i.By != "" {
		v.Actor = &User{UserID: i.By, Name: names[i.By]}
	}
	if i.Event == nil {
		return v
	}
	v.Seq = i.Event.Seq
	switch d := i.Event.Data.(type) {
	case thread.Posted:
		v.MessageID = i.Event.ID
	case cases.Proposed:
		v.Transition, v.ExpiresAtMS = d.Seq, d.ClosesAt.Milli()
	case cases.Reminded:
		v.Transition, v.ExpiresAtMS = d.Gate, d.ClosesAt.Milli()
	}
	return v
}

func (r *routes) read(ctx context.Context, in *httpapi.SentNothing) (*httpapi.Out[Notification], error) {
	id, err := inbox.ParseID(in.ID)
	if err != nil {
		return nil, err
	}
	shown, err := r.Box.Read(ctx, viewer(ctx), id)
	if err != nil {
		return nil, err
	}
	return httpapi.Reply(r.views(ctx, []inbox.Shown{shown})[0], nil)
}

// ReadAll is the body of marking notifications as read.
type ReadAll struct {
	UpTo string `json:"up_to,omitempty" doc:"The id of the newest notification to mark; by default, all are."`
}

type readAllIn struct {
	JSON httpapi.OptionalBody[ReadAll]
}

// UnreadCount is the number of unread notifications.
type UnreadCount struct {
	UnreadCount int `json:"unread_count" minimum:"0" maximum:"99"`
}

func (r *routes) readAll(ctx context.Context, in *readAllIn) (*httpapi.Out[UnreadCount], error) {
	var upTo inbox.ID
	if s := in.JSON.Value.UpTo; s != "" {
		var err error
		if upTo, err = inbox.ParseID(s); err != nil {
			return nil, gotong.Invalid("up_to", "must be the id of a notification")
		}
	}
	if err := r.Box.ReadAll(ctx, viewer(ctx), upTo); err != nil {
		return nil, err
	}
	return r.count(ctx, nil)
}

func (r *routes) count(ctx context.Context, _ *struct{}) (*httpapi.Out[UnreadCount], error) {
	n, err := r.Box.Unread(ctx, viewer(ctx))
	return httpapi.Reply(UnreadCount{n}, err)
}

type digestIn struct {
	StartMS int64 `query:"window_start_ms" minimum:"0" doc:"By default, 7 days before the end."`
	EndMS   int64 `query:"window_end_ms" minimum:"0" doc:"By default, now."`
}

// Digest is what concerned a user in a window of time.
type Digest struct {
	UserID        string        `json:"user_id"`
	WindowStartMS int64         `json:"window_start_ms"`
	WindowEndMS   int64         `json:"window_end_ms"`
	GeneratedAtMS int64         `json:"generated_at_ms"`
	UnreadCount   int           `json:"unread_count" minimum:"0" maximum:"99"`
	Events        []DigestEntry `json:"events" doc:"The newest first."`
	Truncated     bool          `json:"truncated,omitempty" doc:"There were more than 500 notifications; the oldest are left out."`
}

// DigestEntry is the notifications of one kind about one thread, group or case.
type DigestEntry struct {
	Count  int          `json:"count" minimum:"1"`
	Newest Notification `json:"newest"`
}

// maxDigest is how many notifications a digest counts.
const maxDigest = 500

func (r *routes) digest(ctx context.Context, in *digestIn) (*httpapi.Out[Digest], error) {
	me, now := viewer(ctx), r.Now()
	d := Digest{UserID: me.UserID, WindowStartMS: in.StartMS, WindowEndMS: in.EndMS, GeneratedAtMS: now.Milli(), Events: []DigestEntry{}}
	if d.WindowEndMS == 0 {
		d.WindowEndMS = now.Milli()
	}
	if d.WindowStartMS == 0 {
		d.WindowStartMS = max(0, d.WindowEndMS-(7*24*time.Hour).Milliseconds())
	}
	if !gotong.ValidTime(d.WindowEndMS) || d.WindowStartMS >= d.WindowEndMS {
		return nil, gotong.Invalid("window_start_ms", "must be before the end of the window")
	}
	from, to := uint64(d.WindowStartMS)*1000, uint64(d.WindowEndMS)*1000 //nolint:gosec // both are after 1970
	page, err := r.Box.Find(ctx, me, inbox.Query{Since: from, Before: inbox.ID{Number: to}, Limit: maxDigest})
	if err != nil {
		return nil, err
	}
	d.Truncated = page.Next != inbox.ID{}
	at := map[string]int{}
	for _, v := range r.views(ctx, page.Items) {
		key := string(v.Kind) + " " + string(v.Stream)
		if n, ok := at[key]; ok {
			d.Events[n].Count++
			continue
		}
		at[key] = len(d.Events)
		d.Events = append(d.Events, DigestEntry{1, v})
	}
	d.UnreadCount, err = r.Box.Unread(ctx, me)
	return httpapi.Reply(d, err)
}
