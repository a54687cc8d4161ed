package thread

import "gotong.dev/gotong"

// appoint gives a thread a new owner if no owner can act. Only platform admins
// may appoint. If an admin may not know the thread and one of its owners can
// act, the admin gets the answer for a thread that does not exist.
func (r ruling) appoint(c Appoint) (gotong.Decision, error) {
	known := mayKnow(r.state, r.thread, r.me)
	switch {
	case !r.cmd.Actor.Role.IsAdmin() && known:
		return gotong.Reject(gotong.CodeForbidden, "Only a platform admin can appoint an owner.")
	case !r.cmd.Actor.Role.IsAdmin():
		return gotong.Decision{}, gotong.NotFound()
	case !r.ownerless() && !known:
		return gotong.Decision{}, gotong.NotFound()
	case !r.ownerless():
		return gotong.Reject(gotong.CodeConflict, "The thread has an owner who can act, borrows its members, or is closed.")
	case !r.Accounts.CanAct(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	}
	target := r.standing(c.UserID)
	switch outsider := target.role == ""; {
	case outsider && target.row.Holds(r.now()):
		return gotong.Reject(gotong.CodeConflict, "The user is banned from the thread.")
	case outsider && !r.thread.Nobody(r.state, r.Accounts, r.state.Stream, c.Members):
		return gotong.Reject(gotong.CodeConflict, "An outsider can be appointed only if none of the members can act.")
	default:
		data := Appointed{UserID: c.UserID, Role: Owner, Outsider: outsider}
		return gotong.Accept(gotong.Fact{Type: EvAppointed, Data: data})
	}
}

// ownerless reports whether the thread has members of its own, and no owner who
// can act.
func (r ruling) ownerless() bool {
	return r.thread.Members == Own && !r.thread.Direct() && !r.thread.Closed() && !r.thread.Led(r.state, r.Accounts)
}
