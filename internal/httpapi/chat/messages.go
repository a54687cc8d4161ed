package chat

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

func (c *chat) messageRoutes(api *httpapi.API) {
	const base = "/v1/chat/threads/{id}/messages"
	const about = "In ascending order. Without a position: the newest. With after_seq, or the tuple (since_created_at_ms, " +
		"since_message_id): the oldest after it. With before_seq: the newest before it. X-Has-More: true means that there are " +
		"more, and X-Next-Seq is the next after_seq or before_seq. A position is epoch:seq; one from before a restored backup " +
		"gets 409 epoch_changed."
	httpapi.Register(api, httpapi.Route{
		ID: "list-messages", Method: http.MethodGet, Path: base, Tag: tagMessages, Summary: "Read messages", Description: about,
	}, c.listMessages)
	httpapi.Register(api, httpapi.Route{
		ID: "get-message", Method: http.MethodGet, Path: base + "/{mid}", Tag: tagMessages, Summary: "Get a message",
	}, c.getMessage)
	httpapi.Register(api, httpapi.Route{
		ID: "poll-messages", Method: http.MethodGet, Path: base + "/poll", Tag: tagMessages,
		Summary: "Read messages (for earlier clients)", Successor: "../messages",
		Description: about + " It never waits; use /v1/realtime/poll to wait.",
	}, c.listMessages)
}

type listMessagesIn struct {
	InThread
	SinceMS   int64          `query:"since_created_at_ms" minimum:"0"`
	SinceID   gotong.EventID `query:"since_message_id"`
	AfterSeq  string         `query:"after_seq" doc:"A position, or start."`
	BeforeSeq string         `query:"before_seq" doc:"A position."`
	Limit     int            `query:"limit" minimum:"1" maximum:"200" default:"50"`
	MinSeq    string         `query:"min_seq" doc:"Wait until the thread has the event at this position; 503 not_yet after 5 s."`

	given              map[string]bool
	after, before, min uint64 // the seqs of the positions; 0 if absent
}

// Resolve parses the positions, and notes which parameters are present, because 0
// is a position too; huma calls it.
func (in *listMessagesIn) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	in.given = map[string]bool{}
	for name := range u.Query() {
		in.given[name] = true
	}
	if in.given["since_message_id"] && !in.given["since_created_at_ms"] {
		return []error{gotong.NewError(httpapi.CodeBadRequest, "since_message_id needs since_created_at_ms.")}
	}
	positions := 0
	for _, name := range [...]string{"since_created_at_ms", "after_seq", "before_seq"} {
		if in.given[name] {
			positions++
		}
	}
	if positions > 1 {
		return []error{gotong.NewError(httpapi.CodeBadRequest, "Give one position: after_seq, before_seq or the since tuple.")}
	}
	for _, p := range [...]struct {
		text string
		into *uint64
	}{{in.AfterSeq, &in.after}, {in.BeforeSeq, &in.before}, {in.MinSeq, &in.min}} {
		if p.text == "" || p.into == &in.after && p.text == "start" {
			continue
		}
		var err error
		if *p.into, err = httpapi.Position(ctx.Context(), p.text); err != nil {
			return []error{err}
		}
	}
	return in.InThread.Resolve(ctx)
}

type messagesOut struct {
	AsOf    string `header:"X-As-Of"`
	HasMore bool   `header:"X-Has-More"`
	NextSeq string `header:"X-Next-Seq" doc:"The position for the next page, as after_seq or before_seq."`
	Body    []MessageView

	next string // the parameter that takes NextSeq
}

// NextPage implements [httpapi.Paged].
func (o *messagesOut) NextPage() (parameter, value string) {
	if !o.HasMore {
		return "", ""
	}
	return o.next, o.NextSeq
}

func (c *chat) listMessages(ctx context.Context, in *listMessagesIn) (*messagesOut, error) {
	first, err := c.Views.Read(ctx, viewer(ctx), view.Query{Stream: in.stream, MinSeq: in.min})
	if err != nil {
		return nil, err
	}
	q := view.Query{Stream: in.stream, Limit: pageEvents, Descending: true}
	switch {
	case in.given["since_created_at_ms"]:
		q.Descending = false
		if q.From, err = c.seqSince(ctx, in.stream, first.Head.Seq, in.SinceMS, in.SinceID); err != nil {
			return nil, err
		}
	case in.given["after_seq"]:
		q.Descending, q.From = false, in.after
	case in.given["before_seq"]:
		q.To = max(1, in.before) - 1
		if q.To == 0 {
			return &messagesOut{AsOf: httpapi.AsOf(ctx, first.Head.Seq), NextSeq: httpapi.AsOf(ctx, 0), Body: []MessageView{}}, nil
		}
	}
	if max(q.From, q.To) > first.Head.Seq {
		return nil, gotong.NewError(gotong.CodeCursorAhead, "The position is ahead of the thread.")
	}
	return c.collect(ctx, q, in.Limit)
}

