package cases

import (
	"context"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/view"
)

// Entry is one event of a case.
type Entry struct {
	EventID      gotong.EventID `json:"event_id"`
	Seq          uint64         `json:"seq"`
	Type         string         `json:"type"`
	TransitionID string         `json:"transition_id,omitempty" doc:"The transition that the event is about."`
	Actor        ActorView      `json:"actor"`
	At           gotong.Instant `json:"at" format:"date-time"`
	OccurredAtMS int64          `json:"occurred_at_ms"`
	Data         any            `json:"data" doc:"The data of the event, as AsyncAPI describes it."`
	Content      any            `json:"content,omitempty" doc:"Its content; absent if there is none or it was erased."`
	EventHash    string         `json:"event_hash" doc:"The chain value of the event."`
}

type timelineIn struct {
	httpapi.In
	Type       string `query:"type" maxLength:"64" doc:"Only events of this type."`
	Actor      string `query:"actor" maxLength:"128" doc:"Only events by this user."`
	Transition string `query:"transition_id" maxLength:"192" doc:"Only events about this transition."`
	AfterSeq   string `query:"after_seq" doc:"X-Next-Seq of the previous page."`
	Limit      int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The maximum number of events."`
}

type timelineOut struct {
	AsOf    string `header:"X-As-Of"`
	HasMore bool   `header:"X-Has-More"`
	NextSeq string `header:"X-Next-Seq" doc:"The position for the next page, as after_seq."`
	Body    []Entry
}

// The bounds of one response: the events of one read, and the reads.
const (
	pageEvents = 500
	maxReads   = 20
)

func (r *routes) timeline(ctx context.Context, in *timelineIn) (*timelineOut, error) {
	stream, err := r.Stream(in.ID)
	if err != nil {
		return nil, err
	}
	q := view.Query{Stream: stream, Limit: pageEvents}
	if in.AfterSeq != "" && in.AfterSeq != "start" {
		if q.From, err = httpapi.Position(ctx, in.AfterSeq); err != nil {
			return nil, err
		}
	}
	out, found := &timelineOut{}, []view.Event{}
	for range maxReads {
		page, err := r.Views.Read(ctx, viewer(ctx), q)
		if err != nil {
			return nil, err
		}
		if out.AsOf == "" {
			out.AsOf = httpapi.AsOf(ctx, page.Head.Seq)
		}
		for _, e := range page.Events {
			if in.fits(e.Event) {
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
	out.NextSeq, out.Body = httpapi.AsOf(ctx, q.From), r.entries(ctx, found)
	return out, nil
}

func (in *timelineIn) fits(e gotong.Event) bool {
	return (in.Type == "" || in.Type == e.Type) && (in.Actor == "" || in.Actor == e.Actor.UserID) &&
		(in.Transition == "" || in.Transition == about(e))
}

// about returns the id of the transition that an event is about, or nothing.
func about(e gotong.Event) string {
	if seq := cases.GateOf(e); seq > 0 {
		return transitionID(e.Stream, seq)
	}
	return ""
}

func (r *routes) entries(ctx context.Context, events []view.Event) []Entry {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.Actor.UserID
	}
	names := r.Names(ctx, slices.Compact(slices.Sorted(slices.Values(ids))))
	list := make([]Entry, len(events))
	for i, e := range events {
		list[i] = Entry{
			EventID: e.ID, Seq: e.Seq, Type: e.Type, TransitionID: about(e.Event), Actor: actorOf(e.Event, names[e.Actor.UserID]),
			At: e.At, OccurredAtMS: e.At.Milli(), Data: e.Data, Content: e.Content, EventHash: e.Chain.String(),
		}
	}
	return list
}

// Active is the stage of a case.
type Active struct {
	EntityID   string `json:"entity_id"`
	Stage      string `json:"active_stage"`
	Transition string `json:"open_transition_id,omitempty"`
}

type activeOut struct {
	Body Active
}

func (r *routes) active(ctx context.Context, in *httpapi.In) (*activeOut, error) {
	stream, err := r.Stream(in.ID)
	if err != nil {
		return nil, err
	}
	v, err := r.view(ctx, stream)
	return &activeOut{Active{v.CaseID, v.Stage, v.Transition}}, err
}
