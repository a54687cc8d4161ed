package cases

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/httpapi"
)

// transitionID is the id of a transition in paths and views: the case's id, a
// dot, and the seq of the event that proposed it.
func transitionID(s gotong.Stream, seq uint64) string { return fmt.Sprintf("%s.%d", s.ID(), seq) }

// Propose is the body of proposing a step. The server finds the gate; what the
// body says of it is compared, and decides nothing.
type Propose struct {
	EntityID       string         `json:"entity_id" minLength:"1" maxLength:"128" doc:"The case's id."`
	Track          string         `json:"track,omitempty" maxLength:"512"`
	From           string         `json:"from_stage" minLength:"1" maxLength:"512" doc:"The stage where the case is."`
	To             string         `json:"to_stage" minLength:"1" maxLength:"512"`
	Profile        string         `json:"gate_profile,omitempty" maxLength:"512" doc:"A gate that is stricter than the one of the step."`
	Secret         bool           `json:"secret,omitempty" doc:"Choices stay hidden after the close."`
	FastTrack      bool           `json:"fast_track,omitempty" doc:"If the step has one: a moderator or a leader of the group approves it, and a vote ratifies it."`
	Action         string         `json:"transition_action,omitempty" enum:"propose" doc:"Objections and votes have routes of their own."`
	TransitionType string         `json:"transition_type,omitempty" enum:"user_action"`
	Mechanism      string         `json:"mechanism,omitempty" enum:"user_action"`
	TrackRoles     []cases.Role   `json:"track_roles,omitempty" doc:"Ignored: the server knows your roles."`
	OccurredAtMS   int64          `json:"occurred_at_ms,omitempty" doc:"Ignored."`
	RequestTSMS    int64          `json:"request_ts_ms,omitempty" doc:"Ignored."`
	GateStatus     string         `json:"gate_status,omitempty" enum:"open,applied" doc:"409 if the gate has another status."`
	GateMetadata   *cases.Expects `json:"gate_metadata,omitempty" doc:"409 if the gate differs."`
}

// Reason is the body of what needs a reason.
type Reason struct {
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// Vote is the body of a vote.
type Vote struct {
	Choice cases.Choice `json:"choice" enum:"yes,no,abstain"`
}

// Resolution is the body of deciding a dispute.
type Resolution struct {
	Confirm bool   `json:"confirm" doc:"True applies the step, false rejects it."`
	Reason  string `json:"reason" minLength:"1" maxLength:"2000"`
}

const gateSubject = "The transition's id: case-…, a dot and a number."

func (r *routes) transitionRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "propose-transition", Method: http.MethodPost, Path: "/v1/transitions", Tag: tagGate, Status: http.StatusCreated, Write: true,
		Summary:     "Propose a step of a case",
		Description: "For its author and its PIC. The gate follows from the track and the number of voters.",
	}, r.propose)
	httpapi.Register(api, httpapi.Route{
		ID: "get-transition", Method: http.MethodGet, Path: "/v1/transitions/{id}", Tag: tagGate, Subject: gateSubject,
		Summary: "Get a transition",
	}, r.getTransition)
	httpapi.Register(api, httpapi.Route{
		ID: "get-gate", Method: http.MethodGet, Path: "/v1/transitions/{id}/gate", Tag: tagGate, Subject: gateSubject,
		Summary: "Get the gate of a transition", Description: "Until the vote has closed, it shows how many took part and your own choice.",
	}, r.getGate)
	httpapi.Register(api, httpapi.Route{
		ID: "list-votes", Method: http.MethodGet, Path: "/v1/transitions/{id}/votes", Tag: tagGate, Subject: gateSubject,
		Summary: "List the votes that count", Description: "In order of user id; until the vote has closed, your own alone.",
	}, r.listVotes)
	httpapi.Register(api, httpapi.Route{
		ID: "get-timeline", Method: http.MethodGet, Path: "/v1/transitions/{id}/timeline", Tag: tagGate, Subject: subject,
		Summary: "Get the timeline of a case", Description: "For its members: its events, oldest first.",
	}, r.timeline)
	httpapi.Register(api, httpapi.Route{
		ID: "get-active-stage", Method: http.MethodGet, Path: "/v1/transitions/{id}/active", Tag: tagGate, Subject: subject,
		Summary: "Get the stage of a case",
	}, r.active)
	act(r, api, "object", "/objections", "Object to a proposal", "A consent becomes a vote.", cases.CmdObject,
		func(gate uint64, b Reason) any { return cases.Object{Gate: gate, Reason: b.Reason} })
	act(r, api, "vote", "/votes", "Vote, or replace your vote", "For users who were members when it was proposed, and still are.",
		cases.CmdVote, func(gate uint64, b Vote) any { return cases.Cast{Gate: gate, Choice: b.Choice} })
	act(r, api, "dispute", "/disputes", "Dispute a step whose vote has passed", "For members, in the challenge window.", cases.CmdDispute,
		func(gate uint64, b Reason) any { return cases.Dispute{Gate: gate, Reason: b.Reason} })
	act(r, api, "resolve-dispute", "/resolution", "Decide a dispute", "For platform moderators who are not a party.", cases.CmdResolve,
		func(gate uint64, b Resolution) any {
			return cases.Resolve{Gate: gate, Confirm: b.Confirm, Reason: b.Reason}
		})
	actEmpty(r, api, "withdraw-transition", "/withdraw", "Withdraw a proposal",
		"For the proposer and platform moderators, until it closes.",
		cases.CmdWithdraw, func(gate uint64) any { return cases.Withdraw{Gate: gate} })
	actEmpty(r, api, "approve-transition", "/approve", "Approve a fast track",
		"For platform moderators and leaders of the group. The step is applied at once; a vote ratifies it.",
		cases.CmdApprove, func(gate uint64) any { return cases.Approve{Gate: gate} })
	httpapi.Register(api, httpapi.Route{
		ID: "void-vote", Method: http.MethodPost, Path: "/v1/transitions/{id}/votes/{uid}/void", Write: true,
		Tag: tagGate, Subject: gateSubject,
		Summary: "Void the vote of a former member", Description: "For platform moderators, until the vote closes.",
	}, r.void)
}

