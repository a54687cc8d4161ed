// Package regutest holds the rules of regu, a team within a scope or group: a
// kind for tests whose streams lend their members and are not homes. In a group,
// only the active members of the group are members of its teams.
package regutest

import "gotong.dev/gotong"

// Name is the kind: the part of a stream's name before the slash.
const Name = "regu"

// The roles of members.
const (
	Lead  = "lead"  // leads in a stream that borrows the members
	Crew  = "crew"  // is an ordinary member there
	Guest = "guest" // is none there
)

// OfUser is the listing of a user's teams.
const OfUser = "user_regus"

// Create makes a team; the actor becomes its lead.
type Create struct {
	ScopeID string `json:"scope_id"`
}

// Seat gives a user a role; an empty one ends their membership.
type Seat struct {
	UserID string `json:"user_id"`
	Role   string `json:"role,omitempty"`
}

// Regu is the document of one team.
type Regu struct {
	CreatedAt gotong.Instant `json:"created_at"`
	gotong.Roster
}

// StreamOf returns the stream that this create command makes.
func StreamOf(actor, requestID string) gotong.Stream {
	return gotong.NewStream(Name, "regu-"+gotong.DeriveID(Name, actor, requestID))
}

type rules struct{ homes gotong.Lenders }

// Kind returns the rules of teams in homes of these kinds.
func Kind(homes ...gotong.Kind) gotong.Kind {
	r := rules{homes}
	return gotong.Kind{
		Name:     Name,
		Commands: []gotong.Type{gotong.TypeOf[Create]("regu.create"), gotong.TypeOf[Seat]("member.seat")},
		Events:   []gotong.EventType{gotong.EventOf[Create]("regu.created"), gotong.EventOf[Seat]("member.seated")},
		Documents: []gotong.Type{
			gotong.TypeOf[Regu]("regus"), gotong.TypeOf[gotong.Membership]("regu_members"), gotong.TypeOf[gotong.Entry](OfUser),
		},
		Lends: &gotong.Lends{
			OfUser: OfUser, Roles: map[string]gotong.Standing{Lead: gotong.Leading, Crew: gotong.Ordinary},
		},
		Home: r.home, Needs: r.needs, Decide: r.decide, Project: project,
		AccessNeeds: accessNeeds, Access: r.access, Affects: affects,
	}
}

func (r rules) home(cmd gotong.Command) (gotong.Stream, error) {
	c, ok := cmd.Data.(Create)
	if !ok {
		return "", gotong.NotFound()
	}
	return r.homes.HomeOf(c.ScopeID), nil
}

// chain is that of the team; of one that is being created, that of its home.
func (r rules) chain(s gotong.State, cmd gotong.Command) []gotong.Stream {
	if c, ok := cmd.Data.(Create); ok {
		return gotong.Chain(cmd.Stream, r.homes.HomeOf(c.ScopeID))
	}
	return gotong.Chain(cmd.Stream, s.Head.Home)
}

func (r rules) needs(s gotong.State, cmd gotong.Command) []gotong.Ref {
	refs := []gotong.Ref{{Stream: cmd.Stream, Key: gotong.StreamKey(cmd.Stream)}}
	refs = append(refs, gotong.ChainRefs(r.chain(s, cmd), cmd.Actor.UserID)...)
	if c, ok := cmd.Data.(Seat); ok && c.UserID != cmd.Actor.UserID {
		refs = append(refs, gotong.ChainRefs(r.chain(s, cmd), c.UserID)...)
	}
	return refs
}

func (r rules) decide(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
	chain := r.chain(s, cmd)
	switch c := cmd.Data.(type) {
	case Create:
		if !r.homes.Inside(s, chain, cmd.Actor.UserID) {
			return gotong.Decision{}, gotong.NotFound()
		}
		return gotong.Accept(gotong.Fact{Type: "regu.created", Data: c})
	case Seat:
		held := r.homes.Held(s, chain, cmd.Actor.UserID)
		now := gotong.MembershipOf(s, s.Stream, c.UserID).Held()
		switch {
		case held == "":
			return gotong.Decision{}, gotong.NotFound()
		case held != Lead && (c.UserID != cmd.Actor.UserID || c.Role != ""):
			return gotong.Reject(gotong.CodeForbidden, "Only the lead seats others.")
		case c.Role == now:
			return gotong.Accept()
		case c.Role != "" && !r.homes.Inside(s, chain, c.UserID):
			return gotong.Reject(gotong.CodeConflict, "Only members of the group can be in its teams.")
		}
		return gotong.Accept(gotong.Fact{Type: "member.seated", Data: c})
	default:
		return gotong.Decision{}, gotong.NotFound()
	}
}

func project(s gotong.State, e gotong.Event) []gotong.Change {
	user, role, key := e.Actor.UserID, Lead, gotong.StreamKey(e.Stream)
	regu, _ := gotong.Doc[Regu](s, key)
	if seat, ok := e.Data.(Seat); ok {
		user, role = seat.UserID, seat.Role
	} else {
		regu.CreatedAt = e.At
	}
	m := gotong.MembershipOf(s, e.Stream, user)
	regu.Roster = regu.Move(user, m.Held(), role, Lead)
	line := gotong.Key{Collection: OfUser, Owner: user, Name: gotong.EntryName(regu.CreatedAt, e.Stream.ID())}
	return []gotong.Change{
		{Key: key, Doc: regu}, {Key: gotong.MemberKey(e.Stream, user), Doc: m.Seat(e, role)},
		gotong.List(line, e.Stream, role != ""),
	}
}

func accessNeeds(s gotong.State, v gotong.Viewer) []gotong.Ref {
	return gotong.ChainRefs(gotong.Chain(s.Stream, s.Head.Home), v.UserID)
}

// access shows a member what lies in their membership, of the team and of the
// group.
func (r rules) access(s gotong.State, v gotong.Viewer) gotong.Grant {
	chain := gotong.Chain(s.Stream, s.Head.Home)
	role := r.homes.Held(s, chain, v.UserID)
	if role == "" {
		return gotong.Grant{}
	}
	return gotong.Grant{
		Readable: true, Roles: []string{role},
		Spans:  gotong.MembershipOf(s, s.Stream, v.UserID).Spans(s.Stream),
		Within: within(s, chain, v.UserID),
	}
}

// within returns the user's memberships of the streams that follow the first one of
// a chain.
func within(s gotong.State, chain []gotong.Stream, userID string) (lists [][]gotong.Span) {
	for _, home := range chain[1:] {
		lists = append(lists, gotong.MembershipOf(s, home, userID).Spans(home))
	}
	return lists
}

func affects(e gotong.Event) gotong.Affected {
	if seat, ok := e.Data.(Seat); ok {
		return gotong.Affected{Users: []string{seat.UserID}}
	}
	return gotong.Affected{Users: []string{e.Actor.UserID}}
}
