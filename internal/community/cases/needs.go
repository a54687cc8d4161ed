package cases

import "gotong.dev/gotong"

var errNoHome = gotong.NotFound()

func (r Rules) home(cmd gotong.Command) (gotong.Stream, error) {
	c, ok := cmd.Data.(Create)
	if !ok {
		return "", errNoHome
	}
	return r.Lenders.HomeOf(c.ScopeID), nil
}

func (r Rules) needs(s gotong.State, cmd gotong.Command) []gotong.Ref {
	actor := cmd.Actor.UserID
	if c, ok := cmd.Data.(Create); ok {
		return homeRefs(r.Lenders.HomeOf(c.ScopeID), actor)
	}
	refs := r.KnowNeeds(s, gotong.Viewer{UserID: actor, Role: cmd.Actor.Role})
	c, ok := gotong.Doc[Case](s, CaseKey(cmd.Stream.ID()))
	if !ok {
		return refs
	}
	gate, user := targets(cmd.Data)
	if user != "" && user != actor {
		refs = append(refs, gotong.ChainRefs(gotong.Chain(cmd.Stream, c.Home), user)...)
	}
	if _, seats := cmd.Data.(Seating); seats {
		refs = append(refs, gotong.AccountRef(user))
	}
	if gate == 0 {
		gate = c.Gate
	}
	if gate > 0 {
		refs = append(refs, gotong.Ref{Stream: cmd.Stream, Key: GateKey(cmd.Stream.ID(), gate)})
	}
	switch cmd.Data.(type) {
	case Propose, Remind: // they look at every member
		for _, seat := range c.Seats {
			if seat.UserID != actor {
				refs = append(refs, homeRefs(c.Home, seat.UserID)...)
			}
		}
	}
	return refs
}

// homeRefs names a user's membership of a home that has members.
func homeRefs(home gotong.Stream, userID string) []gotong.Ref {
	if !home.HasMembers() {
		return nil
	}
	return gotong.ChainRefs([]gotong.Stream{home}, userID)
}

func targets(data any) (gate uint64, userID string) {
	switch c := data.(type) {
	case Seating:
		return 0, c.UserID
	case Remove:
		return 0, c.UserID
	case Void:
		return c.Gate, c.UserID
	case Approve:
		return c.Gate, ""
	case Object:
		return c.Gate, ""
	case Cast:
		return c.Gate, ""
	case Withdraw:
		return c.Gate, ""
	case Dispute:
		return c.Gate, ""
	case Resolve:
		return c.Gate, ""
	case Close:
		return c.Gate, ""
	case Remind:
		return c.Gate, ""
	default:
		return 0, ""
	}
}

// inHome returns the standing of a user in a home; Ordinary in one that has no
// members.
func (r Rules) inHome(s gotong.State, home gotong.Stream, userID string) gotong.Standing {
	if !home.HasMembers() {
		return gotong.Ordinary
	}
	return r.Lenders.Standing(home, gotong.MembershipOf(s, home, userID).Held())
}

// memberOf returns a user's row in a case, and whether they are a member of it
// now: in a group, only while they are a member of the group.
func (r Rules) memberOf(s gotong.State, c Case, userID string) (Member, bool) {
	m, _ := gotong.Doc[Member](s, gotong.MemberKey(s.Stream, userID))
	return m, m.Active() && r.inHome(s, c.Home, userID) != gotong.Outside
}

// MayKnow reports whether a user may know that the case exists, and its stage.
// Members and platform moderators may; unless the case is private, so may every
// user who may know of its home.
func (r Rules) MayKnow(s gotong.State, v gotong.Viewer) bool {
	c, ok := gotong.Doc[Case](s, CaseKey(s.Stream.ID()))
	if !ok {
		return false
	}
	if _, is := r.memberOf(s, c, v.UserID); is || v.Role.CanModerate() {
		return true
	}
	if !c.KnownToAll() || !c.Home.HasMembers() {
		return c.KnownToAll()
	}
	home, ok := gotong.Doc[gotong.Known](s, gotong.StreamKey(c.Home))
	return ok && home.KnownToAll() || gotong.MembershipOf(s, c.Home, v.UserID).Active()
}

// KnowNeeds names what [Rules.MayKnow] looks at.
func (r Rules) KnowNeeds(s gotong.State, v gotong.Viewer) []gotong.Ref {
	refs := r.accessNeeds(s, v)
	if c, ok := gotong.Doc[Case](s, CaseKey(s.Stream.ID())); ok && c.Home.HasMembers() {
		refs = append(refs, gotong.Ref{Stream: c.Home, Key: gotong.StreamKey(c.Home)})
	}
	return refs
}

// GateOf returns the seq that names the transition that an event is about; 0 if
// it is about none.
func GateOf(e gotong.Event) uint64 {
	switch d := e.Data.(type) {
	case Proposed:
		return d.Seq
	case Extended:
		return d.Gate
	case Voted:
		return d.Gate
	case Voided:
		return d.Gate
	case Reminded:
		return d.Gate
	case Tallied:
		return d.Gate
	case Resolved:
		return d.Gate
	case Outcome:
		return d.Gate
	default:
		return 0
	}
}
