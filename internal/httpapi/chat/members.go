package chat

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

func (c *chat) memberRoutes(api *httpapi.API) {
	const base = "/v1/chat/threads/{id}"
	httpapi.Register(api, httpapi.Route{
		ID: "join-thread", Method: http.MethodPost, Path: base + "/join", Tag: tagMembers, Write: true,
		Summary: "Join a public thread", Description: "Joining again changes nothing.",
	}, c.join)
	httpapi.Register(api, httpapi.Route{
		ID: "leave-thread", Method: http.MethodPost, Path: base + "/leave", Tag: tagMembers, Write: true,
		Summary: "Leave a thread", Description: "Once it is answered, nothing of the thread is delivered any more.",
	}, c.leave)
	httpapi.Register(api, httpapi.Route{
		ID: "list-members", Method: http.MethodGet, Path: base + "/members", Tag: tagMembers,
		Summary: "List the active members",
		Description: "For members; in order of user id. Where they are borrowed, X-As-Of-Home is the cursor " +
			"of the group, and X-As-Of that of the thread, which knows the mutes.",
	}, c.members)
	httpapi.Register(api, httpapi.Route{
		ID: "add-member", Method: http.MethodPost, Path: base + "/members", Tag: tagMembers, Write: true,
		Status: http.StatusCreated, Summary: "Add a member",
	}, c.add)
	httpapi.Register(api, httpapi.Route{
		ID: "remove-member", Method: http.MethodDelete, Path: base + "/members/{uid}", Tag: tagMembers, Write: true,
		Summary: "Remove a member", Description: "Once it is answered, nothing of the thread is delivered to that user any more.",
	}, c.remove)
	httpapi.Register(api, httpapi.Route{
		ID: "ban-member", Method: http.MethodPut, Path: base + "/members/{uid}/ban", Tag: tagMembers, Write: true,
		Summary:     "Remove a user and keep them out",
		Description: "For ever, or until a time, also a user who is not a member. Otherwise it does the same as a removal.",
	}, c.ban)
	httpapi.Register(api, httpapi.Route{
		ID: "unban-member", Method: http.MethodDelete, Path: base + "/members/{uid}/ban", Tag: tagMembers, Write: true,
		Summary: "Lift a ban", Description: "The user can join or be added again like anybody else; it does not add them.",
	}, c.unban)
	httpapi.Register(api, httpapi.Route{
		ID: "mute-member", Method: http.MethodPost, Path: base + "/members/{uid}/mute", Tag: tagMembers, Write: true,
		Summary: "Mute a member", Description: "A muted member reads and cannot write, until a time; 0 lifts the mute.",
	}, c.mute)
	httpapi.Register(api, httpapi.Route{
		ID: "set-member-role", Method: http.MethodPost, Path: base + "/members/{uid}/role", Tag: tagMembers, Write: true,
		Summary: "Change a member's role",
	}, c.setRole)
}

type moveIn struct {
	InThread
	Empty httpapi.NoBody
}

type memberOut struct {
	Body httpapi.Written[MemberView]
}

func (c *chat) join(ctx context.Context, in *moveIn) (*memberOut, error) {
	receipt, err := c.run(ctx, in.InThread, thread.CmdJoin, thread.Join{}, nil)
	if err != nil {
		return nil, err
	}
	return c.answerMove(ctx, receipt)
}

func (c *chat) leave(ctx context.Context, in *moveIn) (*memberOut, error) {
	receipt, err := c.run(ctx, in.InThread, thread.CmdLeave, thread.Leave{}, nil)
	if err != nil {
		return nil, err
	}
	if err := httpapi.Settled(ctx, c.Hub, receipt); err != nil {
		return nil, err
	}
	return c.answerMove(ctx, receipt)
}

func (c *chat) answerMove(ctx context.Context, receipt gotong.Receipt) (*memberOut, error) {
	view, err := c.memberAt(ctx, receipt.Stream, reader(ctx).UserID, receipt.At)
	if err != nil {
		return nil, err
	}
	return &memberOut{httpapi.Written[MemberView]{View: &view}}, nil
}

type membersIn struct {
	InThread
	httpapi.Page
}

type membersOut struct {
	AsOf       string `header:"X-As-Of"`
	HomeAsOf   string `header:"X-As-Of-Home"`
	HasMore    bool   `header:"X-Has-More"`
	NextCursor string `header:"X-Next-Cursor"`
	Body       []MemberView
}

