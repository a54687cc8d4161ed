package group

import "gotong.dev/gotong"

// appoint gives a group that no admin can act for a new one. A platform admin
// does it, also for a group that they may not know of otherwise: to them, one
// that has an admin who can act is not there.
func (r ruling) appoint(c Appoint) (gotong.Decision, error) {
	known, led := r.role != "" || r.group.KnownToAll(), r.group.Led(r.state, r.accounts) || r.group.Closed()
	switch {
	case !r.cmd.Actor.Role.IsAdmin() && known:
		return gotong.Reject(gotong.CodeForbidden, "Only an admin of the platform appoints an admin.")
	case !r.cmd.Actor.Role.IsAdmin(), led && !known:
		return gotong.Decision{}, gotong.NotFound()
	case led:
		return gotong.Reject(gotong.CodeConflict, "The group has an admin who can act, or needs none.")
	case !r.accounts.CanAct(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	}
	target := r.member(c.UserID)
	switch outsider := !target.Active(); {
	case outsider && target.Holds(r.now()):
		return gotong.Reject(gotong.CodeConflict, "Is banned from the group.")
	case outsider && !r.group.Nobody(r.state, r.accounts, r.state.Stream, c.Members):
		return gotong.Reject(gotong.CodeConflict, "Somebody among the members can act; appoint one of them.")
	default:
		data := Appointed{UserID: c.UserID, Role: Admin, Outsider: outsider}
		return gotong.Accept(gotong.Fact{Type: EvAppointed, Data: data})
	}
}
