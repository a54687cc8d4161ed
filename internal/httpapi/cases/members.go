package cases

import (
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/view"
)

// MemberView is one member of a case.
type MemberView struct {
	UserID     string       `json:"user_id"`
	Webhook    bool         `json:"webhook,omitempty" doc:"True if the member is a webhook, with its id in user_id and without roles."`
	Name       string       `json:"name"`
	TrackRoles []cases.Role `json:"track_roles" enum:"author,pic,participant,saksi,bendahara,humas,verifikator"`
	JoinedAtMS int64        `json:"joined_at_ms"`
}

// SetMember is the body of setting the roles of a member.
type SetMember struct {
	TrackRoles []cases.Role `json:"track_roles" minItems:"1" maxItems:"7" enum:"author,pic,participant,saksi,bendahara,humas,verifikator" doc:"At least one of author, pic, participant and saksi; pic and bendahara exclude each other."`
}

// Gone is the response to what ends a membership.
type Gone struct {
	Left bool `json:"left"`
}

func (r *routes) memberRoutes(api *httpapi.API) {
	gone := func(*members.Done[MemberView]) (Gone, error) { return Gone{true}, nil }
	path := "/v1/cases/{id}"
	members.Routes(api, members.Kind[MemberView, SetMember, SetMember, Gone, Gone, Gone]{
		Book: r.book, Name: cases.Name, Path: path, Tag: tag, Subject: subject,
		Ops: members.Ops{
			Leave: httpapi.Route{
				ID: "leave-case", Summary: "Leave a case", Description: "Your votes on an open gate still count.",
			},
			List: httpapi.Route{
				ID: "list-case-members", Summary: "List the members of a case", Description: "For its members, in order of user id; webhooks included.",
			},
			Remove: httpapi.Route{
				ID: "remove-case-member", Method: http.MethodDelete, Summary: "Remove a member, also a webhook, from a case",
				Description: "For the author, a PIC and platform moderators. " +
					"After the response, no event of the case is delivered to that member.",
			},
		},
		Leave: cases.Leave{}, Remove: func(id string, _ gotong.Ban) any { return cases.Remove{UserID: id} },
		Left: gone, Removed: gone,
	})
	httpapi.Register(api, httpapi.Route{
		ID: "set-case-member", Method: http.MethodPut, Path: path + "/members/{uid}", Tag: tag, Subject: subject, Write: true,
		Summary: "Make a user a member of a case, or set a member's roles", Description: "For the author, a PIC and platform moderators.",
	}, members.Act(r.book, cases.Name, cases.CmdSeat, func(id string, b SetMember) any {
		return cases.Seating{UserID: id, TrackRoles: b.TrackRoles}
	}))
}

// see decides who may look at a case and its members: only members see who the
// others are.
func (r *routes) see(l view.Look, as members.Sight) error {
	switch {
	case as == members.Oneself || l.Grant.Readable:
		return nil
	case as == members.Acting || !r.Rules.MayKnow(l.State, l.Viewer):
		return gotong.NotFound()
	default:
		return gotong.NewError(gotong.CodeForbidden, "Only members can see who takes part.")
	}
}

func (r *routes) show(_ view.Look, seat members.Seat) *MemberView {
	own, ok := seat.Own.(cases.Member)
	if !seat.Active() || !ok && !seat.Webhook {
		return nil
	}
	return &MemberView{
		UserID: seat.UserID, Webhook: seat.Webhook, Name: seat.Name, TrackRoles: append([]cases.Role{}, own.TrackRoles...),
		JoinedAtMS: seat.JoinedAt.Milli(),
	}
}
