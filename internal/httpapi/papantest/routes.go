// Package papantest is the REST routes of papan, the notice board of
// internal/community/papantest: making one, reading it, posting to it, and its
// members.
//
// # Dependencies
//
// Packages gotong, httpapi, httpapi/members, store, community/papantest.
package papantest

import (
	"context"
	"fmt"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/papantest"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/store"
)

const tag = "Boards"

// Board is a board as its members see it.
type Board struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	AsOf  string `json:"as_of"`
}

// Tag is the ETag.
func (b Board) Tag() string { return fmt.Sprintf("%q", b.AsOf) }

// Cursor is the cursor of the state.
func (b Board) Cursor() string { return b.AsOf }

// MemberView is one member.
type MemberView struct {
	UserID string `json:"user_id"`
	Name   string `json:"name"`
	Role   string `json:"role" enum:"keeper,member"`
}

// Create is the body of making a board.
type Create struct {
	Title string `json:"title" minLength:"1" maxLength:"128"`
}

// Post is the body of posting a notice.
type Post struct {
	Text string `json:"text" minLength:"1" maxLength:"4000"`
}

// Add is the body of adding a member.
type Add struct {
	UserID string `json:"user_id" minLength:"1" maxLength:"128"`
}

// SetRole is the body of changing a member's role.
type SetRole struct {
	Role string `json:"role" enum:"keeper,member"`
}

// Out is the answer of what ends a membership.
type Out struct {
	Out bool `json:"out"`
}

type boards struct {
	httpapi.Resource[Board]
	members.Book[MemberView]
}

// Routes are the routes under /v1/boards.
func Routes(opts members.Options) func(*httpapi.API) {
	b := &boards{}
	b.Resource = httpapi.Resource[Board]{
		Streams: httpapi.Streams{Kind: papantest.Name, Engine: opts.Engine}, Path: "/v1/boards", View: b.view,
	}
	b.Book = members.Book[MemberView]{Options: opts, Open: b.open}
	return func(api *httpapi.API) {
		httpapi.Register(api, httpapi.Route{
			ID: "create-board", Method: http.MethodPost, Path: "/v1/boards", Tag: tag, Write: true,
			Status: http.StatusCreated, Summary: "Make a board", Description: "You become its first keeper.",
		}, b.create)
		httpapi.Register(api, httpapi.Route{
			ID: "get-board", Method: http.MethodGet, Path: "/v1/boards/{id}", Tag: tag, Summary: "Get a board",
		}, b.get)
		httpapi.Register(api, httpapi.Route{
			ID: "post-notice", Method: http.MethodPost, Path: "/v1/boards/{id}/notices", Tag: tag, Write: true, Summary: "Post a notice",
		}, b.post)
		b.memberRoutes(api)
	}
}

type createIn struct {
	JSON httpapi.Body[Create]
}

func (b *boards) create(ctx context.Context, in *createIn) (*httpapi.Answered[Board], error) {
	call := httpapi.CallOf(ctx)
	id := papantest.StreamOf(call.Principal.UserID, call.RequestID).ID()
	return b.Create(ctx, id, "papan.create", papantest.Create(in.JSON.Value), in.JSON.Raw)
}

type postIn struct {
	ID   string `path:"id"`
	JSON httpapi.Body[Post]
}

func (b *boards) post(ctx context.Context, in *postIn) (*httpapi.Answered[Board], error) {
	return b.Write(ctx, in.ID, "papan.post", papantest.Post(in.JSON.Value), in.JSON.Raw)
}

func (b *boards) view(ctx context.Context, stream gotong.Stream) (Board, error) {
	view, _, err := b.load(ctx, stream, store.Need{})
	return view, err
}

type getIn struct {
	ID          string `path:"id"`
	IfNoneMatch string `header:"If-None-Match"`
}

func (b *boards) get(ctx context.Context, in *getIn) (*httpapi.Shown[Board], error) {
	return b.Get(ctx, in.ID, in.IfNoneMatch)
}

// load reads a board for the caller, and more of its rows in the same snapshot;
// [gotong.CodeNotFound] unless they are a member.
func (b *boards) load(ctx context.Context, stream gotong.Stream, more store.Need) (Board, store.Snapshot, error) {
	board, mine := gotong.StreamKey(stream), gotong.MemberKey(stream, httpapi.CallOf(ctx).Principal.UserID)
	more.Heads, more.Documents = []gotong.Stream{stream}, append(more.Documents, board, mine)
	snap, err := b.Store.Load(ctx, more)
	if err != nil {
		return Board{}, snap, err
	}
	doc, _, err := httpapi.Document[papantest.Board](b.Codec, snap, board)
	if err != nil {
		return Board{}, snap, err
	}
	m, _, err := httpapi.Document[gotong.Membership](b.Codec, snap, mine)
	if err == nil && !m.Active() {
		err = gotong.NotFound()
	}
	return Board{ID: stream.ID(), Title: doc.Title, AsOf: httpapi.AsOf(ctx, snap.Heads[stream].Seq)}, snap, err
}

// open reads the members: for members, and of oneself for everybody.
func (b *boards) open(
	ctx context.Context, s gotong.Stream, as members.Sight, more func(gotong.Stream) store.Need,
) (members.Roll[MemberView], error) {
	board, snap, err := b.load(ctx, s, more(s))
	if as == members.Oneself && gotong.CodeOf(err) == gotong.CodeNotFound {
		err = nil
	}
	return members.Roll[MemberView]{Lender: s, Snapshot: snap, AsOf: board.AsOf, Show: show}, err
}

func show(seat members.Seat) *MemberView {
	if !seat.Active() {
		return nil
	}
	return &MemberView{UserID: seat.UserID, Name: seat.Name, Role: seat.Role}
}

type done = members.Done[MemberView]

func (b *boards) memberRoutes(api *httpapi.API) {
	out := func(*done) (Out, error) { return Out{true}, nil }
	members.Routes(api, members.Kind[MemberView, Add, SetRole, Out, Out, Out]{
		Book: b.Book, Name: papantest.Name, Path: "/v1/boards/{id}", Tag: tag, Subject: "The board's id.",
		Ops: members.Ops{
			Join:   httpapi.Route{ID: "join-board", Summary: "Join a board"},
			Leave:  httpapi.Route{ID: "leave-board", Summary: "Leave a board"},
			List:   httpapi.Route{ID: "list-board-members", Summary: "List the members of a board"},
			Add:    httpapi.Route{ID: "add-board-member", Summary: "Add a member to a board"},
			Remove: httpapi.Route{ID: "remove-board-member", Method: http.MethodDelete, Summary: "Remove a member from a board"},
			Ban:    httpapi.Route{ID: "ban-board-member", Summary: "Remove a user from a board and keep them out"},
			Unban:  httpapi.Route{ID: "unban-board-member", Summary: "Lift a ban of a board"},
			Role:   httpapi.Route{ID: "set-board-role", Summary: "Change a member's role in a board"},
		},
		Join: papantest.Join{}, Leave: papantest.Leave{},
		Add:    func(v Add) (any, string) { return papantest.Add(v), v.UserID },
		Remove: func(id string, ban gotong.Ban) any { return papantest.Remove{UserID: id, Ban: ban} },
		Unban:  func(id string) any { return papantest.Unban{UserID: id} },
		Role:   func(id string, v SetRole) any { return papantest.SetRole{UserID: id, Role: v.Role} },
		Left:   out, Removed: out, Banned: out, Unbanned: out,
	})
}
