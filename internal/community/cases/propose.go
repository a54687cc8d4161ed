package cases

import "gotong.dev/gotong"

func (r ruling) propose(c Propose) (gotong.Decision, error) {
	if !r.member || !r.me.holds(Author, PIC) {
		return gotong.Reject(gotong.CodeForbidden, "Only the author or a PIC can propose a step.")
	}
	if r.doc.Gate > 0 {
		if r.cmd.Now >= r.gate.ClosesAt {
			return gotong.Reject(gotong.CodeGateClosing, "A gate of this case is about to close; propose again afterwards.")
		}
		return gotong.Reject(gotong.CodeConflict, "Another transition of this case is open.")
	}
	if c.Track != "" && c.Track != r.doc.Track {
		return gotong.Reject(gotong.CodeNoSuchStep, "The case is on another track.")
	}
	step, ok := r.Tracks.tracks[r.doc.Track].edges[[2]string{c.From, c.To}]
	if !ok || c.From != r.doc.Stage {
		return gotong.Reject(gotong.CodeNoSuchStep, "The track has no such step from the stage of the case.")
	}
	opened, err := r.opened(c, step)
	if err != nil {
		return gotong.Decision{}, err
	}
	fact := gotong.Fact{Type: EvProposed, Data: opened}
	if opened.Terms.Gate != None {
		return gotong.Accept(fact)
	}
	r.gate = Gate{Proposed: opened, Phase: InConsent}
	return gotong.Accept(fact, r.outcome(r.gate.end()))
}

func (r ruling) opened(c Propose, step edge) (Proposed, error) {
	voters := len(r.voters(Gate{}))
	p := Proposed{
		Seq: r.state.Head.Seq + 1, Track: r.doc.Track, From: c.From, To: c.To, Voters: voters,
		TrackRoles: r.me.TrackRoles, Now: r.cmd.Now,
	}
	if head, ok := r.state.HeadOf(r.doc.Home); ok {
		p.HomeSeq = head.Seq
	}
	var err error
	if p.Profile, err = r.profile(c, step, voters); err != nil {
		return p, err
	}
	p.Terms = r.Tracks.profiles[p.Profile]
	if c.Secret {
		if p.Terms.Gate.strictness() < Vote.strictness() || len(p.Terms.YesOf) > 0 {
			return p, gotong.Invalid("secret", "is possible only for a vote that does not require the yes of certain roles")
		}
		p.Terms.Secret = true
	}
	window := p.Terms.Window
	if p.Terms.Gate == Vote || p.Terms.Gate == Challenge {
		window = p.Terms.Vote
	}
	p.ClosesAt = after(p.Now, window)
	if err := step.met(p.Terms); err != nil {
		return p, err
	}
	return p, c.agrees(p.Terms)
}

// profile returns the name of the gate that holds: the one of the step, or a
// stricter one that the proposer chose.
func (r ruling) profile(c Propose, step edge, voters int) (string, error) {
	big := voters >= ComplexFrom
	switch {
	case big && step.simpleOnly:
		return "", gotong.NewError(gotong.CodeNoSuchStep, "This step is for cases with fewer than five voters.")
	case c.FastTrack && step.fast == "":
		return "", gotong.NewError(gotong.CodeNoSuchStep, "This step has no fast track.")
	case c.FastTrack:
		return step.fast, nil
	}
	name := step.gate
	if big && step.complex != "" {
		name = step.complex
	}
	if c.Profile == "" || c.Profile == name {
		return name, nil
	}
	chosen, ok := r.Tracks.profiles[c.Profile]
	if !ok || !chosen.atLeast(r.Tracks.profiles[name]) {
		return "", gotong.Invalid("gate_profile", "must be a gate that is stricter than the one of the step")
	}
	return c.Profile, nil
}

func (e edge) met(t Terms) error {
	for _, p := range e.requires {
		if p == PorRefs || p == ChallengeWindow && t.Challenge == 0 {
			return gotong.NewError(gotong.CodeConflict, "A prerequisite of this step is not met: "+string(p)+".")
		}
	}
	return nil
}

// agrees returns an error if a client believes something else of the gate.
func (c Propose) agrees(t Terms) error {
	status := "open"
	if t.Gate == None {
		status = "applied"
	}
	differs := c.GateStatus != "" && c.GateStatus != status
	if m := c.GateMetadata; m != nil {
		differs = differs || m.GateType != "" && m.GateType != t.Gate ||
			m.PorRefs != nil && *m.PorRefs || // evidence is not kept yet
			m.ChallengeWindow != nil && *m.ChallengeWindow != (t.Challenge > 0)
	}
	if differs {
		return gotong.NewError(gotong.CodeConflict, "The gate of this step differs from what the request expects.")
	}
	return nil
}

// voters returns the members now or, for a gate, those of them who can vote on it.
func (r ruling) voters(g Gate) []string {
	var ids []string
	for _, seat := range r.doc.Seats {
		late := g.Seq > 0 && (seat.From > g.Seq || r.inHomeSince(seat.UserID) > g.HomeSeq)
		if !late && r.inHome(r.state, r.doc.Home, seat.UserID) != gotong.Outside {
			ids = append(ids, seat.UserID)
		}
	}
	return ids
}
