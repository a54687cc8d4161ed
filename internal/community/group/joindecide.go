package group

import "gotong.dev/gotong"

// joiningRefs names what the rules look at of the user whom a command may make a
// member, or bar: their request and their invitation.
func joiningRefs(s gotong.State, cmd gotong.Command) []gotong.Ref {
	stream, user := cmd.Stream, targetUser(cmd.Data)
	var refs []gotong.Ref
	switch cmd.Data.(type) {
	case Join, Ask, Accept, Decline:
		user = cmd.Actor.UserID
	case Approve, Reject, Withdraw:
		key := RequestKey(stream.ID(), requestOf(cmd.Data))
		refs = append(refs, gotong.Ref{Stream: stream, Key: key})
		r, ok := gotong.Doc[Request](s, key)
		if !ok {
			return refs
		}
		if user = r.UserID; user != cmd.Actor.UserID {
			refs = append(refs, gotong.Ref{Stream: stream, Key: gotong.MemberKey(stream, user)})
		}
		refs = append(refs, gotong.AccountRef(user))
	}
	if user == "" {
		return refs
	}
	applicant := ApplicantKey(stream.ID(), user)
	if pending, ok := gotong.Doc[gotong.Entry](s, applicant); ok {
		refs = append(refs, gotong.Ref{Stream: stream, Key: RequestKey(stream.ID(), pending.ID)})
	}
	return append(refs, gotong.Ref{Stream: stream, Key: applicant}, gotong.Ref{Stream: stream, Key: InvitationKey(stream.ID(), user)})
}

func requestOf(data any) string {
	switch c := data.(type) {
	case Approve:
		return c.RequestID
	case Reject:
		return c.RequestID
	case Withdraw:
		return c.RequestID
	default:
		return ""
	}
}

func (r ruling) invited(userID string) bool {
	i, ok := gotong.Doc[Invitation](r.state, InvitationKey(r.state.Stream.ID(), userID))
	return ok && i.Open(r.now())
}

// ask makes a request; another one while it is pending changes nothing.
func (r ruling) ask(c Ask) (gotong.Decision, error) {
	me := r.cmd.Actor.UserID
	_, pending := gotong.Doc[gotong.Entry](r.state, ApplicantKey(r.state.Stream.ID(), me))
	switch {
	case r.role != "":
		return gotong.Reject(gotong.CodeConflict, "You are a member already.")
	case pending:
		return gotong.Accept()
	case r.group.Closed():
		return gotong.Reject(gotong.CodeConflict, "The group is closed: its last member left.")
	case r.group.JoinPolicy != Persetujuan:
		return gotong.Reject(gotong.CodeConflict, "The group is open: join it instead.")
	case r.member(me).Holds(r.now()):
		return gotong.Reject(gotong.CodeForbidden, "You are banned here.")
	default:
		f := r.private(EvAsked, Asked{Now: r.compared(r.member(me).Ban)})
		f.Content = Note(c)
		return gotong.Accept(f)
	}
}

// private returns a fact that only admins and moderators see.
func (r ruling) private(typ string, data any) gotong.Fact {
	return gotong.Fact{Type: typ, Audience: gotong.ForRole(Managing), Data: data}
}

func (r ruling) request(id string) (Request, bool) {
	return gotong.Doc[Request](r.state, RequestKey(r.state.Stream.ID(), id))
}

func (r ruling) approve(c Approve) (gotong.Decision, error) {
	req, ok := r.request(c.RequestID)
	switch {
	case !r.mayManage():
		return gotong.Reject(gotong.CodeForbidden, "Only admins and moderators can approve requests.")
	case !ok:
		return gotong.Reject(gotong.CodeNotFound, "There is no such pending request.")
	case !r.accounts.CanAct(r.state, req.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvAdded, Data: Member{UserID: req.UserID, Role: Anggota}})
	}
}

func (r ruling) reject(c Reject) (gotong.Decision, error) {
	req, ok := r.request(c.RequestID)
	switch {
	case !r.mayManage():
		return gotong.Reject(gotong.CodeForbidden, "Only admins and moderators can reject requests.")
	case !ok:
		return gotong.Reject(gotong.CodeNotFound, "There is no such pending request.")
	default:
		return gotong.Accept(r.private(EvRejected, Answered{c.RequestID, req.UserID}))
	}
}

