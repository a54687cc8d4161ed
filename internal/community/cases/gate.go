package cases

import (
	"slices"

	"gotong.dev/gotong"
)

func (r ruling) onGate(data any) (gotong.Decision, error) {
	if gate, _ := targets(data); gate == 0 || r.gate.Seq == 0 { // the open gate is not meant unless it is named
		return gotong.Decision{}, gotong.NotFound()
	}
	switch c := data.(type) {
	case Close:
		return r.server(c.Due, r.gate.ClosesAt, r.close)
	case Remind:
		return r.server(c.Due, r.remindAt(), r.remind)
	case Approve:
		return r.approve()
	case Withdraw:
		return r.withdraw()
	case Resolve:
		return r.resolve(c)
	case Void:
		return r.void(c)
	}
	if !r.member {
		return gotong.Reject(gotong.CodeForbidden, "Only members of the case can do this.")
	}
	switch c := data.(type) {
	case Object:
		return r.object(c)
	case Cast:
		return r.vote(c)
	case Dispute:
		return r.dispute(c)
	default:
		return gotong.Decision{}, gotong.NotFound()
	}
}

// in rejects a command unless the gate is in one of these phases and its window
// has not ended. The clock decides that, also if the timer is late.
func (r ruling) in(phases ...Phase) error {
	switch {
	case !r.gate.Phase.Open(), r.cmd.Now >= r.gate.ClosesAt:
		return gotong.NewError(gotong.CodeGateClosed, "The window of this gate has closed.")
	case !slices.Contains(phases, r.gate.Phase):
		return gotong.NewError(gotong.CodeConflict, "This is not possible in the present phase of the gate.")
	default:
		return nil
	}
}

// approve applies a step on the fast track and opens the vote that ratifies it.
func (r ruling) approve() (gotong.Decision, error) {
	leads := r.inHome(r.state, r.doc.Home, r.actor()) == gotong.Leading
	switch {
	case !r.moderates() && !leads:
		return gotong.Reject(gotong.CodeForbidden,
			"Only a platform moderator, or an admin or moderator of the group, can approve a fast track.")
	case r.actor() == r.gate.ProposedBy:
		return gotong.Reject(gotong.CodeForbidden, "Somebody other than the proposer must approve.")
	}
	if err := r.in(InApproval); err != nil {
		return gotong.Decision{}, err
	}
	return gotong.Accept(gotong.Fact{Type: EvApproved, Data: r.extended(r.gate.Terms.Vote)})
}

// extended returns the data of an event with which a window of this many seconds
// begins.
func (r ruling) extended(seconds int64) Extended {
	return Extended{Gate: r.gate.Seq, TrackRoles: r.roles(), Now: r.cmd.Now, ClosesAt: after(r.cmd.Now, seconds)}
}

func (r ruling) object(c Object) (gotong.Decision, error) {
	if r.actor() == r.gate.ProposedBy {
		return gotong.Reject(gotong.CodeForbidden, "The proposer cannot object, but can withdraw the proposal.")
	}
	if err := r.in(InConsent); err != nil {
		return gotong.Decision{}, err
	}
	return gotong.Accept(gotong.Fact{Type: EvObjected, Data: r.extended(r.gate.Terms.Vote), Content: Reason{c.Reason}})
}

func (r ruling) vote(c Cast) (gotong.Decision, error) {
	if !r.votes(r.me, r.actor()) {
		return gotong.Reject(gotong.CodeForbidden, "Only users who have been members since before the proposal can vote.")
	}
	if err := r.in(InVote, InRatifying); err != nil {
		return gotong.Decision{}, err
	}
	if at, is := r.gate.find(r.actor()); is && r.gate.Ballots[at].Choice == c.Choice {
		return gotong.Accept()
	}
	return gotong.Accept(gotong.Fact{
		Type: EvVoted, Audience: gotong.ForUser(r.actor()),
		Data: Voted{Gate: r.gate.Seq, Choice: c.Choice, TrackRoles: r.me.TrackRoles, Now: r.cmd.Now},
	})
}

// votes reports whether a member is a voter: one without a break since before the
// proposal.
func (r ruling) votes(m Member, userID string) bool {
	return since(m.Membership) <= r.gate.Seq && r.inHomeSince(userID) <= r.gate.HomeSeq
}

