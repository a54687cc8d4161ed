// Package chat serves the REST routes of threads: creating and listing them, their
// members, messages, read marks, unread counts and presence.
//
// Messages are read through [view.Views.Read], and threads through
// [view.Views.Look]: a list of threads takes as many reads of the store as one
// thread does. The response to a write shows what the receipt names, read again.
//
// # Caveats
//
// Lists are JSON arrays, as clients of the earlier product expect. The rest is in
// the header: X-As-Of is the cursor of what was read; X-Has-More and X-Next-Cursor
// lead to the next page.
package chat

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/search"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Signals passes what is ephemeral to the users who follow a stream.
type Signals interface {
	Present(stream gotong.Stream) []string
	Whisper(stream gotong.Stream, actor gotong.Actor, data []byte)
	Changed(of gotong.Stream, users ...string)
}

// Options are what the routes work with; all are required.
type Options struct {
	members.Options
	Signals Signals
	Marks   store.Registers
	Now     func() gotong.Instant
	Rules   thread.Rules
	Texts   search.Store

	Patience time.Duration // with a search; 0: [search.Patience]
}

type chat struct {
	Options
	httpapi.Resource[ThreadView]
	authors keep
	places  store.Places
}

// Routes returns a function that registers the routes under /v1/chat.
func Routes(opts Options) func(*httpapi.API) {
	c := newChat(opts)
	return func(api *httpapi.API) {
		c.threadRoutes(api)
		c.memberRoutes(api)
		c.writeRoutes(api)
		c.messageRoutes(api)
		c.replyRoutes(api)
		c.reviewRoutes(api)
		c.markRoutes(api)
		c.muteRoutes(api)
		c.searchRoutes(api)
	}
}

func newChat(opts Options) *chat {
	c := &chat{Options: opts}
	c.Resource = httpapi.Resource[ThreadView]{
		Streams: httpapi.Streams{Kind: thread.Name, Engine: opts.Engine}, Path: "/v1/chat/threads", View: c.view,
	}
	return c
}

const (
	tagThreads  = "Threads"
	tagMembers  = "Members"
	tagMessages = "Messages"
	tagReading  = "Reading"

	subject = "The thread's id."
)

// InThread names a thread in the path.
type InThread struct {
	ID     string `path:"id" doc:"The thread's id."`
	stream gotong.Stream
}

// Resolve parses the id; huma calls it.
func (in *InThread) Resolve(huma.Context) []error {
	var err error
	if in.stream, err = gotong.ParseStream(thread.Name + "/" + in.ID); err != nil {
		return []error{gotong.NotFound()}
	}
	return nil
}

func viewer(ctx context.Context) gotong.Viewer { return httpapi.CallOf(ctx).Principal.Viewer() }

// look is one viewer's view of one thread.
type look struct {
	view.Look
	thread thread.Thread
	mark   mark
	set    user.Settings // of the viewer
}

// known reads those of the threads with these ids of which the caller may know,
// with the caller's read marks, in one snapshot.
func (c *chat) known(ctx context.Context, ids []string) ([]look, error) {
	me := viewer(ctx)
	streams, marks, own := c.All(ids), make([]gotong.Key, len(ids)), gotong.SettingsRef(me.UserID).Key
	for i, s := range streams {
		marks[i] = markKey(me.UserID, s)
	}
	found, snap, err := c.Views.Look(ctx, me, streams, c.needs,
		func([]gotong.State) store.Need { return store.Need{Registers: marks, Documents: []gotong.Key{own}} })
	if err != nil {
		return nil, err
	}
	set, _, err := httpapi.Document[user.Settings](c.Codec, snap, own)
	if err != nil {
		return nil, err
	}
	var list []look
	for i, l := range found {
		m, err := markOf(snap.Registers[marks[i]])
		if err != nil {
			return nil, err
		}
		if c.Rules.MayKnow(l.State, me) {
			list = append(list, look{l, docOf(l.State), m, set})
		}
	}
	return list, nil
}

// needs names what [thread.Rules.MayKnow] looks at, and the stream whose members a
// thread borrows.
func (c *chat) needs(s gotong.State, viewer gotong.Viewer) []gotong.Ref {
	refs := c.Rules.KnowNeeds(s, viewer)
	if t := docOf(s); t.Members == thread.Home {
		refs = append(refs, gotong.Ref{Stream: t.Lender, Key: gotong.StreamKey(t.Lender)})
	}
	return refs
}

func docOf(s gotong.State) thread.Thread {
	t, _ := gotong.Doc[thread.Thread](s, thread.ThreadKey(s.Stream.ID()))
	return t
}

// own returns the viewer's row in the thread.
func (l look) own() thread.Member {
	m, _ := gotong.Doc[thread.Member](l.State, gotong.MemberKey(l.Stream, l.Viewer.UserID))
	return m
}
