package chat

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// AddMember is the body of adding a member.
type AddMember struct {
	UserID   string      `json:"user_id" minLength:"1" maxLength:"128"`
	Role     thread.Role `json:"role,omitempty" enum:"owner,admin,member" doc:"By default member."`
	SentAtMS int64       `json:"sent_at_ms,omitempty" doc:"In an import: the original time."`
	SentBy   string      `json:"sent_by,omitempty" doc:"In an import: the original name."`
}

// SetRole is the body of changing a member's role.
type SetRole struct {
	Role thread.Role `json:"role" enum:"owner,admin,member"`
}

// Mute is the body of muting a member.
type Mute struct {
	UntilMS int64 `json:"until_ms" minimum:"0" doc:"The end of the mute, in milliseconds since 1970; 0 lifts the mute."`
}

type (
	done    = members.Done[MemberView]
	written = httpapi.Written[MemberView]
)

func (c *chat) memberRoutes(api *httpapi.API) {
	const base = "/v1/chat/threads/{id}"
	book := members.Book[MemberView]{
		Options: c.Options.Options, Needs: c.needs, See: c.see, Chain: chain, Webhooks: true, Guests: c.guests, Show: c.show,
	}
	members.Routes(api, members.Kind[MemberView, AddMember, SetRole, written, written, written]{
		Book: book, Name: thread.Name, Path: base, Tag: tagMembers, Subject: subject, Lent: true, Ops: operations,
		Join: thread.Join{}, Leave: thread.Leave{},
		Add: func(v AddMember) (any, string) {
			origin := thread.Origin{SentAtMS: v.SentAtMS, SentBy: v.SentBy}
			return thread.Add{UserID: v.UserID, Role: v.Role, Origin: origin}, v.UserID
		},
		Remove: func(id string, ban gotong.Ban) any { return thread.Remove{UserID: id, Ban: ban} },
		Unban:  func(id string) any { return thread.Unban{UserID: id} },
		Role:   func(id string, v SetRole) any { return thread.SetRole{UserID: id, Role: v.Role} },

		Left: (*done).Then, Removed: (*done).Now, Banned: (*done).Now, Unbanned: (*done).Now,
	})
	httpapi.Register(api, httpapi.Route{
		ID: "mute-member", Method: http.MethodPost, Path: base + "/members/{uid}/mute", Tag: tagMembers, Write: true,
		Summary: "Mute a member", Description: "A muted member can read but not write until the given time; 0 lifts the mute.",
		Subject: subject,
	}, members.Act(book, thread.Name, thread.CmdMute, func(id string, v Mute) any {
		return thread.Mute{UserID: id, UntilMS: v.UntilMS}
	}))
}

// Led describes how threads are led.
var Led = members.Led{
	Kind: thread.Name, OfUser: thread.OfUser, Imported: thread.ImportedPrefix,
	Op:      httpapi.Route{ID: "appoint-owner", Path: "/v1/admin/threads/{id}/appoint", Summary: "Appoint an owner of a thread"},
	Appoint: func(id string, all []string) any { return thread.Appoint{UserID: id, Members: all} },
}

var operations = members.Ops{
	Join: httpapi.Route{ID: "join-thread", Summary: "Join a public thread", Description: "Joining again changes nothing."},
	Leave: httpapi.Route{
		ID: "leave-thread", Summary: "Leave a thread", Description: "After the response, no event of the thread is delivered to you.",
	},
	List: httpapi.Route{
		ID: "list-members", Summary: "List the active members",
		Description: "For members; in order of user id, webhooks included. If the members are borrowed, X-As-Of-Home is the cursor " +
			"of the group, X-As-Of-Lender that of another lender, and X-As-Of that of the thread, which knows the mutes.",
	},
	Add: httpapi.Route{ID: "add-member", Summary: "Add a member"},
	Remove: httpapi.Route{
		ID: "remove-member", Method: http.MethodDelete, Summary: "Remove a member or a webhook",
		Description: "After the response, no event of the thread is delivered to that member.",
	},
	Ban:   httpapi.Route{ID: "ban-member", Summary: "Remove a user and keep them out"},
	Unban: httpapi.Route{ID: "unban-member", Summary: "Lift a ban"},
	Role:  httpapi.Route{ID: "set-member-role", Summary: "Change a member's role"},
}

// see decides who may look at the members of a thread: its members, and moderators
// of the platform at one on whom they acted. Every user may see their own membership.
func (c *chat) see(l view.Look, as members.Sight) error {
	readable := l.Grant.Readable || as == members.Acting && l.Viewer.Role.CanModerate()
	if as != members.Oneself && (!readable || !c.Rules.MayKnow(l.State, l.Viewer)) {
		return gotong.NotFound()
	}
	return nil
}

func chain(s gotong.State) []gotong.Stream { return thread.Chain(docOf(s), s.Stream) }

// guests returns the names of imported members, which are the content of the events with
// which they came, as long as that is there. An event that is damaged or unreadable costs
// its own name, not the others and not the list.
func (c *chat) guests(ctx context.Context, s gotong.Stream, seats []members.Seat) (map[string]string, error) {
	var need store.Need
	for _, seat := range seats {
		if n := len(seat.Stretches); n > 0 && strings.HasPrefix(seat.UserID, thread.ImportedPrefix) {
			came := seat.Stretches[n-1].From
			need.Events = append(need.Events, store.EventRange{Stream: s, From: came - 1, To: came, Limit: 1})
		}
	}
	names := map[string]string{}
	if need.Events == nil {
		return names, nil
	}
	snap, err := c.Store.Load(ctx, need)
	if half := len(seats) / 2; errors.Is(err, store.ErrCorrupt) {
		for _, some := range [][]members.Seat{seats[:half], seats[half:]} {
			if len(some) == len(seats) { // it is the one
				return names, nil
			}
			found, err := c.guests(ctx, s, some)
			if err != nil {
				return nil, err
			}
			maps.Copy(names, found)
		}
		return names, nil
	}
	if err != nil {
		return nil, err
	}
	for _, rows := range snap.Events {
		for i := range rows {
			e, err := c.Codec.Event(&rows[i])
			if err != nil {
				continue
			}
			added, _ := e.Data.(thread.Added)
			by, _ := e.Content.(thread.SentBy)
			names[added.UserID] = by.SentBy
		}
	}
	return names, nil
}

func (c *chat) show(l view.Look, seat members.Seat) *MemberView {
	v := &MemberView{
		ThreadID: l.Stream.ID(), UserID: seat.UserID, Webhook: seat.Webhook, Name: seat.Name, Username: seat.Username,
		JoinedAtMS: seat.JoinedAt.Milli(),
		LeftAtMS:   seat.LeftAt.Milli(), Banned: seat.Ever, BanUntilMS: seat.UntilMS,
	}
	if seat.JoinedAt != 0 && !seat.Webhook {
		v.Role = c.Rules.RoleIn(docOf(l.State), seat.UserID, seat.Role)
	}
	if own, ok := seat.Own.(thread.Member); ok && own.MutedAt(c.Now()) {
		v.MuteUntilMS = own.MuteUntilMS
	}
	return v
}
