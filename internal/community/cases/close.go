package cases

import (
	"slices"

	"gotong.dev/gotong"
)

// server decides a command of the server's timers. One that is for an earlier
// window changes nothing; one that is too early is rejected, so that it stays
// due.
func (r ruling) server(due, from gotong.Instant, then func() (gotong.Decision, error)) (gotong.Decision, error) {
	switch {
	case r.cmd.Actor.Role != gotong.RoleSystem:
		return gotong.Reject(gotong.CodeForbidden, "Only the server's timers can do this.")
	case !r.gate.Phase.Open() || r.gate.ClosesAt != due:
		return gotong.Accept()
	case r.cmd.Now < from:
		return gotong.Reject(gotong.CodeNotYet, "It is too early.")
	default:
		return then()
	}
}

// close ends the window of the gate, with the outcome that the votes before it
// in the log give.
func (r ruling) close() (gotong.Decision, error) {
	if !r.gate.Phase.Votes() {
		return gotong.Accept(r.outcome(r.gate.end()))
	}
	tally := r.gate.tally(r.cmd.Now)
	fact := gotong.Fact{Type: EvTallied, Data: tally}
	if tally.ClosesAt > 0 { // the challenge window begins
		return gotong.Accept(fact)
	}
	r.gate.Why = tally.Why
	return gotong.Accept(fact, r.outcome(r.gate.end()))
}

// end returns the event with which a gate ends whose window has closed, and what
// decided it. The Why of a gate with a vote is that of the tally.
func (g Gate) end() (event string, why Why) {
	switch passed := g.Why == WhyPassed; g.Phase {
	case InConsent:
		if g.Terms.Gate == None {
			return EvApplied, WhyNoGate
		}
		return EvApplied, WhyConsent
	case InApproval:
		return EvRejected, WhyUnapproved
	case InChallenge:
		return EvApplied, WhyChallenge
	case InDispute:
		switch g.Why {
		case WhyConfirmed:
			return EvApplied, WhyConfirmed
		case WhyOverruled:
			return EvRejected, WhyOverruled
		default:
			return EvRejected, WhyUndecided
		}
	case InRatifying:
		if passed {
			return EvRatified, g.Why
		}
		return EvUndone, g.Why
	default:
		if passed {
			return EvApplied, g.Why
		}
		return EvRejected, g.Why
	}
}

// resolved returns the gate after a moderator decided the dispute.
func (g Gate) resolved(confirmed bool) Gate {
	g.Why = WhyOverruled
	if confirmed {
		g.Why = WhyConfirmed
	}
	return g
}

func (g Gate) tally(now gotong.Instant) Tallied {
	t := Tallied{
		Gate: g.Seq, Objection: g.Objector != "", Secret: g.Terms.Secret, Voters: g.Voters, Count: Count{Needed: g.Terms.Needed(g.Voters)},
		Voided: g.Voided, Now: now,
	}
	for _, b := range g.Ballots {
		switch b.Choice {
		case Yes:
			t.Yes++
		case No:
			t.No++
		case Abstain:
			t.Abstain++
		}
		t.Seqs = append(t.Seqs, b.Seq)
	}
	if len(g.Ballots) <= MaxListed {
		t.Seqs, t.Ballots = nil, g.Shown()
	}
	t.Why = g.why(t.Count)
	t.Passed = t.Why == WhyPassed
	if t.Passed && g.Terms.Gate == Challenge {
		t.ClosesAt = after(now, g.Terms.Challenge)
	}
	return t
}

func (g Gate) why(c Count) Why {
	switch {
	case c.TookPart() < c.Needed:
		return WhyQuorum
	case c.Yes*100 <= g.Terms.Threshold*(c.Yes+c.No):
		return WhyThreshold
	}
	for _, role := range g.Terms.YesOf {
		if !slices.ContainsFunc(g.Ballots, func(b Ballot) bool { return b.Choice == Yes && slices.Contains(b.TrackRoles, role) }) {
			return WhyYesOf
		}
	}
	return WhyPassed
}

// Shown returns the ballots as members see them once the vote has closed: those
// of a secret gate have no choice.
func (g Gate) Shown() []Ballot {
	shown := slices.Clone(g.Ballots)
	for i := range shown {
		if g.Terms.Secret {
			shown[i].Choice = ""
		}
	}
	return shown
}

// remindAt returns when three quarters of the window have passed.
func (r ruling) remindAt() gotong.Instant {
	return RemindAt(r.gate.Now, r.gate.ClosesAt)
}

// RemindAt returns the instant at three quarters of a window.
func RemindAt(opens, closes gotong.Instant) gotong.Instant { return opens + (closes-opens)*3/4 }

// remind reminds each voter who has not voted, if the quorum is not met.
func (r ruling) remind() (gotong.Decision, error) {
	g := r.gate
	if !g.Phase.Votes() || g.Reminded || r.cmd.Now >= g.ClosesAt || len(g.Ballots) >= g.Terms.Needed(g.Voters) {
		return gotong.Accept()
	}
	var facts []gotong.Fact
	for _, id := range r.voters(g) {
		if !g.voted(id) {
			facts = append(facts, gotong.Fact{
				Type: EvReminded, Audience: gotong.ForUser(id), Data: Reminded{g.Seq, r.cmd.Now, g.ClosesAt},
			})
		}
	}
	return gotong.Accept(facts...)
}

// timers closes each window at its end, and reminds in those of votes.
func timers(e gotong.Event) []gotong.Timer {
	switch d := e.Data.(type) {
	case Proposed:
		if d.Terms.Gate != None {
			return window(d.Seq, d.Now, d.ClosesAt, opening(d.Terms.Gate) == InVote)
		}
	case Extended:
		return window(d.Gate, d.Now, d.ClosesAt, e.Type != EvDisputed)
	case Tallied:
		if d.ClosesAt > 0 {
			return window(d.Gate, d.Now, d.ClosesAt, false)
		}
	}
	return nil
}

func window(gate uint64, opens, closes gotong.Instant, votes bool) []gotong.Timer {
	list := []gotong.Timer{{Due: closes, Command: CmdClose, Data: Close{gate, closes}}}
	if votes {
		list = append(list, gotong.Timer{Due: RemindAt(opens, closes), Command: CmdRemind, Data: Remind{gate, closes}})
	}
	return list
}
