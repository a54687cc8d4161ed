package accounts

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/store"
)

func (a *accounts) ownerlessRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "list-ownerless", Method: http.MethodGet, Path: "/v1/admin/ownerless", Tag: tagAdmin,
		Summary: "List the threads and groups without a leader who can act",
		Description: "For admins: threads and groups whose owners, or admins, are all disabled. A page looks at limit disabled " +
			"accounts, newest first, so it may be empty although there is more.",
	}, a.ownerless)
	for _, of := range a.Led {
		op := of.Op
		op.Method, op.Tag, op.Write = http.MethodPost, tagAdmin, true
		op.Description, op.Subject = appointing, "The thread's or the group's id."
		httpapi.Register(api, op, func(ctx context.Context, in *httpapi.SentTo[Appoint]) (*httpapi.Out[httpapi.ReceiptView], error) {
			return a.appoint(ctx, of, in)
		})
	}
}

const appointing = "For admins, where nobody can lead it. Appoint a member, or an outsider if no member can act. An outsider " +
	"sees nothing from before. All members see the event."

// Ownerless is a thread or a group that nobody can lead.
type Ownerless struct {
	Stream      gotong.Stream `json:"stream"`
	Name        string        `json:"name,omitempty" doc:"Of a group."`
	Leaders     []string      `json:"leaders" doc:"The owners or admins, all of them disabled."`
	MemberCount int           `json:"member_count"`
	Candidates  []Candidate   `json:"candidates" doc:"Members who can be appointed, at most 20."`
	Outsider    bool          `json:"outsider" doc:"True if no member can act, so that an outsider can be appointed."`
}

// Candidate is a member who can be appointed.
type Candidate struct {
	UserID string `json:"user_id"`
	Name   string `json:"name,omitempty"`
}

const maxCandidates = 20

func (a *accounts) ownerless(ctx context.Context, in *httpapi.Page) (*httpapi.Listed[Ownerless], error) {
	if err := mustBeAdmin(ctx); err != nil {
		return nil, err
	}
	before, err := httpapi.ByTime.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	disabled, err := a.entries(ctx, user.Disabled, user.DirectoryOwner, before, in.Limit+2) // one for the cursor's own, one to know of more
	if err != nil {
		return nil, err
	}
	lines, more := httpapi.Cut(disabled, in.Limit)
	page, err := httpapi.List(ctx, lines, more, func(ctx context.Context, ids []string) (map[string][]Ownerless, error) {
		led := map[string][]Ownerless{}
		for _, id := range ids {
			list, err := a.ownerlessOf(ctx, id)
			if err != nil {
				return nil, err
			}
			led[id] = list
		}
		return led, nil
	})
	if err != nil {
		return nil, err
	}
	return &httpapi.Listed[Ownerless]{Next: page.Next, Body: append([]Ownerless{}, slices.Concat(page.Body...)...)}, nil
}

// entries returns the newest lines of a listing that come after the line before.
func (a *accounts) entries(ctx context.Context, collection, owner, before string, limit int) ([]httpapi.Line, error) {
	snap, err := a.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{httpapi.Newest(collection, owner, before, limit)}})
	if err != nil {
		return nil, err
	}
	return httpapi.Lines(snap.Ranges[0], before), nil
}

// ownerlessOf returns the streams that nobody can lead and in whose list of leaders
// this disabled user comes first, so that each stream is found once.
func (a *accounts) ownerlessOf(ctx context.Context, userID string) ([]Ownerless, error) {
	var list []Ownerless
	for _, of := range a.Led {
		lines, err := a.entries(ctx, of.OfUser, userID, "", store.MaxRead)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			l, err := a.led(ctx, gotong.NewStream(of.Kind, line.ID))
			if err != nil {
				return nil, err
			}
			if len(l.roster.Leaders) == 0 || l.roster.Leaders[0] != userID {
				continue
			}
			view, ok, err := a.viewOwnerless(ctx, of, l)
			if err != nil {
				return nil, err
			}
			if ok {
				list = append(list, view)
			}
		}
	}
	return list, nil
}

type led struct {
	stream gotong.Stream
	name   string
	roster gotong.Roster
}

