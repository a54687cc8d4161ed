// Package members serves the REST routes that every kind with members has: join,
// leave, list, add, remove, ban and roles. A kind describes itself in a [Kind].
//
// The commands are named after the kind, NAME.join and NAME.leave, and member.add,
// member.remove, member.unban and member.role. Memberships are kept under
// [gotong.MemberKey].
package members

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Options are what the routes work with; all are required.
type Options struct {
	Engine   httpapi.Executor
	Delivery httpapi.Awaiter
	Names    httpapi.Names // that others see
	Users    httpapi.Names // user names
	Store    store.Committer
	Codec    *store.Codec
	Views    *view.Views
}

// Kind describes a kind with members. V is a member as its routes show one; A
// and S are the bodies of adding a member and of changing a role; L, R and B are
// the responses to leaving, removing and banning.
type Kind[V, A, S, L, R, B any] struct {
	Book[V]
	Name    string // of the kind
	Path    string // of one stream, with {id}
	Tag     string
	Subject string // what {id} is
	Lent    bool   // a stream may borrow its members: lists return the lender's cursor too
	Ops     Ops

	Join, Leave any // the commands
	Add         func(A) (data any, userID string)
	Remove      func(userID string, ban gotong.Ban) any
	Unban       func(userID string) any
	Role        func(userID string, body S) any

	Left             func(*Done[V]) (L, error)
	Removed          func(*Done[V]) (R, error)
	Banned, Unbanned func(*Done[V]) (B, error)
}

// Ops are the names and descriptions of a kind's operations. Each has an ID, a
// Summary and, except for bans, a Description; Remove also has the method, and the
// path that follows that of the member. A kind without joins, additions, bans or
// roles leaves those out.
type Ops struct {
	Join, Leave, List, Add, Remove, Ban, Unban, Role httpapi.Route
}

type routes[V, A, S, L, R, B any] struct {
	Kind[V, A, S, L, R, B]
	streams httpapi.Streams
}

// Routes registers the routes of a kind with members.
func Routes[V, A, S, L, R, B any](api *httpapi.API, kind Kind[V, A, S, L, R, B]) {
	r := &routes[V, A, S, L, R, B]{kind, httpapi.Streams{Kind: kind.Name, Engine: kind.Engine}}
	member := "/members/{uid}"
	if kind.Ops.Join.ID != "" {
		httpapi.Register(api, r.route(kind.Ops.Join, http.MethodPost, "/join"), r.join)
	}
	httpapi.Register(api, r.route(kind.Ops.Leave, http.MethodPost, "/leave"), r.leave)
	if list := r.route(kind.Ops.List, http.MethodGet, "/members"); kind.Lent {
		httpapi.Register(api, list, r.list)
	} else {
		httpapi.Register(api, list, r.listOwn)
	}
	httpapi.Register(api, r.route(kind.Ops.Remove, kind.Ops.Remove.Method, member+kind.Ops.Remove.Path), r.remove)
	if add := r.route(kind.Ops.Add, http.MethodPost, "/members"); add.ID != "" {
		add.Status = http.StatusCreated
		httpapi.Register(api, add, r.add)
	}
	if kind.Ops.Ban.ID != "" {
		ban, unban := r.route(kind.Ops.Ban, http.MethodPut, member+"/ban"), r.route(kind.Ops.Unban, http.MethodDelete, member+"/ban")
		ban.Description = "For ever, or until a time, also a user who is not a member. Otherwise it does the same as a removal."
		unban.Description = "The user can join or be added again like anybody else; it does not add them."
		httpapi.Register(api, ban, r.ban)
		httpapi.Register(api, unban, r.unban)
	}
	if kind.Ops.Role.ID != "" {
		httpapi.Register(api, r.route(kind.Ops.Role, http.MethodPost, member+"/role"), Act(kind.Book, kind.Name, "member.role", kind.Role))
	}
}

func (r *routes[V, A, S, L, R, B]) route(op httpapi.Route, method, path string) httpapi.Route {
	op.Method, op.Path, op.Tag, op.Subject, op.Write = method, r.Path+path, r.Tag, r.Subject, method != http.MethodGet
	return op
}

// InMember names a member of a stream in the path.
type InMember struct {
	httpapi.In
	UserID string `path:"uid" doc:"The member's user id."`
}