// since returns the event with which a user's present membership began; 0 if
// there is none.
func since(m gotong.Membership) uint64 {
	if n := len(m.Stretches); n > 0 {
		return m.Stretches[n-1].From
	}
	return 0
}

func (r ruling) inHomeSince(userID string) uint64 {
	if !r.doc.Home.HasMembers() {
		return 0
	}
	return since(gotong.MembershipOf(r.state, r.doc.Home, userID))
}

// void removes the vote of a user whose membership ended after it, also if they
// have returned: they cannot replace it themselves.
func (r ruling) void(c Void) (gotong.Decision, error) {
	if !r.moderates() {
		return gotong.Reject(gotong.CodeForbidden, "Only a moderator can void a vote.")
	}
	if err := r.in(InVote, InRatifying); err != nil {
		return gotong.Decision{}, err
	}
	if m, is := r.memberOf(r.state, r.doc, c.UserID); is && r.votes(m, c.UserID) {
		return gotong.Reject(gotong.CodeConflict, "Only the vote of a user whose membership ended since can be voided.")
	}
	at, voted := r.gate.find(c.UserID)
	if !voted {
		return gotong.Reject(gotong.CodeConflict, "This user has no vote that counts.")
	}
	return gotong.Accept(gotong.Fact{
		Type: EvVoided, Audience: gotong.ForUser(c.UserID),
		Data:    Voided{Gate: r.gate.Seq, UserID: c.UserID, Vote: r.gate.Ballots[at].Seq, TrackRoles: r.roles(), Now: r.cmd.Now},
		Content: Reason{c.Reason},
	})
}

func (r ruling) withdraw() (gotong.Decision, error) {
	if !r.moderates() && (!r.member || r.actor() != r.gate.ProposedBy) {
		return gotong.Reject(gotong.CodeForbidden, "Only the proposer or a moderator can withdraw a proposal.")
	}
	if err := r.in(InConsent, InVote, InApproval); err != nil {
		return gotong.Decision{}, err
	}
	data := r.gate.outcome(EvCancelled, WhyWithdrawn, r.cmd.Now)
	data.TrackRoles = r.roles()
	return gotong.Accept(gotong.Fact{Type: EvCancelled, Data: data})
}

func (r ruling) dispute(c Dispute) (gotong.Decision, error) {
	if err := r.in(InChallenge); err != nil {
		return gotong.Decision{}, err
	}
	return gotong.Accept(gotong.Fact{Type: EvDisputed, Data: r.extended(r.gate.Terms.Dispute), Content: Reason{c.Reason}})
}

// resolve decides a dispute. The author, the PICs, and users who proposed, objected,
// voted or disputed are parties.
func (r ruling) resolve(c Resolve) (gotong.Decision, error) {
	g := r.gate
	acted := slices.Contains([]string{r.doc.CreatedBy, g.ProposedBy, g.Objector, g.Disputer}, r.actor()) || g.voted(r.actor())
	switch party := acted || r.member && r.me.holds(PIC); {
	case !r.moderates():
		return gotong.Reject(gotong.CodeForbidden, "Only a moderator can decide a dispute.")
	case party:
		return gotong.Reject(gotong.CodeForbidden,
			"The author, a PIC, and users who proposed, objected, voted or disputed cannot decide it.")
	}
	if err := r.in(InDispute); err != nil {
		return gotong.Decision{}, err
	}
	r.gate = g.resolved(c.Confirm)
	resolved := Resolved{Gate: g.Seq, Confirmed: c.Confirm, TrackRoles: r.roles(), Now: r.cmd.Now}
	return gotong.Accept(
		gotong.Fact{Type: EvResolved, Data: resolved, Content: Reason{c.Reason}},
		r.outcome(r.gate.end()),
	)
}

// outcome returns the fact that ends the gate.
func (r ruling) outcome(event string, why Why) gotong.Fact {
	return gotong.Fact{Type: event, Data: r.gate.outcome(event, why, r.cmd.Now)}
}

// outcome returns the data of the event that ends the gate. The step was made if
// the event is one of two.
func (g Gate) outcome(event string, why Why, now gotong.Instant) Outcome {
	stage := g.From
	if event == EvApplied || event == EvRatified {
		stage = g.To
	}
	return Outcome{Gate: g.Seq, Why: why, Stage: stage, Now: now}
}