// members reads rows until the page is full; rows of those who left do not
// count.
func (c *chat) members(ctx context.Context, in *membersIn) (*membersOut, error) {
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
		seats, page, last, err := c.seats(ctx, stream, after)
		if err != nil {
			return nil, err
		}
		if out.AsOf == "" { // of the first read: what is later than that may be told twice, and never missed
			t, _ := gotong.Doc[thread.Thread](page.State, thread.ThreadKey(stream.ID()))
			out.AsOf, out.HomeAsOf = c.asOf(page.Head.Seq), c.homeAsOf(page.State, t)
		}
		for _, seat := range seats {
			if len(out.Body) == in.Limit {
				out.HasMore, out.NextCursor = true, httpapi.ByID.Cursor(ctx, out.Body[in.Limit-1].UserID)
				c.nameMembers(ctx, out.Body)
				return out, nil
			}
			out.Body = append(out.Body, seat)
		}
		if last == "" {
			c.nameMembers(ctx, out.Body)
			return out, nil
		}
		after = last
	}
}

func (c *chat) nameMembers(ctx context.Context, list []MemberView) {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].UserID
	}
	names := c.Hub.Names(ctx, ids)
	for i := range list {
		list[i].Name = names[list[i].UserID]
	}
}

// seats reads the active members whose rows follow a user id; last is where to
// go on, empty at the end.
func (c *chat) seats(ctx context.Context, stream gotong.Stream, after string) ([]MemberView, live.Page, string, error) {
	page, t, err := c.authorised(ctx, stream, store.Need{})
	if err != nil {
		return nil, page, "", err
	}
	from := store.KeyRange{
		// No id has a byte below this; SurrealDB 2.6 takes no NUL in a key.
		Collection: thread.Members, Owner: stream.ID(), From: after + "\x01", To: nameMax, Limit: store.MaxRead,
	}
	need := store.Need{Ranges: []store.KeyRange{from}}
	if t.Members == thread.Home {
		home := gotong.MemberKey(t.Home, "")
		from.Collection, from.Owner = home.Collection, home.Owner
		need.Ranges = append(need.Ranges, from)
	}
	if page, t, err = c.authorised(ctx, stream, need); err != nil {
		return nil, page, "", err
	}
	list, err := c.seated(t, stream, page.Snapshot.Ranges)
	rows, last := page.Snapshot.Ranges[len(need.Ranges)-1], ""
	if len(rows) == store.MaxRead {
		last = rows[len(rows)-1].Key.Name
	}
	return list, page, last, err
}

// seated renders rows of active members: the thread's own, or those of its home
// with what the thread's own say of mutes.
func (c *chat) seated(t thread.Thread, stream gotong.Stream, ranges [][]store.Document) ([]MemberView, error) {
	var list []MemberView
	mutes := map[string]int64{}
	for _, row := range ranges[0] {
		m, _, err := httpapi.Decode[thread.Member](c.Codec, row)
		if err != nil {
			return nil, err
		}
		mutes[row.Key.Name] = m.MuteUntilMS
		if t.Members == thread.Own && m.Active() {
			list = append(list, c.seat(t, stream, row.Key.Name, m.Membership, mutes))
		}
	}
	for _, rows := range ranges[1:] {
		for _, row := range rows {
			m, _, err := httpapi.Decode[gotong.Membership](c.Codec, row)
			if err != nil {
				return nil, err
			}
			if m.Active() {
				list = append(list, c.seat(t, stream, row.Key.Name, m, mutes))
			}
		}
	}
	return list, nil
}

func (c *chat) seat(
	t thread.Thread, stream gotong.Stream, userID string, m gotong.Membership, mutes map[string]int64,
) MemberView {
	v := MemberView{
		ThreadID: stream.ID(), UserID: userID, Role: thread.RoleIn(t, userID, m.Role), JoinedAtMS: m.JoinedAt.Milli(),
	}
	if until := mutes[userID]; until > c.Now().Milli() {
		v.MuteUntilMS = until
	}
	return v
}

// authorised reads a thread for a member.
func (c *chat) authorised(ctx context.Context, stream gotong.Stream, more store.Need) (live.Page, thread.Thread, error) {
	page, err := c.Hub.Read(ctx, reader(ctx), live.Query{Stream: stream, More: more})
	if err != nil {
		return page, thread.Thread{}, err
	}
	t, ok := gotong.Doc[thread.Thread](page.State, thread.ThreadKey(stream.ID()))
	if !ok {
		return page, t, gotong.NotFound()
	}
	return page, t, nil
}