func (a *accounts) led(ctx context.Context, stream gotong.Stream) (led, error) {
	key := gotong.StreamKey(stream)
	snap, err := a.Store.Load(ctx, store.Need{Documents: []gotong.Key{key}})
	if err != nil {
		return led{}, err
	}
	doc, ok, err := httpapi.Document[members.Roster](a.Codec, snap, key)
	l := led{stream: stream}
	if ok {
		l.roster = doc.Leadership()
	}
	if titled, ok := doc.(members.Titled); ok {
		l.name = titled.Title()
	}
	return l, err
}

// viewOwnerless returns a stream that nobody can lead; false if somebody can.
func (a *accounts) viewOwnerless(ctx context.Context, of members.Led, l led) (Ownerless, bool, error) {
	able, err := a.able(ctx, l.roster.Leaders)
	if err != nil || len(able) > 0 {
		return Ownerless{}, false, err
	}
	all, err := a.membersOf(ctx, of, l.stream)
	if err != nil {
		return Ownerless{}, false, err
	}
	if able, err = a.able(ctx, all); err != nil {
		return Ownerless{}, false, err
	}
	view := Ownerless{
		Stream: l.stream, Name: l.name, Leaders: l.roster.Leaders, MemberCount: l.roster.Members, Candidates: []Candidate{},
		Outsider: len(able) == 0 && len(all) == l.roster.Members,
	}
	able = able[:min(len(able), maxCandidates)]
	names := a.Names(ctx, able)
	for _, id := range able {
		view.Candidates = append(view.Candidates, Candidate{id, names[id]})
	}
	return view, true, nil
}

// able returns those users who can act.
func (a *accounts) able(ctx context.Context, ids []string) ([]string, error) {
	need := store.Need{}
	for _, id := range ids {
		need.Documents = append(need.Documents, user.UserKey(id))
	}
	snap, err := a.Store.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	state := gotong.NewState("", gotong.Head{})
	for _, id := range ids {
		u, ok, err := httpapi.Document[user.User](a.Codec, snap, user.UserKey(id))
		if err != nil {
			return nil, err
		}
		if ok {
			state.SetDoc(user.UserKey(id), u)
		}
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !a.Accounts.CanAct(state, id) }), nil
}

// membersOf returns the active members of a stream, without those of an import, as
// far as one read goes.
func (a *accounts) membersOf(ctx context.Context, of members.Led, stream gotong.Stream) ([]string, error) {
	key := gotong.MemberKey(stream, "")
	snap, err := a.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{{
		Collection: key.Collection, Owner: key.Owner, From: "\x01", To: "~", Limit: store.MaxRead,
	}}})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, row := range snap.Ranges[0] {
		m, _, err := httpapi.Decode[members.Row](a.Codec, row)
		if err != nil {
			return nil, err
		}
		if of.Counts(row.Key.Name, m) {
			ids = append(ids, row.Key.Name)
		}
	}
	return ids, nil
}

// Appoint is the body of an appointment.
type Appoint struct {
	UserID string `json:"user_id" minLength:"1" maxLength:"128"`
}

// appoint appoints a leader. For an outsider, the command names all members, and the
// rules check that the list is complete.
func (a *accounts) appoint(ctx context.Context, of members.Led, in *httpapi.SentTo[Appoint]) (*httpapi.Out[httpapi.ReceiptView], error) {
	streams := httpapi.Streams{Kind: of.Kind, Engine: a.Engine}
	stream, err := streams.Stream(in.ID)
	if err := cmp.Or(mustBeAdmin(ctx), err); err != nil {
		return nil, err
	}
	all, err := a.membersOf(ctx, of, stream)
	if err != nil {
		return nil, err
	}
	id := in.JSON.Value.UserID
	if slices.Contains(all, id) || len(all) > gotong.MaxProof {
		all = nil
	}
	receipt, err := streams.Run(ctx, in.ID, "member.appoint", of.Appoint(id, all), in.JSON.Raw)
	if err != nil {
		return nil, err
	}
	return httpapi.Reply(httpapi.ViewReceipt(receipt), httpapi.Settled(ctx, a.Delivery, receipt))
}
