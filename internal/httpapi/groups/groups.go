// Package groups serves the REST routes of groups and institutions: creating and
// listing them, their members, requests to join and invitations.
package groups

import (
	"context"
	"fmt"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/httpapi/timeline"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Options are what the routes work with; all are required.
type Options struct {
	members.Options
	Now func() gotong.Instant
}

type groups struct {
	httpapi.Resource[Detail]
	members.Book[MemberView]
	now func() gotong.Instant
}

// Routes returns a function that registers the routes under /v1/groups.
func Routes(opts Options) func(*httpapi.API) {
	g := &groups{now: opts.Now}
	g.Resource = httpapi.Resource[Detail]{
		Streams: httpapi.Streams{Kind: group.Name, Engine: opts.Engine}, Path: "/v1/groups", View: g.detail,
	}
	g.Book = members.Book[MemberView]{Options: opts.Options, Needs: needs, See: see, Show: show}
	return func(api *httpapi.API) {
		g.groupRoutes(api)
		g.memberRoutes(api)
		g.joiningRoutes(api)
	}
}

const tag = "Groups"

func (g *groups) groupRoutes(api *httpapi.API) {
	const subject = "The group's id, ent-…"
	httpapi.RegisterCreate(api, g.Resource, httpapi.Route{
		ID: "create-group", Tag: tag, Summary: "Create a group", Description: "You become its first admin.",
	}, group.StreamOf, group.CmdCreate, func(b Create) any { return group.Create(b) })
	httpapi.Register(api, httpapi.Route{
		ID: "list-groups", Method: http.MethodGet, Path: "/v1/groups", Tag: tag, Summary: "List groups",
		Description: "All but those by invitation only, newest first.",
	}, g.list)
	httpapi.Register(api, httpapi.Route{
		ID: "list-my-groups", Method: http.MethodGet, Path: "/v1/groups/me", Tag: tag, Summary: "List your groups",
	}, g.mine)
	httpapi.RegisterGet(api, g.Resource, httpapi.Route{ID: "get-group", Tag: tag, Subject: subject, Summary: "Get a group"})
	timeline.Register(api, timeline.Source{Views: g.Views, Names: g.Names, Users: g.Users}, g.Streams, httpapi.Route{
		ID: "get-group-timeline", Path: "/v1/groups", Tag: tag, Subject: subject,
		Summary: "Get the timeline of a group", Description: "Its events, oldest first, for those who may read them.",
	})
	httpapi.RegisterWrite(api, g.Resource, httpapi.Route{
		ID: "update-group", Method: http.MethodPatch, Tag: tag, Subject: subject,
		Summary: "Change a group", Description: "For its admins. Absent fields stay unchanged.",
	}, group.CmdUpdate, func(b Update) any { return group.Update(b) })
}

// Summary is a group in a list.
type Summary struct {
	GroupID     string           `json:"group_id"`
	Name        string           `json:"name"`
	Description string           `json:"description"`
	EntityType  group.EntityType `json:"entity_type" enum:"kelompok,lembaga"`
	JoinPolicy  group.JoinPolicy `json:"join_policy" enum:"terbuka,persetujuan,undangan"`
	MemberCount int              `json:"member_count"`
	Closed      bool             `json:"closed,omitempty" doc:"True once the last member has left: nobody can join any more."`
	CreatedAtMS int64            `json:"created_at_ms"`
	UpdatedAtMS int64            `json:"updated_at_ms"`
	Seq         uint64           `json:"seq"`
	AsOf        string           `json:"as_of"`
	MyRole      group.Role       `json:"my_role,omitempty" enum:"admin,moderator,anggota"`
	MyStatus    string           `json:"my_membership_status" enum:"approved,pending,none"`
	MyRequest   string           `json:"my_request,omitempty" doc:"The id of your pending request to join."`
}

const statusPending = "pending"

// Detail is a group as one viewer may see it.
type Detail struct {
	Summary
	Policy  *gotong.Policy `json:"policy,omitempty" doc:"For members."`
	Members []MemberView   `json:"members,omitempty" doc:"The first 200, if you may see them."`
	Pending []RequestView  `json:"pending_requests,omitempty" doc:"For admins and moderators: the oldest 200 requests to join."`
}

// Create is the body of creating a group.
type Create struct {
	Name        string           `json:"name" minLength:"1" maxLength:"512" doc:"1 to 128 characters, counted after normalisation to NFC."`
	Description string           `json:"description,omitempty" maxLength:"2000"`
	EntityType  group.EntityType `json:"entity_type" enum:"kelompok,lembaga"`
	JoinPolicy  group.JoinPolicy `json:"join_policy" enum:"terbuka,persetujuan,undangan"`
}

// Update is the body of changing a group.
type Update struct {
	Name        *string           `json:"name,omitempty" minLength:"1" maxLength:"512" doc:"1 to 128 characters, counted after normalisation to NFC."`
	Description *string           `json:"description,omitempty" maxLength:"2000"`
	JoinPolicy  *group.JoinPolicy `json:"join_policy,omitempty" enum:"terbuka,persetujuan,undangan"`

	Policy *gotong.Policy `json:"policy,omitempty" doc:"Replaces the policy as a whole."`
}

// Tag returns the ETag, which covers the state and the viewer's role.
func (v Summary) Tag() string { return fmt.Sprintf("%q", v.AsOf+"."+string(v.MyRole)) }

func viewer(ctx context.Context) gotong.Viewer { return httpapi.CallOf(ctx).Principal.Viewer() }

// Cursor returns the cursor of the state.
func (v Summary) Cursor() string { return v.AsOf }

// needs names the group and the viewer's own request.
func needs(s gotong.State, v gotong.Viewer) []gotong.Ref {
	id := s.Stream.ID()
	refs := []gotong.Ref{{Stream: s.Stream, Key: group.GroupKey(id)}, {Stream: s.Stream, Key: group.ApplicantKey(id, v.UserID)}}
	if mine, ok := gotong.Doc[gotong.Entry](s, group.ApplicantKey(id, v.UserID)); ok {
		refs = append(refs, gotong.Ref{Stream: s.Stream, Key: group.RequestKey(id, mine.ID)})
	}
	return refs
}

// docsOf returns the group and the viewer's membership; false if the viewer may
// not know of the group.
func docsOf(l view.Look) (g group.Group, mine gotong.Membership, known bool) {
	g, ok := gotong.Doc[group.Group](l.State, group.GroupKey(l.Stream.ID()))
	mine, _ = gotong.Doc[gotong.Membership](l.State, gotong.MemberKey(l.Stream, l.Viewer.UserID))
	return g, mine, ok && group.MayKnow(g, mine)
}

// summaries returns those of the groups of which the caller may know, by id.
func (g *groups) summaries(ctx context.Context, ids []string) (map[string]Summary, error) {
	looks, _, err := g.Views.Look(ctx, viewer(ctx), g.All(ids), needs, nil)
	views := map[string]Summary{}
	for _, l := range looks {
		if _, _, known := docsOf(l); known {
			views[l.Stream.ID()] = summary(ctx, l)
		}
	}
	return views, err
}

func summary(ctx context.Context, l view.Look) Summary {
	g, mine, _ := docsOf(l)
	s := Summary{
		GroupID: l.Stream.ID(), Name: g.Name, Description: g.Description, EntityType: g.EntityType,
		JoinPolicy: g.JoinPolicy, MemberCount: g.Members, Closed: g.Closed(), CreatedAtMS: g.CreatedAt.Milli(),
		UpdatedAtMS: l.Head.At.Milli(), Seq: l.Head.Seq, MyStatus: "none", AsOf: httpapi.AsOf(ctx, l.Head.Seq),
	}
	if id, _, pending := requestOf(l); pending {
		s.MyRequest, s.MyStatus = id, statusPending
	}
	if mine.Active() {
		s.MyRole, s.MyStatus = group.Role(mine.Role), "approved"
	}
	return s
}

const detailMembers = 200 // and requests

func (g *groups) detail(ctx context.Context, stream gotong.Stream) (Detail, error) {
	roll, seats, _, err := g.Active(ctx, stream, members.Passing, "")
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Summary: summary(ctx, roll.Look)}
	if g, mine, _ := docsOf(roll.Look); mine.Active() {
		d.Policy = &g.Policy
	}
	if see(roll.Look, members.Listing) == nil {
		if d.Members, err = g.Shown(ctx, roll, seats[:min(len(seats), detailMembers)]); err != nil {
			return Detail{}, err
		}
	}
	if mayManage(roll.Look) == nil {
		in := pageIn{In: httpapi.In{ID: stream.ID()}, Page: httpapi.Page{Limit: detailMembers}}
		pending, _, err := managed(ctx, g, in, group.Requests, func(group.Request) bool { return true })
		if err != nil {
			return Detail{}, err
		}
		d.Pending = g.showRequests(ctx, pending)
	}
	return d, nil
}

