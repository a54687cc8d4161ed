// Package cases serves the REST routes of community cases: creating and listing
// them, their members, and their transitions with gates and votes.
//
// # Caveats
//
// Before a vote has closed, no response shows a choice to anybody but its voter.
package cases

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Options are what the routes work with; all are required.
type Options struct {
	members.Options
	Rules cases.Rules
}

type routes struct {
	Options
	httpapi.Resource[CaseView]
	book members.Book[MemberView]
}

const (
	tag     = "Cases"
	tagGate = "Transitions"
	subject = "The case's id, case-…"
)

// Routes returns a function that registers the routes under /v1/cases and
// /v1/transitions.
func Routes(opts Options) func(*httpapi.API) {
	r := &routes{Options: opts}
	r.Resource = httpapi.Resource[CaseView]{
		Streams: httpapi.Streams{Kind: cases.Name, Engine: opts.Engine}, Path: "/v1/cases", View: r.view,
	}
	r.book = members.Book[MemberView]{
		Options: opts.Options, Needs: r.Rules.KnowNeeds, See: r.see, Show: r.show, Webhooks: true,
		Chain: func(s gotong.State) []gotong.Stream { return gotong.Chain(s.Stream, docOf(s).Home) },
	}
	return func(api *httpapi.API) {
		httpapi.RegisterCreate(api, r.Resource, httpapi.Route{
			ID: "create-case", Tag: tag, Summary: "Create a case",
			Description: "In a scope or a group of yours; you become its author.",
		}, cases.StreamOf, cases.CmdCreate, func(b Create) any { return cases.Create(b) })
		httpapi.Register(api, httpapi.Route{
			ID: "list-cases", Method: http.MethodGet, Path: "/v1/cases", Tag: tag, Summary: "List cases",
			Description: "Your cases or, with a scope, its public ones; newest first.",
		}, r.list)
		httpapi.RegisterGet(api, r.Resource, httpapi.Route{ID: "get-case", Tag: tag, Subject: subject, Summary: "Get a case"})
		r.memberRoutes(api)
		r.transitionRoutes(api)
	}
}

// CaseView is a case as one viewer sees it.
type CaseView struct {
	CaseID      string        `json:"case_id"`
	ScopeID     string        `json:"scope_id"`
	Track       string        `json:"track"`
	Stage       string        `json:"active_stage"`
	Title       string        `json:"title"`
	Description string        `json:"description"`
	Privacy     cases.Privacy `json:"privacy_level" enum:"public,private"`
	CreatedBy   string        `json:"created_by"`
	MemberCount int           `json:"member_count" doc:"In a group, members who have left the group are included."`
	Transition  string        `json:"open_transition_id,omitempty"`
	CreatedAtMS int64         `json:"created_at_ms"`
	UpdatedAtMS int64         `json:"updated_at_ms"`
	AsOf        string        `json:"as_of" doc:"The cursor of this state: members follow the case from here."`
	MyRoles     []cases.Role  `json:"my_track_roles,omitempty" doc:"Absent if you are not a member."`
}

// Create is the body of creating a case.
type Create struct {
	ScopeID     string        `json:"scope_id" minLength:"1" maxLength:"128"`
	Track       string        `json:"track" minLength:"1" maxLength:"512"`
	Title       string        `json:"title" minLength:"1" maxLength:"512" doc:"1 to 128 characters, counted after normalisation to NFC."`
	Description string        `json:"description,omitempty" maxLength:"2000"`
	Privacy     cases.Privacy `json:"privacy_level,omitempty" enum:"public,private" doc:"By default public: everybody who may know of its scope sees its stage."`
}

// Tag returns the ETag, which covers the state and the viewer's roles.
func (v CaseView) Tag() string { return fmt.Sprintf("%q", fmt.Sprint(v.AsOf, ".", len(v.MyRoles))) }

// Cursor returns the cursor of the state.
func (v CaseView) Cursor() string { return v.AsOf }

func viewer(ctx context.Context) gotong.Viewer { return httpapi.CallOf(ctx).Principal.Viewer() }