// withdraw ends the actor's own request, even if they may no longer know of the
// group.
func (r ruling) withdraw(c Withdraw) (gotong.Decision, error) {
	if req, ok := r.request(c.RequestID); !ok || req.UserID != r.cmd.Actor.UserID {
		return gotong.Decision{}, gotong.NotFound()
	}
	return gotong.Accept(r.private(EvWithdrawn, Answered{c.RequestID, r.cmd.Actor.UserID}))
}

// invite invites a user who is not a member; another one while it is open changes
// nothing.
func (r ruling) invite(c Invite) (gotong.Decision, error) {
	switch {
	case !r.mayManage():
		return gotong.Reject(gotong.CodeForbidden, "Only admins and moderators can invite users.")
	case r.roleOf(c.UserID) != "" || r.invited(c.UserID):
		return gotong.Accept()
	case !r.accounts.CanAct(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	case r.member(c.UserID).Holds(r.now()):
		return gotong.Reject(gotong.CodeConflict, "The user is banned from the group; lift the ban first.")
	default:
		data := Invited{UserID: c.UserID, UntilMS: r.now().Add(InvitationLife).Milli(), Now: r.now()}
		return gotong.Accept(r.private(EvInvited, data))
	}
}

// accept makes the actor a member if their invitation is open; an expired one
// counts as none.
func (r ruling) accept() (gotong.Decision, error) {
	me := r.cmd.Actor.UserID
	switch {
	case r.role != "":
		return gotong.Accept()
	case !r.invited(me):
		return gotong.Decision{}, gotong.NotFound()
	case r.group.Closed():
		return gotong.Reject(gotong.CodeConflict, "The group is closed: its last member left.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvJoined, Data: Member{UserID: me, Role: Anggota, Now: r.now()}})
	}
}

func (r ruling) decline() (gotong.Decision, error) {
	me := r.cmd.Actor.UserID
	if !r.invited(me) {
		return gotong.Decision{}, gotong.NotFound()
	}
	return gotong.Accept(r.private(EvDeclined, Uninvited{me, r.now()}))
}

// withdrawInvite changes nothing for a user who has no open invitation.
func (r ruling) withdrawInvite(c WithdrawInvite) (gotong.Decision, error) {
	if !r.mayManage() {
		return gotong.Reject(gotong.CodeForbidden, "Only admins and moderators can withdraw invitations.")
	}
	if !r.invited(c.UserID) {
		return gotong.Accept()
	}
	return gotong.Accept(r.private(EvInvitationWithdrawn, Uninvited{c.UserID, r.now()}))
}

func asked(e gotong.Event) []gotong.Change {
	note, _ := e.Content.(Note)
	id, requestID := e.Stream.ID(), RequestID(e.Seq)
	return []gotong.Change{
		{Key: RequestKey(id, requestID), Doc: Request{UserID: e.Actor.UserID, Message: note.Message, At: e.At}},
		{Key: ApplicantKey(id, e.Actor.UserID), Doc: gotong.Entry{ID: requestID}},
	}
}

// invited replaces an invitation that has expired.
func invited(s gotong.State, e gotong.Event, d Invited) []gotong.Change {
	id := e.Stream.ID()
	i := Invitation{By: e.Actor.UserID, At: d.Now, UntilMS: d.UntilMS}
	return append(uninvited(s, e, d.UserID), gotong.Change{Key: InvitationKey(id, d.UserID), Doc: i},
		gotong.List(OfInvitedKey(d.UserID, i.At, id), e.Stream, true))
}

// uninvited drops a user's invitation, if they have one.
func uninvited(s gotong.State, e gotong.Event, userID string) []gotong.Change {
	key := InvitationKey(e.Stream.ID(), userID)
	i, ok := gotong.Doc[Invitation](s, key)
	if !ok {
		return nil
	}
	return []gotong.Change{{Key: key}, gotong.List(OfInvitedKey(userID, i.At, e.Stream.ID()), e.Stream, false)}
}

// unasked drops a user's request, if they have one.
func unasked(s gotong.State, e gotong.Event, userID string) []gotong.Change {
	key := ApplicantKey(e.Stream.ID(), userID)
	pending, ok := gotong.Doc[gotong.Entry](s, key)
	if !ok {
		return nil
	}
	return []gotong.Change{{Key: key}, {Key: RequestKey(e.Stream.ID(), pending.ID)}}
}
