package accounts

import (
	"cmp"
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/text"
)

func (a *accounts) adminRoutes(api *httpapi.API) {
	const base, subject = "/v1/admin/users/{id}", "The user's id."
	httpapi.Register(api, httpapi.Route{
		ID: "find-user", Method: http.MethodGet, Path: "/v1/admin/users", Tag: tagAdmin,
		Summary: "Find an account", Description: "For admins: by its user name or its id.",
	}, a.find)
	httpapi.Register(api, httpapi.Route{
		ID: "disable-user", Method: http.MethodPost, Path: base + "/disable", Tag: tagAdmin, Write: true, Subject: subject,
		Summary: "Disable an account", Description: "For admins. It ends the account's logins and closes its connections.",
	}, a.disable)
	httpapi.Register(api, httpapi.Route{
		ID: "enable-user", Method: http.MethodPost, Path: base + "/enable", Tag: tagAdmin, Write: true, Subject: subject,
		Summary: "Enable an account again", Description: "For admins. The user must sign in again.",
	}, a.enable)
	httpapi.Register(api, httpapi.Route{
		ID: "set-user-role", Method: http.MethodPost, Path: base + "/role", Tag: tagAdmin, Write: true, Subject: subject,
		Summary: "Give an account a platform role", Description: "For admins. The account's logins end, because tokens carry the role.",
	}, a.setRole)
}

// UserView is an account as admins see it.
type UserView struct {
	UserID      string      `json:"user_id"`
	Username    string      `json:"username"`
	Role        gotong.Role `json:"role" enum:"user,moderator,admin"`
	Enabled     bool        `json:"enabled"`
	CommunityID string      `json:"community_id"`
	CreatedAtMS int64       `json:"created_at_ms"`
	UpdatedAtMS int64       `json:"updated_at_ms"`
	Seq         uint64      `json:"seq"`
	AsOf        string      `json:"as_of"`
}

type findIn struct {
	User string `query:"user" required:"true" minLength:"1" maxLength:"256" doc:"A user name or an id."`
}

func (a *accounts) find(ctx context.Context, in *findIn) (*httpapi.Out[UserView], error) {
	if err := mustBeAdmin(ctx); err != nil {
		return nil, err
	}
	// The id comes first: a user name can look like the id of another user.
	claim := gotong.Claim{Space: user.ClaimUsername, Name: user.Username(in.User)}
	need := store.Need{Claims: []gotong.Claim{claim}}
	if gotong.ValidID(in.User) {
		need.Documents = []gotong.Key{user.UserKey(in.User)}
	}
	snap, err := a.Store.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	if len(snap.Documents) > 0 {
		return a.view(ctx, gotong.NewStream(user.Name, in.User))
	}
	stream, ok := snap.Claims[claim]
	if !ok {
		return nil, gotong.NotFound()
	}
	return a.view(ctx, stream)
}

func mustBeAdmin(ctx context.Context) error {
	if !httpapi.CallOf(ctx).Principal.Role.IsAdmin() {
		return gotong.NewError(gotong.CodeForbidden, "Only platform admins can see and change accounts.")
	}
	return nil
}