// Target is the input of an operation on a member that accepts no body.
type Target struct {
	InMember
	Empty httpapi.NoBody
}

func answer[V, T any](d *Done[V], err error, with func(*Done[V]) (T, error)) (*httpapi.Out[T], error) {
	if err != nil {
		return nil, err
	}
	return httpapi.Reply(with(d))
}

// run executes a command on a stream, about a user.
func (r *routes[V, A, S, L, R, B]) run(
	ctx context.Context, in InMember, name string, data any, raw []byte, targets ...string,
) (*Done[V], error) {
	receipt, err := r.streams.Run(ctx, in.ID, name, data, raw, targets...)
	return &Done[V]{ctx, r.Book, receipt, in.UserID}, err
}

// settle is run for a command that ends what somebody may see: it returns once
// nothing more of that is delivered to them.
func (r *routes[V, A, S, L, R, B]) settle(
	ctx context.Context, in InMember, name string, data any, raw []byte, targets ...string,
) (*Done[V], error) {
	d, err := r.run(ctx, in, name, data, raw, targets...)
	if err == nil {
		err = httpapi.Settled(ctx, r.Delivery, d.Receipt)
	}
	return d, err
}

func viewer(ctx context.Context) gotong.Viewer { return httpapi.CallOf(ctx).Principal.Viewer() }

func (r *routes[V, A, S, L, R, B]) join(ctx context.Context, in *httpapi.SentNothing) (*httpapi.Out[httpapi.Written[V]], error) {
	d, err := r.run(ctx, InMember{in.In, viewer(ctx).UserID}, r.Name+".join", r.Join, nil)
	return answer(d, err, (*Done[V]).Then)
}

func (r *routes[V, A, S, L, R, B]) leave(ctx context.Context, in *httpapi.SentNothing) (*httpapi.Out[L], error) {
	d, err := r.settle(ctx, InMember{in.In, viewer(ctx).UserID}, r.Name+".leave", r.Leave, nil)
	return answer(d, err, r.Left)
}

func (r *routes[V, A, S, L, R, B]) add(ctx context.Context, in *httpapi.SentTo[A]) (*httpapi.Out[httpapi.Written[V]], error) {
	data, userID := r.Add(in.JSON.Value)
	d, err := r.run(ctx, InMember{in.In, userID}, "member.add", data, in.JSON.Raw)
	return answer(d, err, (*Done[V]).Now)
}

func (r *routes[V, A, S, L, R, B]) remove(ctx context.Context, in *Target) (*httpapi.Out[R], error) {
	d, err := r.settle(ctx, in.InMember, "member.remove", r.Remove(in.UserID, gotong.Ban{}), nil, in.UserID)
	return answer(d, err, r.Removed)
}

type banIn struct {
	InMember
	JSON httpapi.OptionalBody[httpapi.Ban]
}

func (r *routes[V, A, S, L, R, B]) ban(ctx context.Context, in *banIn) (*httpapi.Out[B], error) {
	data := r.Remove(in.UserID, in.JSON.Value.Of())
	d, err := r.settle(ctx, in.InMember, "member.remove", data, in.JSON.Raw, in.UserID, "ban")
	return answer(d, err, r.Banned)
}

func (r *routes[V, A, S, L, R, B]) unban(ctx context.Context, in *Target) (*httpapi.Out[B], error) {
	d, err := r.run(ctx, in.InMember, "member.unban", r.Unban(in.UserID), nil, in.UserID)
	return answer(d, err, r.Unbanned)
}

type actIn[T any] struct {
	InMember
	JSON httpapi.Body[T]
}

// Act returns the handler of a command about the member in the path; data makes
// the command of the body.
func Act[V, T any](
	book Book[V], kind, name string, data func(userID string, body T) any,
) func(context.Context, *actIn[T]) (*httpapi.Out[httpapi.Written[V]], error) {
	streams := httpapi.Streams{Kind: kind, Engine: book.Engine}
	return func(ctx context.Context, in *actIn[T]) (*httpapi.Out[httpapi.Written[V]], error) {
		receipt, err := streams.Run(ctx, in.ID, name, data(in.UserID, in.JSON.Value), in.JSON.Raw, in.UserID)
		return answer(&Done[V]{ctx, book, receipt, in.UserID}, err, (*Done[V]).Now)
	}
}
