// Package groups is the REST routes of groups and institutions: making and
// listing them, and their members.
//
// # Caveats
//
// There are no requests to join and no invitations yet: pending_requests is
// not shown, and the membership status is approved or none.
//
// # Dependencies
//
// Packages gotong, httpapi, httpapi/members, store, community/group.
package groups

import (
	"context"
	"fmt"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/store"
)

// Options are what the routes work with; all are required.
type Options = members.Options

type groups struct {
	httpapi.Resource[Detail]
	members.Book[MemberView]
}

// Routes are the routes under /v1/groups.
func Routes(opts Options) func(*httpapi.API) {
	g := &groups{}
	g.Resource = httpapi.Resource[Detail]{
		Streams: httpapi.Streams{Kind: group.Name, Engine: opts.Engine}, Path: "/v1/groups", View: g.detail,
	}
	g.Book = members.Book[MemberView]{Options: opts, Open: g.open}
	return func(api *httpapi.API) {
		g.groupRoutes(api)
		g.memberRoutes(api)
	}
}

const tag = "Groups"

func (g *groups) groupRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "create-group", Method: http.MethodPost, Path: "/v1/groups", Tag: tag, Write: true,
		Status: http.StatusCreated, Summary: "Create a group", Description: "You become its first admin.",
	}, g.create)
	httpapi.Register(api, httpapi.Route{
		ID: "list-groups", Method: http.MethodGet, Path: "/v1/groups", Tag: tag, Summary: "List groups",
		Description: "All but those by invitation only, newest first.",
	}, g.list)
	httpapi.Register(api, httpapi.Route{
		ID: "list-my-groups", Method: http.MethodGet, Path: "/v1/groups/me", Tag: tag, Summary: "List your groups",
	}, g.mine)
	httpapi.Register(api, httpapi.Route{
		ID: "get-group", Method: http.MethodGet, Path: "/v1/groups/{id}", Tag: tag, Summary: "Get a group",
	}, g.get)
	httpapi.Register(api, httpapi.Route{
		ID: "update-group", Method: http.MethodPatch, Path: "/v1/groups/{id}", Tag: tag, Write: true,
		Summary: "Change a group", Description: "For its admins. Absent fields stay unchanged.",
	}, g.update)
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
	MyStatus    string           `json:"my_membership_status" enum:"approved,none"`
}

// Detail is a group as one reader may see it.
type Detail struct {
	Summary
	Members []MemberView `json:"members,omitempty" doc:"The first 200, if you may see them."`
}

// InGroup names a group in the path.
type InGroup struct {
	ID string `path:"id" doc:"The group's id, ent-…"`
}

// Create is the body of making a group.
type Create struct {
	Name        string           `json:"name" minLength:"1" maxLength:"512" doc:"1 to 128 characters, counted after normalisation to NFC."`
	Description string           `json:"description,omitempty" maxLength:"2000"`
	EntityType  group.EntityType `json:"entity_type" enum:"kelompok,lembaga"`
	JoinPolicy  group.JoinPolicy `json:"join_policy" enum:"terbuka,persetujuan,undangan"`
}

type createIn struct {
	JSON httpapi.Body[Create]
}

func (g *groups) create(ctx context.Context, in *createIn) (*httpapi.Answered[Detail], error) {
	call := httpapi.CallOf(ctx)
	id := group.StreamOf(call.Principal.UserID, call.RequestID).ID()
	return g.Create(ctx, id, group.CmdCreate, group.Create(in.JSON.Value), in.JSON.Raw)
}

// Update is the body of changing a group.
type Update struct {
	Name        *string           `json:"name,omitempty" minLength:"1" maxLength:"512" doc:"1 to 128 characters, counted after normalisation to NFC."`
	Description *string           `json:"description,omitempty" maxLength:"2000"`
	JoinPolicy  *group.JoinPolicy `json:"join_policy,omitempty" enum:"terbuka,persetujuan,undangan"`
}

type updateIn struct {
	InGroup
	JSON httpapi.Body[Update]
}

func (g *groups) update(ctx context.Context, in *updateIn) (*httpapi.Answered[Detail], error) {
	return g.Write(ctx, in.ID, group.CmdUpdate, group.Update(in.JSON.Value), in.JSON.Raw)
}

type getIn struct {
	InGroup
	IfNoneMatch string `header:"If-None-Match"`
}

func (g *groups) get(ctx context.Context, in *getIn) (*httpapi.Shown[Detail], error) {
	return g.Get(ctx, in.ID, in.IfNoneMatch)
}

// Tag is the ETag: the state, and who looks at it.
func (v Summary) Tag() string { return fmt.Sprintf("%q", v.AsOf+"."+string(v.MyRole)) }

func me(ctx context.Context) string { return httpapi.CallOf(ctx).Principal.UserID }

// Cursor is the cursor of the state.
func (v Summary) Cursor() string { return v.AsOf }

// look is one viewer's view of one group.
type look struct {
	stream gotong.Stream
	head   gotong.Head
	group  group.Group
	mine   gotong.Membership
	snap   store.Snapshot
}

// load reads a group for the caller, and more of its rows; with
// [gotong.CodeNotFound] where they may not know of it.
func (g *groups) load(ctx context.Context, stream gotong.Stream, more store.Need) (look, error) {
	groupKey, memberKey := group.GroupKey(stream.ID()), gotong.MemberKey(stream, me(ctx))
	more.Heads = []gotong.Stream{stream}
	more.Documents = append(more.Documents, groupKey, memberKey)
	snap, err := g.Store.Load(ctx, more)
	if err != nil {
		return look{}, err
	}
	l := look{stream: stream, head: snap.Heads[stream], snap: snap}
	var ok bool
	if l.group, ok, err = httpapi.Document[group.Group](g.Codec, snap, groupKey); err != nil {
		return look{}, err
	}
	if l.mine, _, err = httpapi.Document[gotong.Membership](g.Codec, snap, memberKey); err != nil {
		return look{}, err
	}
	if !ok || !group.MayKnow(l.group, l.mine) {
		return l, gotong.NotFound()
	}
	return l, nil
}

func summary(ctx context.Context, l look) Summary {
	s := Summary{
		GroupID: l.stream.ID(), Name: l.group.Name, Description: l.group.Description, EntityType: l.group.EntityType,
		JoinPolicy: l.group.JoinPolicy, MemberCount: l.group.Members, Closed: l.group.Closed(), CreatedAtMS: l.group.CreatedAt.Milli(),
		UpdatedAtMS: l.head.At.Milli(), Seq: l.head.Seq, MyStatus: "none",
		AsOf: httpapi.AsOf(ctx, l.head.Seq),
	}
	if l.mine.Active() {
		s.MyRole, s.MyStatus = group.Role(l.mine.Role), "approved"
	}
	return s
}

const detailMembers = 200

func (g *groups) detail(ctx context.Context, stream gotong.Stream) (Detail, error) {
	l, err := g.load(ctx, stream, members.Rows(stream, "")(stream))
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Summary: summary(ctx, l)}
	if group.MayListMembers(l.group, l.mine) {
		roll := l.roll(ctx)
		seats, _, err := g.Active(roll)
		if err != nil {
			return d, err
		}
		d.Members = g.Views(ctx, roll, seats[:min(len(seats), detailMembers)])
	}
	return d, nil
}