// Switch is the body of disabling or enabling an account.
type Switch struct {
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

func (a *accounts) disable(ctx context.Context, in *httpapi.MaybeSentTo[Switch]) (*httpapi.Out[UserView], error) {
	return a.run(ctx, in.ID, user.CmdDisable, user.Disable(in.JSON.Value), in.JSON.Raw)
}

func (a *accounts) enable(ctx context.Context, in *httpapi.MaybeSentTo[Switch]) (*httpapi.Out[UserView], error) {
	return a.run(ctx, in.ID, user.CmdEnable, user.Enable(in.JSON.Value), in.JSON.Raw)
}

// SetRole is the body of a change of the platform role.
type SetRole struct {
	Role gotong.Role `json:"role" enum:"user,moderator,admin"`
}

func (a *accounts) setRole(ctx context.Context, in *httpapi.SentTo[SetRole]) (*httpapi.Out[UserView], error) {
	return a.run(ctx, in.ID, user.CmdSetRole, user.SetRole(in.JSON.Value), in.JSON.Raw)
}

// run changes an account and returns it, once this node has delivered the change.
func (a *accounts) run(ctx context.Context, id, name string, data any, raw []byte) (*httpapi.Out[UserView], error) {
	streams := httpapi.Streams{Kind: user.Name, Engine: a.Engine}
	stream, err := streams.Stream(id)
	if err := cmp.Or(mustBeAdmin(ctx), err); err != nil {
		return nil, err
	}
	receipt, err := streams.Run(ctx, id, name, data, raw)
	if err != nil {
		return nil, err
	}
	if err := httpapi.Settled(ctx, a.Delivery, receipt); err != nil {
		return nil, err
	}
	return a.view(ctx, stream)
}

func (a *accounts) view(ctx context.Context, stream gotong.Stream) (*httpapi.Out[UserView], error) {
	id, key := stream.ID(), user.UserKey(stream.ID())
	snap, err := a.Store.Load(ctx, store.Need{Heads: []gotong.Stream{stream}, Documents: []gotong.Key{key}})
	if err != nil {
		return nil, err
	}
	u, ok, err := httpapi.Document[user.User](a.Codec, snap, key)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, gotong.NotFound()
	}
	head := snap.Heads[stream]
	return httpapi.Reply(UserView{
		UserID: id, Username: a.Users(ctx, []string{id})[id], Role: u.Role, Enabled: u.Enabled,
		CommunityID: u.CommunityID, CreatedAtMS: u.CreatedAt.Milli(), UpdatedAtMS: head.At.Milli(), Seq: head.Seq,
		AsOf: httpapi.AsOf(ctx, head.Seq),
	}, nil)
}

func (a *accounts) eraseRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "erase-content", Method: http.MethodPost, Path: "/v1/admin/erasures", Tag: tagAdmin, Write: true,
		Summary: "Erase the content of events for good",
		Description: "For admins. It erases the content of the named events of a stream, and that of later events about them, such as " +
			"the edits of a message. Seqs, order, chain and data stay. Each erased event gets an event content.erased with the reason, " +
			"which everyone sees who could see the erased one; do not quote the text in it. Backups and clients keep what they have.",
	}, a.erase)
}

// Erasure is the body of an erasure.
type Erasure struct {
	Stream gotong.Stream `json:"stream" minLength:"3" maxLength:"161" doc:"The stream: kind/id."`
	Seqs   []uint64      `json:"seqs" minItems:"1" maxItems:"100" doc:"The events, by seq."`
	Reason string        `json:"reason" minLength:"1" maxLength:"500"`
}

// ErasedView is the result of an erasure.
type ErasedView struct {
	Stream gotong.Stream `json:"stream"`
	Erased uint64        `json:"erased" doc:"How many events lost content: those named and those about them. 0: none had any."`
	AsOf   string        `json:"as_of,omitempty" doc:"The cursor after the events content.erased."`
}

func (a *accounts) erase(ctx context.Context, in *httpapi.Sent[Erasure]) (*httpapi.Out[ErasedView], error) {
	if !httpapi.CallOf(ctx).Principal.Role.IsAdmin() {
		return nil, gotong.NewError(gotong.CodeForbidden, "Only platform admins can erase content.")
	}
	order := in.JSON.Value
	if _, err := gotong.ParseStream(string(order.Stream)); err != nil {
		return nil, err
	}
	ids, err := store.ErasePlan(ctx, a.Store, a.Codec, order.Stream, order.Seqs)
	if err != nil {
		return nil, err
	}
	data := gotong.Erase{Events: ids, Reason: text.Grounds.Clean(order.Reason)}
	cmd := httpapi.CallOf(ctx).Command(order.Stream, gotong.CmdErase, data, in.JSON.Raw)
	receipt, err := httpapi.Run(ctx, a.Engine, cmd)
	if err != nil {
		return nil, err
	}
	if err := httpapi.Settled(ctx, a.Delivery, receipt); err != nil {
		return nil, err
	}
	out := &httpapi.Out[ErasedView]{Body: ErasedView{Stream: order.Stream}}
	if receipt.First > 0 {
		out.Body.Erased, out.Body.AsOf = receipt.Last-receipt.First+1, httpapi.AsOf(ctx, receipt.Last)
	}
	return out, nil
}
