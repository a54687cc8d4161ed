package cases

import (
	"cmp"
	"slices"

	"gotong.dev/gotong"
)

// Name is the kind: the part of a stream's name before the slash.
const Name = "case"

// prefix begins the ids of cases. A case is the home of no stream.
const prefix = "case-"

// MaxMembers bounds the members of a case, because a proposal and a reminder
// look at all of them.
const MaxMembers = 1000

// Privacy says who may know that a case exists; a closed set.
type Privacy string

// The privacy levels.
const (
	Public  Privacy = "public"  // everybody who may know of its home
	Private Privacy = "private" // its members
)

// Phase is where a gate is: open in one of the first six, ended in the others.
type Phase string

// The phases.
const (
	InConsent   Phase = "consent"
	InVote      Phase = "vote"
	InApproval  Phase = "approval" // of a fast track
	InRatifying Phase = "ratification"
	InChallenge Phase = "challenge"
	InDispute   Phase = "dispute"

	Applied  Phase = "applied"
	Rejected Phase = "rejected"
	Revoked  Phase = "cancelled" // withdrawn
	Ratified Phase = "ratified"
	Undone   Phase = "undone"
)

// Open reports whether the gate still waits for its outcome.
func (p Phase) Open() bool { return slices.Contains(OpenPhases(), p) }

// OpenPhases returns the phases of a gate that has no outcome yet.
func OpenPhases() []Phase {
	return []Phase{InConsent, InVote, InApproval, InRatifying, InChallenge, InDispute}
}

// Votes reports whether votes are accepted.
func (p Phase) Votes() bool { return p == InVote || p == InRatifying }

// The collections of the kind.
const (
	Cases   = "cases"        // (case id, "") → Case
	Members = "case_members" // (case id, user id) → Member
	Gates   = "case_gates"   // (case id, gotong.SeqName of the opening event) → Gate
	OfUser  = "user_cases"   // (user id, gotong.EntryName) → gotong.Entry
	OfScope = "scope_cases"  // (scope id, gotong.EntryName) → gotong.Entry: public cases
)

// Case is the document of one case.
type Case struct {
	ScopeID     string         `json:"scope_id"`
	Home        gotong.Stream  `json:"home"`
	Track       string         `json:"track"`
	Stage       string         `json:"stage"`
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Privacy     Privacy        `json:"privacy_level"`
	CreatedBy   string         `json:"created_by"`
	CreatedAt   gotong.Instant `json:"created_at"`
	Gate        uint64         `json:"gate,omitempty"`  // the open one; 0: none
	Seats       []Seat         `json:"seats,omitempty"` // of all members, in order of user id
}

// Seat is one member in the list of a case: a member since the event From.
type Seat struct {
	UserID string `json:"user_id"`
	From   uint64 `json:"from"`
}

// KnownToAll reports whether everybody may know that the case exists, as far as
// the case itself decides.
func (c Case) KnownToAll() bool { return c.Privacy == Public }

// seated returns the list of members after a user's seat changed; from 0 ends
// the membership.
func (c Case) seated(userID string, from uint64) []Seat {
	at, is := slices.BinarySearchFunc(c.Seats, userID, func(s Seat, id string) int { return cmp.Compare(s.UserID, id) })
	seats := slices.Clone(c.Seats)
	switch {
	case is && from == 0:
		seats = slices.Delete(seats, at, at+1)
	case is:
		seats[at].From = from
	case from > 0:
		seats = slices.Insert(seats, at, Seat{userID, from})
	}
	if len(seats) == 0 {
		return nil
	}
	return seats
}

// Member is the document of one member.
type Member struct {
	gotong.Membership
	TrackRoles []Role `json:"track_roles,omitempty"`
}

// Roles returns the roles that the member holds now, for [gotong.RolesOf].
func (m Member) Roles() (roles []string) {
	for _, r := range m.TrackRoles {
		if m.Active() {
			roles = append(roles, string(r))
		}
	}
	return roles
}

