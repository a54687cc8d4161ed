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
// Packages gotong, httpapi, store, community/group.
package groups

import (
	"context"
	"fmt"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

// Hub is what the routes need of live delivery.
type Hub interface {
	Await(ctx context.Context, p gotong.Partition, position uint64) error
	Names(ctx context.Context, ids []string) map[string]string
	Epoch() gotong.Epoch
}

// Options are what the routes work with; all are required.
type Options struct {
	Engine httpapi.Executor
	Hub    Hub
	Store  store.Committer
	Codec  *store.Codec
}

type groups struct {
	Options
	kind gotong.Kind
}

// Routes are the routes under /v1/groups.
func Routes(opts Options) func(*httpapi.API) {
	g := &groups{Options: opts, kind: group.Kind()}
	return func(api *httpapi.API) {
		g.groupRoutes(api)
		g.memberRoutes(api)
	}
}

const tag = "Groups"

func (g *groups) groupRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "create-group", Method: http.MethodPost, Path: "/v1/groups", Tag: tag, Write: true,
		Status: http.StatusCreated, Summary: "Make a group", Description: "You become its first admin.",
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
		Summary: "Change a group", Description: "For its admins. What is not named stays.",
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
	Closed      bool             `json:"closed,omitempty" doc:"Its last member left: nobody can join any more."`
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

func (in InGroup) stream() (gotong.Stream, error) {
	s, err := gotong.ParseStream(group.Name + "/" + in.ID)
	if err != nil {
		return "", gotong.NotFound()
	}
	return s, nil
}

// Create is the body of making a group.
type Create struct {
	Name        string           `json:"name" minLength:"1" maxLength:"512" doc:"1 to 128 characters, counted in the form NFC."`
	Description string           `json:"description,omitempty" maxLength:"2000"`
	EntityType  group.EntityType `json:"entity_type" enum:"kelompok,lembaga"`
	JoinPolicy  group.JoinPolicy `json:"join_policy" enum:"terbuka,persetujuan,undangan"`
}

type createIn struct {
	JSON httpapi.Body[Create]
}

type writtenGroup struct {
	Location string `header:"Location"`
	httpapi.Tagged
	Body httpapi.Written[Detail]
}

func (g *groups) create(ctx context.Context, in *createIn) (*writtenGroup, error) {
	call := httpapi.CallOf(ctx)
	stream := group.StreamOf(call.Principal.UserID, call.RequestID)
	cmd := call.Command(stream, group.CmdCreate, group.Create(in.JSON.Value), in.JSON.Raw)
	receipt, err := httpapi.Run(ctx, g.Engine, cmd)
	if err != nil {
		return nil, err
	}
	out, err := g.answer(ctx, receipt)
	if err == nil {
		out.Location = "/v1/groups/" + stream.ID()
	}
	return out, err
}

// Update is the body of changing a group.
type Update struct {
	Name        *string           `json:"name,omitempty" minLength:"1" maxLength:"512" doc:"1 to 128 characters, counted in the form NFC."`
	Description *string           `json:"description,omitempty" maxLength:"2000"`
	JoinPolicy  *group.JoinPolicy `json:"join_policy,omitempty" enum:"terbuka,persetujuan,undangan"`
}

type updateIn struct {
	InGroup
	JSON httpapi.Body[Update]
}

func (g *groups) update(ctx context.Context, in *updateIn) (*writtenGroup, error) {
	receipt, err := g.run(ctx, in.InGroup, group.CmdUpdate, group.Update(in.JSON.Value), in.JSON.Raw)
	if err != nil {
		return nil, err
	}
	return g.answer(ctx, receipt)
}

func (g *groups) answer(ctx context.Context, receipt gotong.Receipt) (*writtenGroup, error) {
	view, err := g.detail(ctx, receipt.Stream)
	switch {
	case gotong.CodeOf(err) == gotong.CodeNotFound:
		return &writtenGroup{Body: httpapi.Bare[Detail](receipt)}, nil
	case err != nil:
		return nil, err
	default:
		return &writtenGroup{Tagged: httpapi.Tagged{ETag: view.tag()}, Body: httpapi.Written[Detail]{View: &view}}, nil
	}
}

type getIn struct {
	InGroup
	IfNoneMatch string `header:"If-None-Match"`
}

type groupOut struct {
	Status int
	httpapi.Tagged
	AsOf string `header:"X-As-Of"`
	Body Detail
}

func (g *groups) get(ctx context.Context, in *getIn) (*groupOut, error) {
	stream, err := in.stream()
	if err != nil {
		return nil, err
	}
	view, err := g.detail(ctx, stream)
	if err != nil {
		return nil, err
	}
	out := &groupOut{Status: http.StatusOK, Tagged: httpapi.Tagged{ETag: view.tag()}, AsOf: view.AsOf, Body: view}
	if httpapi.Matches(in.IfNoneMatch, out.ETag) {
		out.Status = http.StatusNotModified
	}
	return out, nil
}

// tag is the ETag: the state, and who looks at it.
func (v Summary) tag() string { return fmt.Sprintf("%q", v.AsOf+"."+string(v.MyRole)) }

// run executes a command on a group.
func (g *groups) run(
	ctx context.Context, in InGroup, name string, data any, raw []byte, targets ...string,
) (gotong.Receipt, error) {
	stream, err := in.stream()
	if err != nil {
		return gotong.Receipt{}, err
	}
	return httpapi.Run(ctx, g.Engine, httpapi.CallOf(ctx).Command(stream, name, data, raw, targets...))
}

// look is one reader's view of one group.
type look struct {
	stream gotong.Stream
	head   gotong.Head
	group  group.Group
	mine   gotong.Membership
	snap   store.Snapshot
}

// load reads a group for the caller; who may not know of it gets
// [gotong.CodeNotFound].
func (g *groups) load(ctx context.Context, stream gotong.Stream, more ...store.KeyRange) (look, error) {
	me := httpapi.CallOf(ctx).Principal.UserID
	groupKey, memberKey := group.GroupKey(stream.ID()), gotong.MemberKey(stream, me)
	snap, err := g.Store.Load(ctx, store.Need{
		Heads: []gotong.Stream{stream}, Documents: []gotong.Key{groupKey, memberKey}, Ranges: more,
	})
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
		return look{}, gotong.NotFound()
	}
	return l, nil
}

func (g *groups) summary(l look) Summary {
	s := Summary{
		GroupID: l.stream.ID(), Name: l.group.Name, Description: l.group.Description, EntityType: l.group.EntityType,
		JoinPolicy: l.group.JoinPolicy, MemberCount: l.group.Members, Closed: l.group.Closed(), CreatedAtMS: l.group.CreatedAt.Milli(),
		UpdatedAtMS: l.head.At.Milli(), Seq: l.head.Seq, MyStatus: "none",
		AsOf: gotong.Cursor{Epoch: g.Hub.Epoch(), Seq: l.head.Seq}.String(),
	}
	if l.mine.Active() {
		s.MyRole, s.MyStatus = group.Role(l.mine.Role), "approved"
	}
	return s
}

const detailMembers = 200

func (g *groups) detail(ctx context.Context, stream gotong.Stream) (Detail, error) {
	l, err := g.load(ctx, stream, memberRange(stream, ""))
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Summary: g.summary(l)}
	if group.MayListMembers(l.group, l.mine) {
		seats, err := g.seats(l.snap.Ranges[0])
		if err != nil {
			return d, err
		}
		d.Members = seats[:min(len(seats), detailMembers)]
		g.name(ctx, d.Members)
	}
	return d, nil
}
