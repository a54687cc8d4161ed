package chat

import (
	"context"
	"fmt"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/httpapi/timeline"
	"gotong.dev/gotong/internal/view"
)

func (c *chat) threadRoutes(api *httpapi.API) {
	httpapi.RegisterCreate(api, c.Resource, httpapi.Route{
		ID: "create-thread", Tag: tagThreads, Summary: "Create a thread",
		Description: "The creator becomes the owner. In the scope of a group (ent-…) only its members create threads, and a thread " +
			"may borrow the group's members, or those of a stream in the group.",
	}, thread.StreamOf, thread.CmdCreate, CreateThread.command)
	httpapi.Register(api, httpapi.Route{
		ID: "start-direct-thread", Method: http.MethodPut, Path: "/v1/chat/direct/{uid}", Tag: tagThreads, Write: true,
		Summary: "Start the direct thread with a user",
		Description: "Two users have one direct thread, whichever of them starts it and however often. " +
			"A user who has left it returns to it.",
	}, c.direct)
	httpapi.Register(api, httpapi.Route{
		ID: "list-threads", Method: http.MethodGet, Path: "/v1/chat/threads", Tag: tagThreads, Summary: "List threads",
		Description: "Newest first. With a scope: its public threads and those of its threads that you are a member of. " +
			"Without: those that you are a member of. Archived threads are listed only with archived=true, and then alone. " +
			"A page may have fewer threads than its limit.",
	}, c.list)
	httpapi.Register(api, httpapi.Route{
		ID: "get-thread", Method: http.MethodGet, Path: "/v1/chat/threads/{id}", Tag: tagThreads, Summary: "Get a thread",
	}, c.get)
	timeline.Register(api, timeline.Source{Views: c.Views, Names: c.Names, Users: c.Users}, c.Streams, httpapi.Route{
		ID: "get-thread-timeline", Path: "/v1/chat/threads", Tag: tagThreads, Subject: subject,
		Summary: "Get the timeline of a thread", Description: "Its events, oldest first, as its viewers receive them.",
	})
	httpapi.RegisterWrite(api, c.Resource, httpapi.Route{
		ID: "update-thread", Method: http.MethodPatch, Tag: tagThreads, Subject: subject, Summary: "Change or archive a thread",
		Description: "For its owners and admins, and platform moderators. Absent fields stay unchanged, " +
			"an empty text removes the old one. Nobody can write in an archived thread.",
	}, thread.CmdUpdate, func(b UpdateThread) any { return thread.Update(b) })
	httpapi.RegisterWrite(api, c.Resource, httpapi.Route{
		ID: "set-history", Method: http.MethodPut, Path: "/history", Tag: tagThreads, Subject: subject,
		Summary: "Change the history policy",
		Description: "The policy applies to messages posted from now on: " +
			"all members may read them, or only users who are members when they are posted.",
	}, thread.CmdHistory, func(b HistoryPolicy) any { return thread.SetHistory(b) })
}

// CreateThread is the body of creating a thread.
type CreateThread struct {
	ScopeID string         `json:"scope_id" minLength:"1" maxLength:"128"`
	Privacy thread.Privacy `json:"privacy_level" enum:"public,private"`
	History thread.Policy  `json:"history,omitempty" enum:"all,from_join" doc:"By default all."`
	Members thread.Source  `json:"members,omitempty" enum:"own,home" doc:"By default own; with a lender, home."`
	Lender  gotong.Stream  `json:"lender,omitempty" maxLength:"161" doc:"The stream (kind/id) whose members the thread borrows: the group of the scope, which is the default if members is home, or another stream with the same home. Unless it is the group, the thread must be private."`
	Name    string         `json:"name,omitempty" maxLength:"512" doc:"1 to 128 characters, counted after normalisation to NFC."`
	Topic   string         `json:"topic,omitempty" maxLength:"1000" doc:"1 to 250 characters, counted after normalisation to NFC."`
	Icon    string         `json:"icon,omitempty" maxLength:"16" doc:"One emoji."`
}

func (b CreateThread) command() any {
	return thread.Create{
		ScopeID: b.ScopeID, Privacy: b.Privacy, History: b.History, Members: b.Members, Lender: b.Lender,
		Title: thread.Title{Name: b.Name, Topic: b.Topic, Icon: b.Icon},
	}
}

// UpdateThread is the body of changing a thread.
type UpdateThread struct {
	Name     *string `json:"name,omitempty" maxLength:"512" doc:"1 to 128 characters, counted after normalisation to NFC."`
	Topic    *string `json:"topic,omitempty" maxLength:"1000" doc:"1 to 250 characters, counted after normalisation to NFC."`
	Icon     *string `json:"icon,omitempty" maxLength:"16" doc:"One emoji."`
	Archived *bool   `json:"archived,omitempty"`
	SlowS    *int    `json:"slow_mode_s,omitempty" minimum:"0" maximum:"21600" doc:"The seconds that an ordinary member must wait between two messages; 0 ends the slow mode."`
}

