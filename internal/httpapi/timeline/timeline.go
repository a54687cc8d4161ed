// Package timeline serves the events of one stream as a list with filters: who did
// what, and when. Each kind registers its route with it.
//
// # Caveats
//
// A filter reads over events that do not fit. One request reads up to 10,000 of
// them; the next page then begins where it stopped, also if nothing was found.
package timeline

import (
	"context"
	"net/http"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/view"
)

// Entry is one event.
type Entry struct {
	EventID      gotong.EventID `json:"event_id"`
	Seq          uint64         `json:"seq"`
	Type         string         `json:"type"`
	Actor        Actor          `json:"actor"`
	At           gotong.Instant `json:"at" format:"date-time"`
	OccurredAtMS int64          `json:"occurred_at_ms"`
	Data         any            `json:"data" doc:"The data of the event, as AsyncAPI describes it."`
	Content      any            `json:"content,omitempty" doc:"Its content; absent if there is none or it was erased."`
	EventHash    string         `json:"event_hash" doc:"The chain value of the event."`
}

// Actor is the user who acted, as the event keeps them, with their present name.
type Actor struct {
	UserID        string      `json:"user_id"`
	Username      string      `json:"username"`
	Name          string      `json:"name" doc:"The name that others see."`
	TokenRole     gotong.Role `json:"token_role"`
	RequestID     string      `json:"request_id"`
	CorrelationID string      `json:"correlation_id"`
	RequestTSMS   int64       `json:"request_ts_ms"`
}

// ActorOf returns the actor of an event, with their names by id.
func ActorOf(e gotong.Event, users, names map[string]string) Actor {
	return Actor{
		UserID: e.Actor.UserID, Username: users[e.Actor.UserID], Name: names[e.Actor.UserID], TokenRole: e.Actor.Role,
		RequestID: e.RequestID, CorrelationID: e.CorrelationID,
		RequestTSMS: e.At.Milli(),
	}
}

// Query selects a page of events.
type Query struct {
	Type     string `query:"type" maxLength:"64" doc:"Only events of this type."`
	Actor    string `query:"actor" maxLength:"128" doc:"Only events by this user."`
	AfterSeq string `query:"after_seq" doc:"X-Next-Seq of the previous page."`
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The maximum number of events."`
}

// Out is a page of entries of the type E.
type Out[E any] struct {
	AsOf    string `header:"X-As-Of"`
	HasMore bool   `header:"X-Has-More"`
	NextSeq string `header:"X-Next-Seq" doc:"The position for the next page, as after_seq."`
	Body    []E
}

// NextPage implements [httpapi.Paged].
func (o *Out[E]) NextPage() (parameter, value string) {
	if !o.HasMore {
		return "", ""
	}
	return "after_seq", o.NextSeq
}

// Source is where the events are read.
type Source struct {
	Views *view.Views
	Names httpapi.Names // that others see
	Users httpapi.Names // user names
}

// The bounds of one response: the events of one read, and the reads.
const (
	pageEvents = 500
	maxReads   = 20
)

// Read returns a page of what the caller may see of a stream, oldest first. fits,
// if not nil, is one more filter; show makes the entry.
func Read[E any](
	ctx context.Context, from Source, stream gotong.Stream, in Query, fits func(gotong.Event) bool, show func(Entry, gotong.Event) E,
) (*Out[E], error) {
	q := view.Query{Stream: stream, Limit: pageEvents}
	if in.AfterSeq != "" && in.AfterSeq != "start" {
		var err error
		if q.From, err = httpapi.Position(ctx, in.AfterSeq); err != nil {
			return nil, err
		}
	}
	out, found := &Out[E]{Body: []E{}}, []view.Event{}
	for range maxReads {
		page, err := from.Views.Read(ctx, httpapi.CallOf(ctx).Principal.Viewer(), q)
		if err != nil {
			return nil, err
		}
		if out.AsOf == "" {
			out.AsOf = httpapi.AsOf(ctx, page.Head.Seq)
		}
		for _, e := range page.Events {
			if in.fits(e.Event) && (fits == nil || fits(e.Event)) {
				found = append(found, e)
			}
		}
		q.From, out.HasMore = page.To, !page.Done
		if page.Done || len(found) > in.Limit {
			break
		}
	}
	if len(found) > in.Limit {
		found, out.HasMore = found[:in.Limit], true
		q.From = found[in.Limit-1].Seq
	}
	out.NextSeq = httpapi.AsOf(ctx, q.From)
	for i, e := range from.entries(ctx, found) {
		out.Body = append(out.Body, show(e, found[i].Event))
	}
	return out, nil
}

func (in Query) fits(e gotong.Event) bool {
	return (in.Type == "" || in.Type == e.Type) && (in.Actor == "" || in.Actor == e.Actor.UserID)
}

func (from Source) entries(ctx context.Context, events []view.Event) []Entry {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.Actor.UserID
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	names, users := from.Names(ctx, ids), from.Users(ctx, ids)
	list := make([]Entry, len(events))
	for i, e := range events {
		list[i] = Entry{
			EventID: e.ID, Seq: e.Seq, Type: e.Type, Actor: ActorOf(e.Event, users, names),
			At: e.At, OccurredAtMS: e.At.Milli(), Data: e.Data, Content: e.Content, EventHash: e.Chain.String(),
		}
	}
	return list
}

type in struct {
	httpapi.In
	Query
}

// Register registers the route of a kind whose entries have nothing of their own,
// below the path of one stream.
func Register(api *httpapi.API, from Source, of httpapi.Streams, route httpapi.Route) {
	route.Method, route.Path = http.MethodGet, route.Path+"/{id}/timeline"
	httpapi.Register(api, route, func(ctx context.Context, in *in) (*Out[Entry], error) {
		stream, err := of.Stream(in.ID)
		if err != nil {
			return nil, err
		}
		return Read(ctx, from, stream, in.Query, nil, func(e Entry, _ gotong.Event) Entry { return e })
	})
}
