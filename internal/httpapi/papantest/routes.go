// Package papantest is the REST routes of papan, the notice board of
// internal/community/papantest: making one, reading it, posting to it, and its
// members.
package papantest

import (
	"context"
	"fmt"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/papantest"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/view"
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
	b.Book = members.Book[MemberView]{Options: opts, Needs: needs, See: see, Show: show}
	return func(api *httpapi.API) {
		const subject = "The board's id."
		httpapi.RegisterCreate(api, b.Resource, httpapi.Route{
			ID: "create-board", Tag: tag, Summary: "Make a board", Description: "You become its first keeper.",
		}, papantest.StreamOf, "papan.create", func(v Create) any { return papantest.Create(v) })
		httpapi.RegisterGet(api, b.Resource, httpapi.Route{ID: "get-board", Tag: tag, Subject: subject, Summary: "Get a board"})
		httpapi.RegisterWrite(api, b.Resource, httpapi.Route{
			ID: "post-notice", Method: http.MethodPost, Path: "/notices", Tag: tag, Subject: subject, Summary: "Post a notice",
		}, "papan.post", func(v Post) any { return papantest.Post(v) })
		b.memberRoutes(api)
	}
}

func (b *boards) view(ctx context.Context, stream gotong.Stream) (Board, error) {
	looks, _, err := b.Views.Look(ctx, httpapi.CallOf(ctx).Principal.Viewer(), []gotong.Stream{stream}, needs, nil)
	if err != nil {
		return Board{}, err
	}
	doc, _ := gotong.Doc[papantest.Board](looks[0].State, gotong.StreamKey(stream))
	return Board{ID: stream.ID(), Title: doc.Title, AsOf: httpapi.AsOf(ctx, looks[0].Head.Seq)}, see(looks[0], members.Passing)
}

// needs names what is read of a board beside what decides access.
func needs(s gotong.State, _ gotong.Viewer) []gotong.Ref {
	return []gotong.Ref{{Stream: s.Stream, Key: gotong.StreamKey(s.Stream)}}
}

// see says who may look at a board and its members: its members, and everybody at
// their own membership.
func see(l view.Look, as members.Sight) error {
	if as != members.Oneself && !l.Grant.Readable {
		return gotong.NotFound()
	}
	return nil
}

func show(_ view.Look, seat members.Seat) *MemberView {
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
