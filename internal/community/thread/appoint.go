package thread

import "gotong.dev/gotong"

// appoint gives a thread that no owner can act for a new one. A platform admin
// does it, also for a thread that they may not know of otherwise: to them, one
// that has an owner who can act is not there.
func (r ruling) appoint(c Appoint) (gotong.Decision, error) {
	known := mayKnow(r.state, r.thread, r.me)
	switch {
	case !r.cmd.Actor.Role.IsAdmin() && known:
		return gotong.Reject(gotong.CodeForbidden, "Only an admin of the platform appoints an owner.")
	case !r.cmd.Actor.Role.IsAdmin():
		return gotong.Decision{}, gotong.NotFound()
	case !r.ownerless() && !known:
		return gotong.Decision{}, gotong.NotFound()
	case !r.ownerless():
		return gotong.Reject(gotong.CodeConflict, "The thread has an owner who can act, or needs none.")
	case !r.accounts.CanAct(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	}
	target := standingOf(r.state, r.thread, c.UserID)
	switch outsider := target.role == ""; {
	case outsider && target.row.Holds(r.now()):
		return gotong.Reject(gotong.CodeConflict, "Is banned from the thread.")
	case outsider && !r.thread.Nobody(r.state, r.accounts, r.state.Stream, c.Members):
		return gotong.Reject(gotong.CodeConflict, "Somebody among the members can act; appoint one of them.")
	default:
		data := Appointed{UserID: c.UserID, Role: Owner, Outsider: outsider}
		return gotong.Accept(gotong.Fact{Type: EvAppointed, Data: data})
	}
}

// ownerless: a thread with members of its own, of whose owners none can act.
func (r ruling) ownerless() bool {
	return r.thread.Members == Own && !r.thread.Closed() && !r.thread.Led(r.state, r.accounts)
}
