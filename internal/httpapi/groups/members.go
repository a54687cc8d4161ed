package groups

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

func (g *groups) memberRoutes(api *httpapi.API) {
	const base = "/v1/groups/{id}"
	httpapi.Register(api, httpapi.Route{
		ID: "join-group", Method: http.MethodPost, Path: base + "/join", Tag: tag, Write: true, Summary: "Join an open group",
	}, g.join)
	httpapi.Register(api, httpapi.Route{
		ID: "leave-group", Method: http.MethodPost, Path: base + "/leave", Tag: tag, Write: true, Summary: "Leave a group",
		Description: "Once it is answered, nothing of the threads that borrow its members is delivered any more.",
	}, g.leave)
	httpapi.Register(api, httpapi.Route{
		ID: "list-group-members", Method: http.MethodGet, Path: base + "/members", Tag: tag,
		Summary: "List the members of a group", Description: "In order of user id.",
	}, g.members)
	httpapi.Register(api, httpapi.Route{
		ID: "add-group-member", Method: http.MethodPost, Path: base + "/members", Tag: tag, Write: true,
		Status: http.StatusCreated, Summary: "Add a member to a group",
	}, g.add)
	httpapi.Register(api, httpapi.Route{
		ID: "remove-group-member", Method: http.MethodPost, Path: base + "/members/{uid}/remove", Tag: tag, Write: true,
		Summary: "Remove a member from a group",
		Description: "Once it is answered, nothing of the threads that borrow the group's members is delivered to that user any more. " +
			"Removing a user who is not a member changes nothing.",
	}, g.remove)
	httpapi.Register(api, httpapi.Route{
		ID: "ban-group-member", Method: http.MethodPut, Path: base + "/members/{uid}/ban", Tag: tag, Write: true,
		Summary:     "Remove a user from a group and keep them out",
		Description: "For ever, or until a time, also a user who is not a member. Otherwise it does the same as a removal.",
	}, g.ban)
	httpapi.Register(api, httpapi.Route{
		ID: "unban-group-member", Method: http.MethodDelete, Path: base + "/members/{uid}/ban", Tag: tag, Write: true,
		Summary: "Lift a ban of a group", Description: "The user can join or be added again like anybody else; it does not add them.",
	}, g.unban)
	httpapi.Register(api, httpapi.Route{
		ID: "set-group-role", Method: http.MethodPost, Path: base + "/members/{uid}/role", Tag: tag, Write: true,
		Summary: "Change a member's role in a group",
	}, g.setRole)
}

// MemberView is one member of a group.
type MemberView struct {
	UserID     string         `json:"user_id"`
	Name       string         `json:"name"`
	Role       group.Role     `json:"role" enum:"admin,moderator,anggota"`
	JoinedAt   gotong.Instant `json:"joined_at" format:"date-time"`
	JoinedAtMS int64          `json:"joined_at_ms"`
}

type moveIn struct {
	InGroup
	Empty httpapi.NoBody
}

type memberOut struct {
	Body httpapi.Written[MemberView]
}

func (g *groups) join(ctx context.Context, in *moveIn) (*memberOut, error) {
	receipt, err := g.run(ctx, in.InGroup, group.CmdJoin, group.Join{}, nil)
	if err != nil {
		return nil, err
	}
	me := httpapi.CallOf(ctx).Principal.UserID
	m, err := g.membership(ctx, receipt.Stream, me)
	if err != nil {
		return nil, err
	}
	stretch, err := httpapi.StretchAt(ctx, g.Store, receipt.Stream, m, receipt.At)
	if err != nil {
		return nil, err
	}
	m.JoinedAt = stretch.Joined
	view := []MemberView{seat(me, m)}
	g.name(ctx, view)
	return &memberOut{httpapi.Written[MemberView]{View: &view[0]}}, nil
}

// Left is the answer of leaving.
type Left struct {
	Left bool `json:"left"`
}

