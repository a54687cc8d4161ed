package cases

import (
	"cmp"
	"slices"

	"gotong.dev/gotong"
)

func project(s gotong.State, e gotong.Event) []gotong.Change {
	if d, ok := e.Data.(Created); ok {
		return created(e, d)
	}
	doc, ok := gotong.Doc[Case](s, CaseKey(e.Stream.ID()))
	if !ok {
		return nil
	}
	switch d := e.Data.(type) {
	case Seated:
		return seated(s, doc, e, d)
	case Removed:
		return removed(s, doc, e, d.UserID)
	case gotong.Erased:
		if d.Seq == 1 { // of case.created
			doc.Title, doc.Description = "", ""
		}
		return []gotong.Change{{Key: CaseKey(e.Stream.ID()), Doc: doc}}
	case Proposed:
		doc.Gate = d.Seq
		return changes(doc, proposed(e, d), e)
	default:
		return onGate(s, doc, e)
	}
}

func opening(t GateType) Phase {
	switch t {
	case Consent, None:
		return InConsent
	case FastTrack:
		return InApproval
	default:
		return InVote
	}
}

func changes(doc Case, g Gate, e gotong.Event) []gotong.Change {
	return []gotong.Change{{Key: CaseKey(e.Stream.ID()), Doc: doc}, {Key: GateKey(e.Stream.ID(), g.Seq), Doc: g}}
}

func created(e gotong.Event, d Created) []gotong.Change {
	text, _ := e.Content.(Text)
	me := e.Actor.UserID
	m := Member{Membership: gotong.Membership{}.Join(e, string(Author)), TrackRoles: []Role{Author}}
	return []gotong.Change{
		{Key: CaseKey(e.Stream.ID()), Doc: Case{
			ScopeID: d.ScopeID, Home: d.Home, Track: d.Track, Stage: d.Stage, Title: text.Title, Description: text.Description,
			Privacy: d.Privacy, CreatedBy: me, CreatedAt: e.At, Seats: []Seat{{me, e.Seq}},
		}},
		{Key: gotong.MemberKey(e.Stream, me), Doc: m},
		gotong.List(OfUserKey(me, e.At, e.Stream.ID()), e.Stream, true),
		gotong.List(OfScopeKey(d.ScopeID, e.At, e.Stream.ID()), e.Stream, d.Privacy == Public),
	}
}

func seated(s gotong.State, doc Case, e gotong.Event, d Seated) []gotong.Change {
	key := gotong.MemberKey(e.Stream, d.UserID)
	m, _ := gotong.Doc[Member](s, key)
	began := !m.Active()
	m.Membership, m.TrackRoles = m.Seat(e, string(d.TrackRoles[0])), d.TrackRoles
	if !began {
		return []gotong.Change{{Key: key, Doc: m}}
	}
	doc.Seats = doc.seated(d.UserID, e.Seq)
	return []gotong.Change{
		{Key: CaseKey(e.Stream.ID()), Doc: doc}, {Key: key, Doc: m},
		gotong.List(OfUserKey(d.UserID, doc.CreatedAt, e.Stream.ID()), e.Stream, true),
	}
}

func removed(s gotong.State, doc Case, e gotong.Event, userID string) []gotong.Change {
	key := gotong.MemberKey(e.Stream, userID)
	m, _ := gotong.Doc[Member](s, key)
	m.Membership = m.Leave(e)
	doc.Seats = doc.seated(userID, 0)
	return []gotong.Change{
		{Key: CaseKey(e.Stream.ID()), Doc: doc}, {Key: key, Doc: m},
		gotong.List(OfUserKey(userID, doc.CreatedAt, e.Stream.ID()), e.Stream, false),
	}
}

func onGate(s gotong.State, doc Case, e gotong.Event) []gotong.Change {
	seq := GateOf(e)
	if seq == 0 || e.Type == EvResolved { // the outcome of a dispute follows
		return nil
	}
	g, _ := gotong.Doc[Gate](s, GateKey(e.Stream.ID(), seq))
	g = g.next(e)
	switch d := e.Data.(type) {
	case Extended:
		if e.Type == EvApproved {
			doc.Stage = g.To
		}
	case Outcome:
		doc.Stage, doc.Gate = d.Stage, 0
	}
	return changes(doc, g, e)
}

func proposed(e gotong.Event, d Proposed) Gate {
	return Gate{Proposed: d, ProposedBy: e.Actor.UserID, Phase: opening(d.Terms.Gate)}
}

func (g Gate) next(e gotong.Event) Gate {
	switch d := e.Data.(type) {
	case Extended:
		return g.extended(e, d)
	case Voted:
		return g.with(Ballot{e.Actor.UserID, e.Seq, d.Choice, d.TrackRoles})
	case Voided:
		g = g.without(d.UserID)
		g.Voided = append(slices.Clip(g.Voided), d.Vote)
	case Reminded:
		g.Reminded = true
	case Tallied:
		g.Count, g.Why = &d.Count, d.Why
		if d.ClosesAt > 0 {
			g.Phase, g.Now, g.ClosesAt = InChallenge, d.Now, d.ClosesAt
		}
	case Resolved:
		g = g.resolved(d.Confirmed)
	case Outcome:
		g.Phase, g.Why = ended(e.Type), d.Why
	}
	return g
}

func ended(event string) Phase {
	return map[string]Phase{
		EvApplied: Applied, EvRejected: Rejected, EvCancelled: Revoked, EvRatified: Ratified, EvUndone: Undone,
	}[event]
}

func (g Gate) extended(e gotong.Event, d Extended) Gate {
	g.Now, g.ClosesAt = d.Now, d.ClosesAt
	switch e.Type {
	case EvApproved:
		g.Phase = InRatifying
	case EvObjected:
		g.Phase, g.Objector = InVote, e.Actor.UserID
	case EvDisputed:
		g.Phase, g.Disputer = InDispute, e.Actor.UserID
	}
	return g
}

// with returns the gate with a ballot in the place of an earlier one.
func (g Gate) with(b Ballot) Gate {
	g = g.without(b.UserID)
	at, _ := slices.BinarySearchFunc(g.Ballots, b.UserID, func(b Ballot, id string) int { return cmp.Compare(b.UserID, id) })
	g.Ballots = slices.Insert(slices.Clip(g.Ballots), at, b)
	return g
}

func (g Gate) without(userID string) Gate {
	at, is := g.find(userID)
	if is {
		g.Ballots = slices.Delete(slices.Clone(g.Ballots), at, at+1)
	}
	if len(g.Ballots) == 0 {
		g.Ballots = nil
	}
	return g
}
