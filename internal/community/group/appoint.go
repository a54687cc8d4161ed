package group

import "gotong.dev/gotong"

// appoint gives a new admin to a group of whose admins none can act. A platform
// admin does it, also for a group that is unknown to them otherwise; if such a
// group has an admin who can act, they get that it does not exist.
func (r ruling) appoint(c Appoint) (gotong.Decision, error) {
	known, led := r.role != "" || r.group.KnownToAll(), r.group.Led(r.state, r.accounts) || r.group.Closed()
	switch {
	case !r.cmd.Actor.Role.IsAdmin() && known:
		return gotong.Reject(gotong.CodeForbidden, "Only a platform admin can appoint an admin.")
	case !r.cmd.Actor.Role.IsAdmin(), led && !known:
		return gotong.Decision{}, gotong.NotFound()
	case led:
		return gotong.Reject(gotong.CodeConflict, "The group has an admin who can act, or is closed.")
	case !r.accounts.CanAct(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	}
	target := r.member(c.UserID)
	switch outsider := !target.Active(); {
	case outsider && target.Holds(r.now()):
		return gotong.Reject(gotong.CodeConflict, "The user is banned from the group.")
	case outsider && !r.group.Nobody(r.state, r.accounts, r.state.Stream, c.Members):
		return gotong.Reject(gotong.CodeConflict, "An outsider can be appointed only if none of the members can act.")
	default:
		data := Appointed{UserID: c.UserID, Role: Admin, Outsider: outsider}
		return gotong.Accept(gotong.Fact{Type: EvAppointed, Data: data})
	}
}