type leftOut struct {
	Body Left
}

func (g *groups) leave(ctx context.Context, in *moveIn) (*leftOut, error) {
	receipt, err := g.run(ctx, in.InGroup, group.CmdLeave, group.Leave{}, nil)
	if err != nil {
		return nil, err
	}
	return &leftOut{Left{true}}, httpapi.Settled(ctx, g.Hub, receipt)
}

type membersIn struct {
	InGroup
	httpapi.Page
}

type membersOut struct {
	AsOf       string `header:"X-As-Of"`
	HasMore    bool   `header:"X-Has-More"`
	NextCursor string `header:"X-Next-Cursor"`
	Body       []MemberView
}

// members reads rows until the page is full; rows of those who left do not
// count.
func (g *groups) members(ctx context.Context, in *membersIn) (*membersOut, error) {
	stream, err := in.stream()
	if err != nil {
		return nil, err
	}
	after, err := httpapi.ByID.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	out := &membersOut{Body: []MemberView{}}
	for {
		l, err := g.load(ctx, stream, memberRange(stream, after))
		if err != nil {
			return nil, err
		}
		if !group.MayListMembers(l.group, l.mine) {
			return nil, gotong.NewError(gotong.CodeForbidden, "Only members see who the members are.")
		}
		rows := l.snap.Ranges[0]
		seats, err := g.seats(rows)
		if err != nil {
			return nil, err
		}
		if out.AsOf == "" { // of the first read: what is later than that may be told twice, and never missed
			out.AsOf = gotong.Cursor{Epoch: g.Hub.Epoch(), Seq: l.head.Seq}.String()
		}
		out.Body = append(out.Body, seats...)
		if len(out.Body) > in.Limit {
			out.Body, out.HasMore = out.Body[:in.Limit], true
			out.NextCursor = httpapi.ByID.Cursor(ctx, out.Body[in.Limit-1].UserID)
		}
		if out.HasMore || len(rows) < store.MaxRead {
			g.name(ctx, out.Body)
			return out, nil
		}
		after = rows[len(rows)-1].Key.Name
	}
}

func memberRange(stream gotong.Stream, after string) store.KeyRange {
	return store.KeyRange{
		// No id has a byte below this; SurrealDB 2.6 takes no NUL in a key.
		Collection: group.Members, Owner: stream.ID(), From: after + "\x01", To: "~", Limit: store.MaxRead,
	}
}

// seats renders the rows of active members.
func (g *groups) seats(rows []store.Document) ([]MemberView, error) {
	list := []MemberView{}
	for _, row := range rows {
		m, _, err := httpapi.Decode[gotong.Membership](g.Codec, row)
		if err != nil {
			return nil, err
		}
		if m.Active() {
			list = append(list, seat(row.Key.Name, m))
		}
	}
	return list, nil
}

func seat(userID string, m gotong.Membership) MemberView {
	return MemberView{UserID: userID, Role: group.Role(m.Role), JoinedAt: m.JoinedAt, JoinedAtMS: m.JoinedAt.Milli()}
}

func (g *groups) name(ctx context.Context, list []MemberView) {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].UserID
	}
	names := g.Hub.Names(ctx, ids)
	for i := range list {
		list[i].Name = names[list[i].UserID]
	}
}

// AddMember is the body of adding a member.
type AddMember struct {
	UserID string     `json:"user_id" minLength:"1" maxLength:"128"`
	Role   group.Role `json:"role,omitempty" enum:"admin,moderator,anggota" doc:"anggota where it is not said."`
}

type addIn struct {
	InGroup
	JSON httpapi.Body[AddMember]
}

func (g *groups) add(ctx context.Context, in *addIn) (*memberOut, error) {
	v := in.JSON.Value
	receipt, err := g.run(ctx, in.InGroup, group.CmdAdd, group.Add(v), in.JSON.Raw)
	if err != nil {
		return nil, err
	}
	return g.answerMember(ctx, receipt, v.UserID)
}

