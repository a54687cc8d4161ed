package cases

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/timeline"
)

// CaseEntry is one event of a case.
type CaseEntry struct {
	timeline.Entry
	TransitionID string `json:"transition_id,omitempty" doc:"The transition that the event is about."`
}

type timelineIn struct {
	httpapi.In
	timeline.Query
	Transition string `query:"transition_id" maxLength:"192" doc:"Only events about this transition."`
}

func (r *routes) timeline(ctx context.Context, in *timelineIn) (*timeline.Out[CaseEntry], error) {
	stream, err := r.Stream(in.ID)
	if err != nil {
		return nil, err
	}
	fits := func(e gotong.Event) bool { return in.Transition == "" || in.Transition == about(e) }
	return timeline.Read(ctx, timeline.Source{Views: r.Views, Names: r.Names}, stream, in.Query, fits,
		func(e timeline.Entry, of gotong.Event) CaseEntry { return CaseEntry{e, about(of)} })
}

// about returns the id of the transition that an event is about, or nothing.
func about(e gotong.Event) string {
	if seq := cases.GateOf(e); seq > 0 {
		return transitionID(e.Stream, seq)
	}
	return ""
}

// Active is the stage of a case.
type Active struct {
	EntityID   string `json:"entity_id"`
	Stage      string `json:"active_stage"`
	Transition string `json:"open_transition_id,omitempty"`
}

func (r *routes) active(ctx context.Context, in *httpapi.In) (*httpapi.Out[Active], error) {
	stream, err := r.Stream(in.ID)
	if err != nil {
		return nil, err
	}
	v, err := r.view(ctx, stream)
	return httpapi.Reply(Active{v.CaseID, v.Stage, v.Transition}, err)
}