type listIn struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" doc:"The cursor of the previous page."`
}

// List is a page of groups.
type List struct {
	Items  []Summary `json:"items"`
	Total  int       `json:"total" doc:"The number of groups, counted to 1000."`
	Cursor string    `json:"cursor,omitempty" doc:"The cursor of the next page; absent on the last page."`
}

// NextPage implements [httpapi.Paged].
func (l List) NextPage() (parameter, value string) { return "cursor", l.Cursor }

func (g *groups) list(ctx context.Context, in *listIn) (*httpapi.Out[List], error) {
	return g.page(ctx, group.Directory, group.DirectoryOwner, in)
}

func (g *groups) mine(ctx context.Context, in *listIn) (*httpapi.Out[List], error) {
	return g.page(ctx, group.OfUser, viewer(ctx).UserID, in)
}

// page returns a page of one listing, newest first.
func (g *groups) page(ctx context.Context, collection, owner string, in *listIn) (*httpapi.Out[List], error) {
	before, err := httpapi.ByTime.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	all := httpapi.Newest(collection, owner, "", store.MaxRead)
	some := httpapi.Newest(collection, owner, before, in.Limit+2) // one for the cursor's own, one to know of more
	snap, err := g.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{all, some}})
	if err != nil {
		return nil, err
	}
	lines, more := httpapi.Cut(httpapi.Lines(snap.Ranges[1], before), in.Limit)
	page, err := httpapi.List(ctx, lines, more, g.summaries)
	if err != nil {
		return nil, err
	}
	return httpapi.Reply(List{Items: page.Body, Total: len(snap.Ranges[0]), Cursor: page.NextCursor}, nil)
}