// holds reports whether the member has one of the roles.
func (m Member) holds(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(m.TrackRoles, r) })
}

// Gate is the document of one transition: its terms, where it is, and the votes.
// ClosesAt is the end of the present window, which began at Now.
type Gate struct {
	Proposed
	ProposedBy string   `json:"proposed_by"`
	Phase      Phase    `json:"phase"`
	Objector   string   `json:"objector,omitempty"`
	Disputer   string   `json:"disputer,omitempty"`
	Reminded   bool     `json:"reminded,omitempty"`
	Ballots    []Ballot `json:"ballots,omitempty"` // in order of user id
	Voided     []uint64 `json:"voided,omitempty"`
	Count      *Count   `json:"count,omitempty"` // set once the vote has closed
	Why        Why      `json:"why,omitempty"`
}

// Ballot is the vote of one user that counts; a later one replaces it.
type Ballot struct {
	UserID     string `json:"user_id"`
	Seq        uint64 `json:"seq"`
	Choice     Choice `json:"choice,omitempty"`
	TrackRoles []Role `json:"track_roles,omitempty"`
}

// find returns the place of a user's ballot and whether there is one.
func (g Gate) find(userID string) (int, bool) {
	return slices.BinarySearchFunc(g.Ballots, userID, func(b Ballot, id string) int { return cmp.Compare(b.UserID, id) })
}

func (g Gate) voted(userID string) bool { _, is := g.find(userID); return is }

// CaseKey is the key of a case's document.
func CaseKey(id string) gotong.Key { return gotong.Key{Collection: Cases, Owner: id} }

// GateKey is the key of the gate that the event seq opened.
func GateKey(id string, seq uint64) gotong.Key {
	return gotong.Key{Collection: Gates, Owner: id, Name: gotong.SeqName(seq)}
}

// OfUserKey is the key of a case's line among a user's cases.
func OfUserKey(userID string, created gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: OfUser, Owner: userID, Name: gotong.EntryName(created, id)}
}

// OfScopeKey is the key of a public case's line in its scope.
func OfScopeKey(scopeID string, created gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: OfScope, Owner: scopeID, Name: gotong.EntryName(created, id)}
}

// StreamOf returns the stream that this create command creates. Its id is derived
// from the request, so that a retry creates no second one.
func StreamOf(actor, requestID string) gotong.Stream {
	return gotong.NewStream(Name, prefix+gotong.DeriveID(Name, actor, requestID))
}

// Rules are the rules of cases, on these tracks. Lenders are the kinds whose
// streams can be the home of a case.
type Rules struct {
	Accounts gotong.Accounts
	Lenders  gotong.Lenders
	Tracks   *Tracks
}

// Kind returns the rules as a kind.
func (r Rules) Kind() gotong.Kind {
	return gotong.Kind{
		Name: Name, Commands: commands(), Events: events(), Documents: documents(),
		Lends: &gotong.Lends{OfUser: OfUser, Roles: lent()},
		Home:  r.home, Needs: r.needs, Decide: r.decide, Project: project,
		AccessNeeds: r.accessNeeds, Access: r.access, Webhooks: &gotong.Webhooks{Admits: r.admits},
		Affects: affects, Timers: timers,
		Replay: replay, Evidence: &evidence,
	}
}

// lent maps a member's first role to their standing in a thread that borrows the
// members of the case.
func lent() map[string]gotong.Standing {
	roles := map[string]gotong.Standing{string(Author): gotong.Leading, string(PIC): gotong.Leading}
	for _, r := range []Role{Participant, Saksi} {
		roles[string(r)] = gotong.Ordinary
	}
	return roles
}

func documents() []gotong.Type {
	return []gotong.Type{
		gotong.TypeOf[Case](Cases), gotong.TypeOf[Member](Members), gotong.TypeOf[Gate](Gates),
		gotong.TypeOf[gotong.Entry](OfUser), gotong.TypeOf[gotong.Entry](OfScope),
	}
}
