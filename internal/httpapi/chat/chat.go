// Package chat is the REST routes of threads: making and listing them, their
// members, messages, read marks, unread counts and presence.
//
// What a route shows is read through [view.Views.Read], or, for the little that
// a public thread shows to all, through the kind's own rules. A write is
// answered by reading anew what the receipt names.
//
// # Caveats
//
// Lists are JSON arrays, as clients of the earlier product expect them. What
// else is to say stands in the header: X-As-Of is the cursor of what was read,
// X-Has-More and X-Next-Cursor lead to the next page.
//
// # Dependencies
//
// Packages gotong, httpapi, httpapi/members, view, store, community/thread.
package chat

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Signals passes what is ephemeral to the users who follow a stream.
type Signals interface {
	Present(stream gotong.Stream) []string
	Whisper(stream gotong.Stream, actor gotong.Actor, data []byte)
}

// Store is the read side of the store, and read marks.
type Store interface {
	store.Committer
	store.Registers
}

// Options are what the routes work with; all are required.
type Options struct {
	Engine   httpapi.Executor
	Views    *view.Views
	Delivery httpapi.Awaiter
	Signals  Signals
	Names    httpapi.Names
	Store    Store
	Codec    *store.Codec
	Now      func() gotong.Instant
	Rules    thread.Rules
}

type chat struct {
	Options
	httpapi.Resource[ThreadView]
	kind    gotong.Kind
	tallies *tallies
}

// Routes are the routes under /v1/chat.
func Routes(opts Options) func(*httpapi.API) {
	c := &chat{Options: opts, kind: opts.Rules.Kind(), tallies: newTallies()}
	c.Resource = httpapi.Resource[ThreadView]{
		Streams: httpapi.Streams{Kind: thread.Name, Engine: opts.Engine}, Path: "/v1/chat/threads", View: c.view,
	}
	return func(api *httpapi.API) {
		c.threadRoutes(api)
		c.memberRoutes(api)
		c.messageRoutes(api)
		c.writeRoutes(api)
		c.markRoutes(api)
	}
}

const (
	tagThreads  = "Threads"
	tagMembers  = "Members"
	tagMessages = "Messages"
	tagReading  = "Reading"
)

// InThread names a thread in the path.
type InThread struct {
	ID string `path:"id" doc:"The thread's id."`
}

func reader(ctx context.Context) gotong.Viewer { return httpapi.CallOf(ctx).Principal.Viewer() }

// homeAsOf is the cursor of the home that a thread borrows its members from,
// in the snapshot of this state; empty where it borrows none.
func homeAsOf(ctx context.Context, s gotong.State, t thread.Thread) string {
	head, ok := s.HeadOf(t.Home)
	if t.Members != thread.Home || !ok {
		return ""
	}
	return httpapi.AsOf(ctx, head.Seq)
}

// load reads the rules' view of a thread for a reader, and what else more
// names, in one snapshot; with [gotong.CodeNotFound] where the reader may not
// know of the thread.
func (c *chat) load(
	ctx context.Context, stream gotong.Stream, r gotong.Viewer, more func(gotong.State, store.Snapshot) store.Need,
) (look, error) {
	state, snap, err := store.LoadState(ctx, c.Store, c.Codec, stream,
		func(s gotong.State) []gotong.Ref { return c.Rules.KnowNeeds(s, r) }, more)
	if err != nil {
		return look{}, err
	}
	l := look{stream: stream, reader: r, state: state, snap: snap, grant: c.kind.Access(state, r)}
	l.thread, _ = gotong.Doc[thread.Thread](state, thread.ThreadKey(stream.ID()))
	if !c.Rules.MayKnow(state, r) {
		return l, gotong.NotFound()
	}
	return l, nil
}

// look is one reader's view of one thread.
type look struct {
	stream gotong.Stream
	reader gotong.Viewer
	state  gotong.State
	snap   store.Snapshot
	thread thread.Thread
	grant  gotong.Grant
}

// own is the reader's row in the thread.
func (l look) own() thread.Member {
	m, _ := gotong.Doc[thread.Member](l.state, gotong.MemberKey(l.stream, l.reader.UserID))
	return m
}