// The bounds of one response: the events of one read, and the reads.
const (
	pageEvents = 500
	maxReads   = 40
)

// collect reads events until it has enough messages. If a thread has few messages
// among many other events, it stops earlier and returns where to continue.
func (c *chat) collect(ctx context.Context, q view.Query, limit int) (*messagesOut, error) {
	out := &messagesOut{next: "after_seq"}
	if q.Descending {
		out.next = "before_seq"
	}
	var found []view.Event
	var first view.Page
	for range maxReads {
		page, err := c.Views.Read(ctx, viewer(ctx), q)
		if code := gotong.CodeOf(err); out.AsOf != "" && (code == gotong.CodeCorruptEvent || code == gotong.CodeUnreadable) {
			break // the next page begins with this event and reports it
		}
		if err != nil {
			return nil, err
		}
		if out.AsOf == "" {
			out.AsOf, first = httpapi.AsOf(ctx, page.Head.Seq), page
		}
		for _, e := range page.Events {
			if _, ok := messageOf(e, nil); ok {
				found = append(found, e)
			}
		}
		out.HasMore = !page.Done || len(found) > limit
		if q.Descending {
			q.To, out.NextSeq = page.From, httpapi.AsOf(ctx, page.From+1)
		} else {
			q.From, out.NextSeq = page.To, httpapi.AsOf(ctx, page.To)
		}
		if page.Done || len(found) > limit {
			break
		}
	}
	if len(found) > limit {
		found = found[:limit]
	}
	if len(found) == limit {
		out.NextSeq = httpapi.AsOf(ctx, found[limit-1].Seq)
	}
	if q.Descending {
		slices.Reverse(found)
	}
	var err error
	out.Body, err = c.shown(ctx, first, found)
	return out, err
}

// render returns the views of messages, with the names of their authors and of the
// users whom they mention.
func (c *chat) render(ctx context.Context, events []view.Event) []MessageView {
	var ids []string
	for _, e := range events {
		ids = append(ids, e.Actor.UserID)
		if posted, ok := e.Data.(thread.Posted); ok {
			ids = append(ids, posted.Named()...)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	names := c.Names(ctx, ids)
	list := make([]MessageView, 0, len(events))
	for _, e := range events {
		if m, ok := messageOf(e, names); ok {
			list = append(list, m)
		}
	}
	return list
}

// seqSince returns the seq of the last event that is not strictly after the tuple.
func (c *chat) seqSince(
	ctx context.Context, stream gotong.Stream, head uint64, ms int64, id gotong.EventID,
) (uint64, error) {
	return store.SeqAfter(ctx, c.Store, stream, head, func(e *store.Event) bool {
		if e.At.Milli() != ms {
			return e.At.Milli() > ms
		}
		return !id.IsZero() && e.ID.Compare(id) > 0
	})
}

// InMessage names a message in the path.
type InMessage struct {
	InThread
	MessageID string `path:"mid" doc:"The message's id."`
	message   gotong.EventID
}

// Resolve parses the ids; huma calls it.
func (in *InMessage) Resolve(ctx huma.Context) []error {
	var err error
	if in.message, err = gotong.ParseEventID(in.MessageID); err != nil {
		return []error{gotong.NotFound()}
	}
	return in.InThread.Resolve(ctx)
}

type getMessageIn struct {
	InMessage
	IfNoneMatch string `header:"If-None-Match"`
}

func (c *chat) getMessage(ctx context.Context, in *getMessageIn) (*httpapi.Shown[MessageView], error) {
	view, head, err := c.find(ctx, in.stream, in.message)
	if err != nil {
		return nil, err
	}
	return httpapi.Show(view, httpapi.AsOf(ctx, head), in.IfNoneMatch), nil
}

// find returns a message by its id, if the caller may see it, and the seq of the
// thread's head. It authorises before it searches, so that the time it takes
// reveals nothing.
func (c *chat) find(ctx context.Context, stream gotong.Stream, id gotong.EventID) (MessageView, uint64, error) {
	page, err := c.Views.Read(ctx, viewer(ctx), view.Query{Stream: stream})
	if err != nil {
		return MessageView{}, 0, err
	}
	row, ok, err := store.FindEvent(ctx, c.Store, stream, id, page.Head.Seq)
	if err != nil {
		return MessageView{}, 0, err
	}
	if !ok {
		return MessageView{}, 0, gotong.NotFound()
	}
	view, err := c.message(ctx, stream, row.Seq)
	return view, page.Head.Seq, err
}

// message returns the message that the event seq posted.
func (c *chat) message(ctx context.Context, stream gotong.Stream, seq uint64) (MessageView, error) {
	page, err := c.Views.Read(ctx, viewer(ctx), view.Query{Stream: stream, From: seq - 1, To: seq, Limit: 1})
	if err != nil {
		return MessageView{}, err
	}
	list, err := c.shown(ctx, page, page.Events)
	if err == nil && len(list) == 0 {
		err = gotong.NotFound()
	}
	if err != nil {
		return MessageView{}, err
	}
	return list[0], nil
}
