package groups

import (
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/view"
)

// MemberView is one member of a group.
type MemberView struct {
	UserID     string         `json:"user_id"`
	Name       string         `json:"name"`
	Username   string         `json:"username,omitempty"`
	Role       group.Role     `json:"role" enum:"admin,moderator,anggota"`
	JoinedAt   gotong.Instant `json:"joined_at" format:"date-time"`
	JoinedAtMS int64          `json:"joined_at_ms"`
}

// AddMember is the body of adding a member.
type AddMember struct {
	UserID string     `json:"user_id" minLength:"1" maxLength:"128"`
	Role   group.Role `json:"role,omitempty" enum:"admin,moderator,anggota" doc:"By default anggota."`
}

// SetRole is the body of changing a member's role.
type SetRole struct {
	Role group.Role `json:"role" enum:"admin,moderator,anggota"`
}

// Left is the response to leaving a group.
type Left struct {
	Left bool `json:"left"`
}

// Removed is the response to a removal.
type Removed struct {
	Removed bool `json:"removed" doc:"False if the user was not a member."`
}

// Banned is the response to a ban, and to lifting one.
type Banned struct {
	Banned bool `json:"banned"`
}

type done = members.Done[MemberView]

func (g *groups) memberRoutes(api *httpapi.API) {
	members.Routes(api, members.Kind[MemberView, AddMember, SetRole, Left, Removed, Banned]{
		Book: g.Book, Name: group.Name, Path: "/v1/groups/{id}", Tag: tag, Subject: "The group's id, ent-…", Ops: operations,
		Join: group.Join{}, Leave: group.Leave{},
		Add:    func(v AddMember) (any, string) { return group.Add(v), v.UserID },
		Remove: func(id string, ban gotong.Ban) any { return group.Remove{UserID: id, Ban: ban} },
		Unban:  func(id string) any { return group.Unban{UserID: id} },
		Role:   func(id string, v SetRole) any { return group.SetRole{UserID: id, Role: v.Role} },

		Left:     func(*done) (Left, error) { return Left{true}, nil },
		Removed:  func(d *done) (Removed, error) { return Removed{d.Receipt.First > 0}, nil },
		Banned:   func(*done) (Banned, error) { return Banned{true}, nil },
		Unbanned: func(*done) (Banned, error) { return Banned{}, nil },
	})
}

// Led describes how groups are led.
var Led = members.Led{
	Kind: group.Name, OfUser: group.OfUser,
	Op:      httpapi.Route{ID: "appoint-admin", Path: "/v1/admin/groups/{id}/appoint", Summary: "Appoint an admin of a group"},
	Appoint: func(id string, all []string) any { return group.Appoint{UserID: id, Members: all} },
}

var operations = members.Ops{
	Join: httpapi.Route{ID: "join-group", Summary: "Join an open group"},
	Leave: httpapi.Route{
		ID: "leave-group", Summary: "Leave a group",
		Description: "After the response, no event of the threads that borrow its members is delivered to you.",
	},
	List: httpapi.Route{
		ID: "list-group-members", Summary: "List the members of a group", Description: "In order of user id.",
	},
	Add: httpapi.Route{ID: "add-group-member", Summary: "Add a member to a group"},
	Remove: httpapi.Route{
		ID: "remove-group-member", Method: http.MethodPost, Path: "/remove", Summary: "Remove a member from a group",
		Description: "After the response, no event of the threads that borrow the group's members is delivered to that user. " +
			"Removing a user who is not a member changes nothing.",
	},
	Ban:   httpapi.Route{ID: "ban-group-member", Summary: "Remove a user from a group and keep them out"},
	Unban: httpapi.Route{ID: "unban-group-member", Summary: "Lift a ban of a group"},
	Role:  httpapi.Route{ID: "set-group-role", Summary: "Change a member's role in a group"},
}

// see decides who may look at a group and its members. Every user may see their
// own membership.
func see(l view.Look, as members.Sight) error {
	g, mine, known := docsOf(l)
	listed := group.MayListMembers(g, mine)
	switch {
	case as == members.Oneself:
		return nil
	case !known, as == members.Acting && !listed:
		return gotong.NotFound()
	case as == members.Listing && !listed:
		return gotong.NewError(gotong.CodeForbidden, "Only members can see the list of members.")
	default:
		return nil
	}
}

func show(_ view.Look, seat members.Seat) *MemberView {
	if !seat.Active() {
		return nil
	}
	return &MemberView{
		UserID: seat.UserID, Name: seat.Name, Username: seat.Username, Role: group.Role(seat.Role),
		JoinedAt: seat.JoinedAt, JoinedAtMS: seat.JoinedAt.Milli(),
	}
}
