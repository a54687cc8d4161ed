package groups

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// AskBody is the body of a request to join.
type AskBody struct {
	Message string `json:"message,omitempty" maxLength:"512" doc:"For the admins and moderators."`
}

// InviteBody is the body of an invitation.
type InviteBody struct {
	UserID string `json:"user_id" minLength:"1" maxLength:"128"`
}

// RequestView is a pending request to join.
type RequestView struct {
	RequestID     string         `json:"request_id"`
	UserID        string         `json:"user_id"`
	Name          string         `json:"name"`
	Username      string         `json:"username,omitempty"`
	Message       string         `json:"message,omitempty"`
	Status        string         `json:"status" enum:"pending"`
	RequestedAt   gotong.Instant `json:"requested_at" format:"date-time"`
	RequestedAtMS int64          `json:"requested_at_ms"`
}

// InvitationView is an open invitation, as admins and moderators see it.
type InvitationView struct {
	UserID      string `json:"user_id"`
	Name        string `json:"name"`
	InvitedBy   User   `json:"invited_by"`
	InvitedAtMS int64  `json:"invited_at_ms"`
	ExpiresAtMS int64  `json:"expires_at_ms"`
}

// MyInvitation is an open invitation, as the user who was invited sees it.
type MyInvitation struct {
	GroupID     string `json:"group_id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	InvitedBy   User   `json:"invited_by"`
	InvitedAtMS int64  `json:"invited_at_ms"`
	ExpiresAtMS int64  `json:"expires_at_ms"`
}

// User is a user with the present name.
type User struct {
	UserID string `json:"user_id"`
	Name   string `json:"name"`
}

// Invited is the response to an invitation.
type Invited struct {
	Added       bool  `json:"added" doc:"True if the user is a member already."`
	ExpiresAtMS int64 `json:"expires_at_ms,omitempty" doc:"The end of the invitation."`
}

// Rejected is the response to rejecting a request.
type Rejected struct {
	Rejected bool `json:"rejected"`
}

// Withdrawn is the response to withdrawing a request or an invitation.
type Withdrawn struct {
	Withdrawn bool `json:"withdrawn" doc:"False if there was none."`
}

// Declined is the response to declining an invitation.
type Declined struct {
	Declined bool `json:"declined"`
}

// MyInvitations is a page of the caller's open invitations.
type MyInvitations struct {
	Items  []MyInvitation `json:"items"`
	Cursor string         `json:"cursor,omitempty" doc:"The cursor of the next page; absent on the last page."`
}

// NextPage implements [httpapi.Paged].
func (l MyInvitations) NextPage() (parameter, value string) { return "cursor", l.Cursor }

type (
	inRequest struct {
		httpapi.In
		RequestID string `path:"rid" doc:"The request's id, req-…"`
		Empty     httpapi.NoBody
	}
	pageIn struct {
		httpapi.In
		httpapi.Page
	}
)

func (g *groups) joiningRoutes(api *httpapi.API) {
	const base, request, invitation = "/v1/groups/{id}", "/v1/groups/{id}/requests/{rid}", "/v1/groups/invitations/{id}"
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	route := func(id, method, path, summary, description string) httpapi.Route {
		return httpapi.Route{
			ID: id, Method: method, Path: path, Tag: tag, Summary: summary, Description: description,
			Subject: "The group's id, ent-…", Write: method != get,
		}
	}
	ask := route("request-to-join-group", post, base+"/requests", "Request to join a group",
		"For groups that approve their members. While a request is pending, another one returns it.")
	ask.Status = http.StatusCreated
	httpapi.Register(api, ask, g.ask)
	httpapi.Register(api, route("list-group-requests", get, base+"/requests",
		"List the pending requests to join a group", "For admins and moderators; oldest first."), g.requests)
	httpapi.Register(api, route("approve-group-request", post, request+"/approve",
		"Approve a request to join", "For admins and moderators. The user becomes a member."), g.approve)
	httpapi.Register(api, route("reject-group-request", post, request+"/reject",
		"Reject a request to join", "For admins and moderators. The user may send another one."), g.reject)
	httpapi.Register(api, route("withdraw-group-request", post, request+"/withdraw", "Withdraw your request to join", ""), g.withdraw)
	httpapi.Register(api, route("invite-to-group", post, base+"/invite", "Invite a user to a group",
		"For admins and moderators. The user becomes a member by accepting within 30 days; "+
			"inviting again until then changes nothing."), g.invite)
	httpapi.Register(api, route("list-group-invitations", get, base+"/invitations",
		"List the open invitations to a group", "For admins and moderators; in order of user id."), g.invitations)
	httpapi.Register(api, route("withdraw-group-invitation", del, base+"/invitations/{uid}",
		"Withdraw an invitation", "For admins and moderators."), g.uninvite)
	httpapi.Register(api, route("list-my-group-invitations", get, "/v1/groups/invitations", "List your open invitations to groups",
		"Newest first. Each shows the group's name and description and who sent it, "+
			"also if the group is unknown to you otherwise."), g.myInvitations)
	httpapi.Register(api, route("accept-group-invitation", post, invitation+"/accept",
		"Accept an invitation to a group", "You become a member."), g.accept)
	httpapi.Register(api, route("decline-group-invitation", post, invitation+"/decline", "Decline an invitation to a group", ""), g.decline)
}

// ask returns the caller's pending request or, once it was answered, the bare
// receipt.
func (g *groups) ask(ctx context.Context, in *httpapi.MaybeSentTo[AskBody]) (*httpapi.Out[httpapi.Written[RequestView]], error) {
	receipt, err := g.Run(ctx, in.ID, group.CmdAsk, group.Ask(in.JSON.Value), in.JSON.Raw)
	if err != nil {
		return nil, err
	}
	looks, _, err := g.Views.Look(ctx, viewer(ctx), []gotong.Stream{receipt.Stream}, needs, nil)
	if err != nil {
		return nil, err
	}
	id, req, pending := requestOf(looks[0])
	if !pending || receipt.First > 0 && id != group.RequestID(receipt.First) {
		return httpapi.Reply(httpapi.Bare[RequestView](receipt), nil)
	}
	v := g.showRequests(ctx, []row[group.Request]{{id, req}})[0]
	return httpapi.Reply(httpapi.Written[RequestView]{View: &v}, nil)
}

func requestOf(l view.Look) (id string, req group.Request, pending bool) {
	mine, _ := gotong.Doc[gotong.Entry](l.State, group.ApplicantKey(l.Stream.ID(), l.Viewer.UserID))
	if mine.ID != "" {
		req, pending = gotong.Doc[group.Request](l.State, group.RequestKey(l.Stream.ID(), mine.ID))
	}
	return mine.ID, req, pending
}

func (g *groups) approve(ctx context.Context, in *inRequest) (*httpapi.Out[httpapi.Written[MemberView]], error) {
	receipt, err := g.Run(ctx, in.ID, group.CmdApprove, group.Approve{RequestID: in.RequestID}, nil, in.RequestID)
	if err != nil {
		return nil, err
	}
	event, err := httpapi.EventAt(ctx, g.Store, g.Codec, receipt.Stream, receipt.First)
	if err != nil {
		return nil, err
	}
	added, _ := event.Data.(group.Member)
	return httpapi.Reply(members.Executed(ctx, g.Book, receipt, added.UserID).Now())
}

func (g *groups) reject(ctx context.Context, in *inRequest) (*httpapi.Out[Rejected], error) {
	_, err := g.Run(ctx, in.ID, group.CmdReject, group.Reject{RequestID: in.RequestID}, nil, in.RequestID)
	return httpapi.Reply(Rejected{true}, err)
}

func (g *groups) withdraw(ctx context.Context, in *inRequest) (*httpapi.Out[Withdrawn], error) {
	_, err := g.Run(ctx, in.ID, group.CmdWithdraw, group.Withdraw{RequestID: in.RequestID}, nil, in.RequestID)
	return httpapi.Reply(Withdrawn{true}, err)
}

// invite returns the invitation or, to a caller who no longer manages the group,
// the bare receipt.
func (g *groups) invite(ctx context.Context, in *httpapi.SentTo[InviteBody]) (*httpapi.Out[httpapi.Written[Invited]], error) {
	user := in.JSON.Value.UserID
	receipt, err := g.Run(ctx, in.ID, group.CmdInvite, group.Invite{UserID: user}, in.JSON.Raw)
	if err != nil {
		return nil, err
	}
	stream, key := receipt.Stream, group.InvitationKey(in.ID, user)
	looks, _, err := g.Views.Look(ctx, viewer(ctx), []gotong.Stream{stream}, func(s gotong.State, v gotong.Viewer) []gotong.Ref {
		refs := append(needs(s, v), gotong.ChainRefs([]gotong.Stream{stream}, user)...)
		return append(refs, gotong.Ref{Stream: stream, Key: key})
	}, nil)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(looks[0].Grant.Roles, group.Managing) {
		return httpapi.Reply(httpapi.Bare[Invited](receipt), nil)
	}
	i, _ := gotong.Doc[group.Invitation](looks[0].State, key)
	v := Invited{Added: gotong.MembershipOf(looks[0].State, stream, user).Active(), ExpiresAtMS: i.UntilMS}
	return httpapi.Reply(httpapi.Written[Invited]{View: &v}, nil)
}

func (g *groups) uninvite(ctx context.Context, in *members.Target) (*httpapi.Out[Withdrawn], error) {
	receipt, err := g.Run(ctx, in.ID, group.CmdWithdrawInvite, group.WithdrawInvite{UserID: in.UserID}, nil, in.UserID)
	return httpapi.Reply(Withdrawn{receipt.First > 0}, err)
}

func (g *groups) accept(ctx context.Context, in *httpapi.SentNothing) (*httpapi.Out[httpapi.Written[MemberView]], error) {
	receipt, err := g.Run(ctx, in.ID, group.CmdAccept, group.Accept{}, nil)
	if err != nil {
		return nil, err
	}
	return httpapi.Reply(members.Executed(ctx, g.Book, receipt, viewer(ctx).UserID).Then())
}

func (g *groups) decline(ctx context.Context, in *httpapi.SentNothing) (*httpapi.Out[Declined], error) {
	_, err := g.Run(ctx, in.ID, group.CmdDecline, group.Decline{}, nil)
	return httpapi.Reply(Declined{true}, err)
}

// row is a document of a group, with its name.
type row[T any] struct {
	name string
	doc  T
}

// managed returns a page of the documents of one collection of a group that keep
// accepts, in order of name, to its admins and moderators.
func managed[T any](
	ctx context.Context, g *groups, in pageIn, collection string, keep func(T) bool,
) (page []row[T], next httpapi.Next, err error) {
	stream, err := g.Stream(in.ID)
	if err != nil {
		return nil, next, err
	}
	after, err := httpapi.ByID.Name(ctx, in.Cursor)
	if err != nil {
		return nil, next, err
	}
	for more := true; more && len(page) <= in.Limit; {
		// No id has a byte below \x01; SurrealDB 2.6 takes no NUL in a key.
		r := store.KeyRange{Collection: collection, Owner: stream.ID(), From: after + "\x01", To: "~", Limit: store.MaxRead}
		looks, snap, err := g.Views.Look(ctx, viewer(ctx), []gotong.Stream{stream}, needs,
			func([]gotong.State) store.Need { return store.Need{Ranges: []store.KeyRange{r}} })
		if err != nil {
			return nil, next, err
		}
		if err := mayManage(looks[0]); err != nil {
			return nil, next, err
		}
		for _, doc := range snap.Ranges[0] {
			v, _, err := httpapi.Decode[T](g.Codec, doc)
			if err != nil {
				return nil, next, err
			}
			if after = doc.Key.Name; keep(v) {
				page = append(page, row[T]{after, v})
			}
		}
		more = len(snap.Ranges[0]) == store.MaxRead
	}
	if len(page) > in.Limit {
		page = page[:in.Limit]
		next = httpapi.Next{HasMore: true, NextCursor: httpapi.ByID.Cursor(ctx, page[in.Limit-1].name)}
	}
	return page, next, nil
}

// mayManage returns nil to admins and moderators of the group, CodeForbidden to
// those who may know of it, and CodeNotFound to all others.
func mayManage(l view.Look) error {
	if _, _, known := docsOf(l); !known {
		return gotong.NotFound()
	}
	if !slices.Contains(l.Grant.Roles, group.Managing) {
		return gotong.NewError(gotong.CodeForbidden, "Only admins and moderators see requests and invitations.")
	}
	return nil
}

func (g *groups) requests(ctx context.Context, in *pageIn) (*httpapi.Listed[RequestView], error) {
	page, next, err := managed(ctx, g, *in, group.Requests, func(group.Request) bool { return true })
	return &httpapi.Listed[RequestView]{Next: next, Body: g.showRequests(ctx, page)}, err
}

func (g *groups) showRequests(ctx context.Context, page []row[group.Request]) []RequestView {
	names := g.namesOf(ctx, len(page), func(i int) []string { return []string{page[i].doc.UserID} })
	users, list := g.Users(ctx, slices.Collect(maps.Keys(names))), make([]RequestView, len(page))
	for i, r := range page {
		list[i] = RequestView{
			RequestID: r.name, UserID: r.doc.UserID, Name: names[r.doc.UserID], Username: users[r.doc.UserID],
			Message: r.doc.Message, Status: statusPending,
			RequestedAt: r.doc.At, RequestedAtMS: r.doc.At.Milli(),
		}
	}
	return list
}

// namesOf returns the names of the users of n things, by id.
func (g *groups) namesOf(ctx context.Context, n int, users func(i int) []string) map[string]string {
	var ids []string
	for i := range n {
		ids = append(ids, users(i)...)
	}
	return g.Names(ctx, ids)
}

func (g *groups) invitations(ctx context.Context, in *pageIn) (*httpapi.Listed[InvitationView], error) {
	now := g.now()
	page, next, err := managed(ctx, g, *in, group.Invitations, func(i group.Invitation) bool { return i.Open(now) })
	if err != nil {
		return nil, err
	}
	names := g.namesOf(ctx, len(page), func(i int) []string { return []string{page[i].name, page[i].doc.By} })
	list := make([]InvitationView, len(page))
	for i, r := range page {
		list[i] = InvitationView{
			UserID: r.name, Name: names[r.name], InvitedBy: User{r.doc.By, names[r.doc.By]},
			InvitedAtMS: r.doc.At.Milli(), ExpiresAtMS: r.doc.UntilMS,
		}
	}
	return &httpapi.Listed[InvitationView]{Next: next, Body: list}, nil
}