// InMember names a member of a group in the path.
type InMember struct {
	InGroup
	UserID string `path:"uid" doc:"The member's user id."`
}

type removeIn struct {
	InMember
	Empty httpapi.NoBody
}

// Removed is the answer of a removal.
type Removed struct {
	Removed bool `json:"removed" doc:"False if the user was not a member."`
}

type removedOut struct {
	Body Removed
}

func (g *groups) remove(ctx context.Context, in *removeIn) (*removedOut, error) {
	receipt, err := g.run(ctx, in.InGroup, group.CmdRemove, group.Remove{UserID: in.UserID}, nil, in.UserID)
	if err != nil {
		return nil, err
	}
	return &removedOut{Removed{receipt.First > 0}}, httpapi.Settled(ctx, g.Hub, receipt)
}

type banIn struct {
	InMember
	JSON httpapi.OptionalBody[httpapi.Ban]
}

// Banned is the answer of a ban, and of lifting one.
type Banned struct {
	Banned bool `json:"banned"`
}

type bannedOut struct {
	Body Banned
}

func (g *groups) ban(ctx context.Context, in *banIn) (*bannedOut, error) {
	data := group.Remove{UserID: in.UserID, Ban: in.JSON.Value.Of()}
	receipt, err := g.run(ctx, in.InGroup, group.CmdRemove, data, in.JSON.Raw, in.UserID, "ban")
	if err != nil {
		return nil, err
	}
	return &bannedOut{Banned{true}}, httpapi.Settled(ctx, g.Hub, receipt)
}

func (g *groups) unban(ctx context.Context, in *removeIn) (*bannedOut, error) {
	_, err := g.run(ctx, in.InGroup, group.CmdUnban, group.Unban{UserID: in.UserID}, nil, in.UserID)
	return &bannedOut{}, err
}

// SetRole is the body of changing a member's role.
type SetRole struct {
	Role group.Role `json:"role" enum:"admin,moderator,anggota"`
}

type setRoleIn struct {
	InMember
	JSON httpapi.Body[SetRole]
}

func (g *groups) setRole(ctx context.Context, in *setRoleIn) (*memberOut, error) {
	data := group.SetRole{UserID: in.UserID, Role: in.JSON.Value.Role}
	receipt, err := g.run(ctx, in.InGroup, group.CmdRole, data, in.JSON.Raw, in.UserID)
	if err != nil {
		return nil, err
	}
	return g.answerMember(ctx, receipt, in.UserID)
}

// answerMember renders a member for who acted on him, or the bare receipt for
// who may no longer see the members, or where he is none any more.
func (g *groups) answerMember(ctx context.Context, receipt gotong.Receipt, userID string) (*memberOut, error) {
	l, err := g.load(ctx, receipt.Stream)
	hidden := gotong.CodeOf(err) == gotong.CodeNotFound
	if err != nil && !hidden {
		return nil, err
	}
	m, err := g.membership(ctx, receipt.Stream, userID)
	if err != nil {
		return nil, err
	}
	if hidden || !group.MayListMembers(l.group, l.mine) || !m.Active() {
		return &memberOut{httpapi.Bare[MemberView](receipt)}, nil
	}
	view := []MemberView{seat(userID, m)}
	g.name(ctx, view)
	return &memberOut{httpapi.Written[MemberView]{View: &view[0]}}, nil
}

func (g *groups) membership(ctx context.Context, stream gotong.Stream, userID string) (gotong.Membership, error) {
	key := gotong.MemberKey(stream, userID)
	snap, err := g.Store.Load(ctx, store.Need{Documents: []gotong.Key{key}})
	if err != nil {
		return gotong.Membership{}, err
	}
	m, _, err := httpapi.Document[gotong.Membership](g.Codec, snap, key)
	return m, err
}
