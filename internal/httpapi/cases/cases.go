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
	"gotong.dev/gotong/internal/httpapi/timeline"
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
	return httpapi.One(ctx, stream, r.views)
}

// views returns those of the cases of which the caller may know, by id.
func (r *routes) views(ctx context.Context, ids []string) (map[string]CaseView, error) {
	looks, _, err := r.Views.Look(ctx, viewer(ctx), r.All(ids), r.Rules.KnowNeeds, nil)
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

// MemberView is one member of a case.
type MemberView struct {
	UserID     string       `json:"user_id"`
	Webhook    bool         `json:"webhook,omitempty" doc:"True if the member is a webhook, with its id in user_id and without roles."`
	Name       string       `json:"name"`
	Username   string       `json:"username,omitempty"`
	TrackRoles []cases.Role `json:"track_roles" enum:"author,pic,participant,saksi,bendahara,humas,verifikator"`
	JoinedAtMS int64        `json:"joined_at_ms"`
}

// SetMember is the body of setting the roles of a member.
type SetMember struct {
	TrackRoles []cases.Role `json:"track_roles" minItems:"1" maxItems:"7" enum:"author,pic,participant,saksi,bendahara,humas,verifikator" doc:"At least one of author, pic, participant and saksi; pic and bendahara exclude each other."`
}

// Gone is the response to what ends a membership.
type Gone struct {
	Left bool `json:"left"`
}

func (r *routes) memberRoutes(api *httpapi.API) {
	gone := func(*members.Done[MemberView]) (Gone, error) { return Gone{true}, nil }
	path := "/v1/cases/{id}"
	members.Routes(api, members.Kind[MemberView, SetMember, SetMember, Gone, Gone, Gone]{
		Book: r.book, Name: cases.Name, Path: path, Tag: tag, Subject: subject,
		Ops: members.Ops{
			Leave: httpapi.Route{
				ID: "leave-case", Summary: "Leave a case", Description: "Your votes on an open gate still count.",
			},
			List: httpapi.Route{
				ID: "list-case-members", Summary: "List the members of a case",
				Description: "For its members, in order of user id; webhooks included.",
			},
			Remove: httpapi.Route{
				ID: "remove-case-member", Method: http.MethodDelete, Summary: "Remove a member or a webhook from a case",
				Description: "For the author, a PIC and platform moderators. " +
					"After the response, no event of the case is delivered to that member.",
			},
		},
		Leave: cases.Leave{}, Remove: func(id string, _ gotong.Ban) any { return cases.Remove{UserID: id} },
		Left: gone, Removed: gone,
	})
	httpapi.Register(api, httpapi.Route{
		ID: "set-case-member", Method: http.MethodPut, Path: path + "/members/{uid}", Tag: tag, Subject: subject, Write: true,
		Summary: "Make a user a member of a case, or set a member's roles", Description: "For the author, a PIC and platform moderators.",
	}, members.Act(r.book, cases.Name, cases.CmdSeat, func(id string, b SetMember) any {
		return cases.Seating{UserID: id, TrackRoles: b.TrackRoles}
	}))
}

// see decides who may look at a case and its members: only members see who the
// others are.
func (r *routes) see(l view.Look, as members.Sight) error {
	switch {
	case as == members.Oneself || l.Grant.Readable:
		return nil
	case as == members.Acting || !r.Rules.MayKnow(l.State, l.Viewer):
		return gotong.NotFound()
	default:
		return gotong.NewError(gotong.CodeForbidden, "Only members can see who takes part.")
	}
}

func (r *routes) show(_ view.Look, seat members.Seat) *MemberView {
	own, ok := seat.Own.(cases.Member)
	if !seat.Active() || !ok && !seat.Webhook {
		return nil
	}
	return &MemberView{
		UserID: seat.UserID, Webhook: seat.Webhook, Name: seat.Name, Username: seat.Username,
		TrackRoles: append([]cases.Role{}, own.TrackRoles...),
		JoinedAtMS: seat.JoinedAt.Milli(),
	}
}

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
	return timeline.Read(ctx, timeline.Source{Views: r.Views, Names: r.Names, Users: r.Users}, stream, in.Query, fits,
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
