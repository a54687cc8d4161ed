package cases

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/timeline"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// GateView is the gate of a transition as one member sees it.
type GateView struct {
	GateID     string         `json:"gate_id"`
	Type       cases.GateType `json:"gate_type" enum:"none,consent,vote,challenge,fast_track"`
	Profile    string         `json:"gate_profile"`
	Status     string         `json:"status" enum:"open,disputed,applied,rejected,cancelled,undone"`
	Phase      cases.Phase    `json:"phase" doc:"Where an open gate is: consent, vote, approval, ratification, challenge or dispute."`
	Why        cases.Why      `json:"why,omitempty" doc:"What decided the vote or the outcome."`
	OpensAtMS  int64          `json:"opens_at_ms" doc:"The beginning of the present window."`
	ClosesAtMS int64          `json:"closes_at_ms"`
	Voters     int            `json:"voters"`
	TookPart   int            `json:"took_part"`
	Quorum     int            `json:"quorum" doc:"How many must take part."`
	Threshold  int            `json:"threshold" doc:"The percentage of yes among yes and no that must be exceeded."`
	Secret     bool           `json:"secret,omitempty"`
	MyChoice   cases.Choice   `json:"my_choice,omitempty" enum:"yes,no,abstain"`
	Tally      *TallyView     `json:"vote_tally,omitempty" doc:"Once the vote has closed."`
	AsOf       string         `json:"as_of"`
}

// TallyView is the sum of a vote that has closed.
type TallyView struct {
	cases.Count
	Votes  []cases.Ballot `json:"votes,omitempty" doc:"Of up to 200 voters; of more, list the votes in pages."`
	Voided []uint64       `json:"voided,omitempty"`
}

// Tag returns the ETag, which covers the state and the viewer's own choice.
func (v GateView) Tag() string { return fmt.Sprintf("%q", v.AsOf+"."+string(v.MyChoice)) }

// TransitionView is one transition.
type TransitionView struct {
	TransitionID   string    `json:"transition_id"`
	EntityID       string    `json:"entity_id"`
	Track          string    `json:"track"`
	From           string    `json:"from_stage"`
	To             string    `json:"to_stage"`
	TransitionType string    `json:"transition_type" enum:"user_action"`
	Mechanism      string    `json:"mechanism" enum:"user_action"`
	Action         string    `json:"transition_action" enum:"propose"`
	RequestID      string    `json:"request_id"`
	CorrelationID  string    `json:"correlation_id"`
	Actor          ActorView `json:"actor"`
	OccurredAtMS   int64     `json:"occurred_at_ms"`
	EventHash      string    `json:"event_hash" doc:"The chain value of the event."`
	RetentionTag   string    `json:"retention_tag"`
	Gate           GateView  `json:"gate"`
}

// Tag returns the ETag.
func (v TransitionView) Tag() string { return v.Gate.Tag() }

// ActorView is the proposer, with the roles that they had then.
type ActorView struct {
	timeline.Actor
	TrackRoles []cases.Role `json:"track_roles,omitempty"`
}

// read returns a gate as the caller may see it, with the event that opened it.
func (r *routes) read(ctx context.Context, s gotong.Stream, seq uint64) (cases.Gate, view.Event, view.Page, error) {
	key := cases.GateKey(s.ID(), seq)
	page, err := r.Views.Read(ctx, viewer(ctx), view.Query{
		Stream: s, From: seq - 1, To: seq, Limit: 1, More: store.Need{Documents: []gotong.Key{key}},
	})
	if err != nil {
		return cases.Gate{}, view.Event{}, page, err
	}
	g, ok, err := httpapi.Document[cases.Gate](r.Codec, page.Snapshot, key)
	if err == nil && (!ok || len(page.Events) == 0) {
		err = gotong.NotFound()
	}
	if err != nil {
		return g, view.Event{}, page, err
	}
	return g, page.Events[0], page, nil
}