// HistoryPolicy is the body of changing the history policy.
type HistoryPolicy struct {
	Policy thread.Policy `json:"policy" enum:"all,from_join"`
}

type directIn struct {
	UserID string `path:"uid" doc:"The other user's id."`
	Empty  httpapi.NoBody
}

func (c *chat) direct(ctx context.Context, in *directIn) (*httpapi.Answered[ThreadView], error) {
	id := thread.DirectOf(viewer(ctx).UserID, in.UserID).ID()
	return c.Write(ctx, id, thread.CmdDirect, thread.Direct{UserID: in.UserID}, nil)
}

type getIn struct {
	InThread
	MinSeq      string `query:"min_seq" doc:"Wait until the thread has the event at this position, epoch:seq; 503 not_yet after 5 s."`
	IfNoneMatch string `header:"If-None-Match"`
}

func (c *chat) get(ctx context.Context, in *getIn) (*httpapi.Shown[ThreadView], error) {
	if in.MinSeq != "" {
		least, err := httpapi.Position(ctx, in.MinSeq)
		if err != nil {
			return nil, err
		}
		// For a user who may not read the thread there is no wait; the code below decides what they may know.
		_, err = c.Views.Read(ctx, viewer(ctx), view.Query{Stream: in.stream, MinSeq: least})
		if err != nil && gotong.CodeOf(err) != gotong.CodeNotFound {
			return nil, err
		}
	}
	return c.Get(ctx, in.ID, in.IfNoneMatch)
}

// Tag returns the ETag, which covers all that can change in the view of a thread.
func (v ThreadView) Tag() string {
	unread, members := -1, v.MemberCount
	if v.Unread != nil {
		unread = *v.Unread
	}
	tag := fmt.Sprintf("%s.%s.%s.%d.%d.%s", v.AsOf, v.HomeAsOf, v.LenderAsOf, members, unread, v.MyRole)
	if v.With != nil || v.Muted || v.Mark != nil {
		tag += "." + httpapi.Sum(v.With, v.Muted, v.MutedUntilMS, v.Mark, v.Mentions)
	}
	return fmt.Sprintf("%q", tag)
}

// Cursor returns the cursor of the state.
func (v ThreadView) Cursor() string { return v.AsOf }

// view returns a thread as the caller may see it; [gotong.CodeNotFound] if they
// may not know of it.
func (c *chat) view(ctx context.Context, stream gotong.Stream) (ThreadView, error) {
	return httpapi.One(ctx, stream, c.views)
}

// views returns those of the threads of which the caller may know, by id.
func (c *chat) views(ctx context.Context, ids []string) (map[string]ThreadView, error) {
	looks, err := c.known(ctx, ids)
	if err != nil {
		return nil, err
	}
	unread, err := c.unread(ctx, looks)
	var others []string
	for _, l := range looks {
		if l.thread.Direct() {
			others = append(others, l.thread.Other(l.Viewer.UserID))
		}
	}
	names, users, views := c.Names(ctx, others), c.Users(ctx, others), map[string]ThreadView{}
	for _, l := range looks {
		v := l.view(ctx, unread[l.Stream], c.Now())
		if id := l.thread.Other(l.Viewer.UserID); id != "" {
			v.With = &Author{id, names[id], users[id]}
		}
		views[l.Stream.ID()] = v
	}
	return views, err
}

func (l look) view(ctx context.Context, count Count, now gotong.Instant) ThreadView {
	t, head := l.thread, l.Head
	v := ThreadView{
		ThreadID: l.Stream.ID(), ScopeID: t.ScopeID, CreatedBy: t.CreatedBy, Privacy: t.Privacy, History: t.Policy(),
		Members: t.Members, MemberCount: t.Roster.Members, Closed: t.Closed(), CreatedAtMS: t.CreatedAt.Milli(),
		UpdatedAtMS: head.At.Milli(), Seq: head.Seq, AsOf: httpapi.AsOf(ctx, head.Seq),
		Lender: t.Lender, Name: t.Name, Topic: t.Topic, Icon: t.Icon, ArchivedAtMS: t.ArchivedAt.Milli(), SlowS: t.SlowS,
	}
	roll := members.Roll{Look: l.Look, Chain: chain(l.State)}
	v.HomeAsOf, v.LenderAsOf = roll.HomeAsOf(ctx), roll.LenderAsOf(ctx)
	if lender, ok := gotong.Doc[members.Roster](l.State, gotong.StreamKey(t.Lender)); ok && t.Members == thread.Home {
		v.MemberCount = lender.Leadership().Members
	}
	if l.Grant.Readable {
		v.Muted, v.MutedUntilMS = l.mark.muted(now)
		v.MyRole, v.Unread, v.Mentions, v.N = thread.Role(l.Grant.Roles[0]), &count.Unread, &count.Mentions, &head.Count
		v.Mark = new(l.mark.short())
	}
	return v
}