func docOf(s gotong.State) cases.Case {
	c, _ := gotong.Doc[cases.Case](s, cases.CaseKey(s.Stream.ID()))
	return c
}

func (r *routes) view(ctx context.Context, stream gotong.Stream) (CaseView, error) {
	views, err := r.views(ctx, []string{stream.ID()})
	v, ok := views[stream.ID()]
	if err == nil && !ok {
		err = gotong.NotFound()
	}
	return v, err
}

// views returns those of the cases of which the caller may know, by id.
func (r *routes) views(ctx context.Context, ids []string) (map[string]CaseView, error) {
	streams := make([]gotong.Stream, len(ids))
	for i, id := range ids {
		streams[i] = gotong.NewStream(cases.Name, id)
	}
	looks, _, err := r.Views.Look(ctx, viewer(ctx), streams, r.Rules.KnowNeeds, nil)
	views := map[string]CaseView{}
	for _, l := range looks {
		if r.Rules.MayKnow(l.State, l.Viewer) {
			views[l.Stream.ID()] = viewOf(ctx, l)
		}
	}
	return views, err
}

func viewOf(ctx context.Context, l view.Look) CaseView {
	c := docOf(l.State)
	v := CaseView{
		CaseID: l.Stream.ID(), ScopeID: c.ScopeID, Track: c.Track, Stage: c.Stage, Title: c.Title, Description: c.Description,
		Privacy: c.Privacy, CreatedBy: c.CreatedBy, MemberCount: len(c.Seats), CreatedAtMS: c.CreatedAt.Milli(),
		UpdatedAtMS: l.Head.At.Milli(), AsOf: httpapi.AsOf(ctx, l.Head.Seq),
	}
	if c.Gate > 0 {
		v.Transition = transitionID(l.Stream, c.Gate)
	}
	for _, role := range l.Grant.Roles {
		v.MyRoles = append(v.MyRoles, cases.Role(role))
	}
	return v
}

type listIn struct {
	httpapi.Page
	ScopeID string `query:"scope_id" maxLength:"128" doc:"A scope or the id of a group; without one, your own cases."`
}

// list reads one listing. A group of which the caller may not know has none for
// them, because even X-Has-More would reveal that it has cases.
func (r *routes) list(ctx context.Context, in *listIn) (*httpapi.Listed[CaseView], error) {
	before, err := httpapi.ByTime.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	rows := httpapi.Newest(cases.OfUser, viewer(ctx).UserID, before, in.Limit+2) // one for the cursor's own, one to know of more
	need := store.Need{}
	home := r.Rules.Lenders.HomeOf(in.ScopeID)
	if in.ScopeID != "" {
		rows = httpapi.Newest(cases.OfScope, in.ScopeID, before, in.Limit+2)
		if home.HasMembers() {
			need.Documents = []gotong.Key{gotong.StreamKey(home), gotong.MemberKey(home, viewer(ctx).UserID)}
		}
	}
	need.Ranges = []store.KeyRange{rows}
	snap, err := r.Store.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	if home.HasMembers() {
		known, _, err := httpapi.Document[gotong.Known](r.Codec, snap, gotong.StreamKey(home))
		if err != nil {
			return nil, err
		}
		mine, _, err := httpapi.Document[members.Row](r.Codec, snap, gotong.MemberKey(home, viewer(ctx).UserID))
		if err != nil {
			return nil, err
		}
		if (known == nil || !known.KnownToAll()) && (mine == nil || !mine.Base().Active()) {
			return &httpapi.Listed[CaseView]{Body: []CaseView{}}, nil
		}
	}
	lines, more := httpapi.Cut(httpapi.Lines(snap.Ranges[0], before), in.Limit)
	return httpapi.List(ctx, lines, more, func(ctx context.Context, ids []string) (map[string]CaseView, error) {
		views, err := r.views(ctx, ids)
		if in.ScopeID == "" { // left a group since, but not the case
			maps.DeleteFunc(views, func(_ string, v CaseView) bool { return v.MyRoles == nil })
		}
		return views, err
	})
}