func (r *routes) transition(ctx context.Context, s gotong.Stream, seq uint64) (TransitionView, error) {
	g, e, page, err := r.read(ctx, s, seq)
	if err != nil {
		return TransitionView{}, err
	}
	by := []string{e.Actor.UserID}
	v := TransitionView{
		TransitionID: transitionID(s, seq), EntityID: s.ID(), Track: g.Track, From: g.From, To: g.To,
		TransitionType: "user_action", Mechanism: "user_action", Action: "propose", RequestID: e.RequestID,
		CorrelationID: e.CorrelationID, OccurredAtMS: e.At.Milli(), EventHash: e.Chain.String(),
		RetentionTag: retentionTag(g.Proposed), Gate: gateView(ctx, g, page),
		Actor: ActorView{timeline.ActorOf(e.Event, r.Users(ctx, by), r.Names(ctx, by)), g.TrackRoles},
	}
	return v, nil
}

func retentionTag(p cases.Proposed) string {
	return fmt.Sprintf("transition:%s:%s->%s", p.Track, p.From, p.To)
}

// statuses are the statuses of phases that are not just open, as clients know
// them.
var statuses = map[cases.Phase]string{cases.InDispute: "disputed", cases.Ratified: string(cases.Applied)}

func gateView(ctx context.Context, g cases.Gate, page view.Page) GateView {
	status := string(g.Phase)
	if g.Phase.Open() {
		status = "open"
	}
	v := GateView{
		GateID: transitionID(page.State.Stream, g.Seq), Type: g.Terms.Gate, Profile: g.Profile,
		Status: cmp.Or(statuses[g.Phase], status), Phase: g.Phase, Why: g.Why,
		OpensAtMS: g.Now.Milli(), ClosesAtMS: g.ClosesAt.Milli(), Voters: g.Voters, TookPart: len(g.Ballots),
		Quorum: g.Terms.Needed(g.Voters), Threshold: g.Terms.Threshold, Secret: g.Terms.Secret, AsOf: httpapi.AsOf(ctx, page.Head.Seq),
	}
	for _, b := range g.Ballots {
		if b.UserID == page.Access.Viewer.UserID {
			v.MyChoice = b.Choice
		}
	}
	if g.Count != nil {
		v.Tally = &TallyView{Count: *g.Count, Voided: g.Voided}
		if len(g.Ballots) <= cases.MaxListed {
			v.Tally.Votes = g.Shown()
		}
	}
	return v
}

type getIn struct {
	InGate
	IfNoneMatch string `header:"If-None-Match"`
}

func (r *routes) getTransition(ctx context.Context, in *getIn) (*httpapi.Shown[TransitionView], error) {
	v, err := r.transition(ctx, in.stream, in.seq)
	if err != nil {
		return nil, err
	}
	return httpapi.Show(v, v.Gate.AsOf, in.IfNoneMatch), nil
}

func (r *routes) getGate(ctx context.Context, in *getIn) (*httpapi.Shown[GateView], error) {
	g, _, page, err := r.read(ctx, in.stream, in.seq)
	if err != nil {
		return nil, err
	}
	v := gateView(ctx, g, page)
	return httpapi.Show(v, v.AsOf, in.IfNoneMatch), nil
}

type votesIn struct {
	InGate
	httpapi.Page
}

func (r *routes) listVotes(ctx context.Context, in *votesIn) (*httpapi.Listed[cases.Ballot], error) {
	after, err := httpapi.ByID.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	g, _, page, err := r.read(ctx, in.stream, in.seq)
	if err != nil {
		return nil, err
	}
	mine := func(b cases.Ballot) bool { return b.UserID == page.Access.Viewer.UserID }
	shown := g.Shown()
	if g.Count == nil {
		shown = slices.DeleteFunc(slices.Clone(g.Ballots), func(b cases.Ballot) bool { return !mine(b) })
	}
	shown = slices.DeleteFunc(shown, func(b cases.Ballot) bool { return b.UserID <= after })
	out := &httpapi.Listed[cases.Ballot]{Body: shown[:min(len(shown), in.Limit)]}
	if len(shown) > in.Limit {
		out.Next = httpapi.Next{HasMore: true, NextCursor: httpapi.ByID.Cursor(ctx, shown[in.Limit-1].UserID)}
	}
	return out, nil
}