// InGate names a transition in the path.
type InGate struct {
	httpapi.In
	stream gotong.Stream // the case
	seq    uint64        // of the event that proposed the transition
}

// Resolve parses the id; huma calls it.
func (in *InGate) Resolve(huma.Context) []error {
	dot := max(0, strings.LastIndexByte(in.ID, '.'))
	stream, err := gotong.ParseStream(cases.Name + "/" + in.ID[:dot])
	if err == nil {
		in.seq, err = strconv.ParseUint(in.ID[dot+1:], 10, 63)
	}
	if in.stream = stream; err != nil || in.seq == 0 || transitionID(stream, in.seq) != in.ID {
		return []error{gotong.NotFound()}
	}
	return nil
}

type actIn[B any] struct {
	InGate
	JSON httpapi.Body[B]
}

type answered = httpapi.Answered[TransitionView]

type emptyIn struct {
	InGate
	Empty httpapi.NoBody
}

func actRoute(id, path, summary, about string) httpapi.Route {
	return httpapi.Route{
		ID: id, Method: http.MethodPost, Path: "/v1/transitions/{id}" + path, Tag: tagGate, Subject: gateSubject, Write: true,
		Summary: summary, Description: about,
	}
}

// act registers an operation on one transition, by the command name, which data
// makes of the body.
func act[B any](r *routes, api *httpapi.API, id, path, summary, about, name string, data func(uint64, B) any) {
	httpapi.Register(api, actRoute(id, path, summary, about), func(ctx context.Context, in *actIn[B]) (*answered, error) {
		return r.act(ctx, in.InGate, name, data(in.seq, in.JSON.Value), in.JSON.Raw)
	})
}

// actEmpty is act for an operation without a body.
func actEmpty(r *routes, api *httpapi.API, id, path, summary, about, name string, data func(uint64) any) {
	httpapi.Register(api, actRoute(id, path, summary, about), func(ctx context.Context, in *emptyIn) (*answered, error) {
		return r.act(ctx, in.InGate, name, data(in.seq), nil)
	})
}

func (r *routes) act(
	ctx context.Context, in InGate, name string, data any, raw []byte, targets ...string,
) (*httpapi.Answered[TransitionView], error) {
	receipt, err := r.Run(ctx, in.stream.ID(), name, data, raw, append(targets, in.ID)...)
	if err != nil {
		return nil, err
	}
	view, err := r.transition(ctx, receipt.Stream, in.seq)
	return httpapi.Answer(receipt, view, err)
}

type voidIn struct {
	InGate
	UserID string `path:"uid" doc:"The voter's user id."`
	JSON   httpapi.Body[Reason]
}

func (r *routes) void(ctx context.Context, in *voidIn) (*httpapi.Answered[TransitionView], error) {
	void := cases.Void{Gate: in.seq, UserID: in.UserID, Reason: in.JSON.Value.Reason}
	return r.act(ctx, in.InGate, cases.CmdVoid, void, in.JSON.Raw, in.UserID)
}

func (r *routes) propose(ctx context.Context, in *httpapi.Sent[Propose]) (*httpapi.Answered[TransitionView], error) {
	b := in.JSON.Value
	receipt, err := r.Run(ctx, b.EntityID, cases.CmdPropose, cases.Propose{
		Track: b.Track, From: b.From, To: b.To, Profile: b.Profile, Secret: b.Secret, FastTrack: b.FastTrack,
		GateStatus: b.GateStatus, GateMetadata: b.GateMetadata,
	}, in.JSON.Raw)
	if err != nil {
		return nil, err
	}
	view, err := r.transition(ctx, receipt.Stream, receipt.First)
	out, err := httpapi.Answer(receipt, view, err)
	if err == nil {
		out.Location = "/v1/transitions/" + transitionID(receipt.Stream, receipt.First)
	}
	return out, err
}
