package gotong

import "slices"

// Accounts is who issues the accounts of users.
type Accounts bool

// The sorts of accounts.
const (
	// AnyIssuer: others issue tokens too. A user id without an account here may
	// have one there.
	AnyIssuer Accounts = false
	// OwnAccounts: a user id without an account here is nobody's.
	OwnAccounts Accounts = true
)

// AccountRef names the document of a user's account.
func AccountRef(userID string) Ref {
	s := NewStream("user", userID)
	return Ref{Stream: s, Key: StreamKey(s)}
}

// CanAct reports whether the user has an account that is not disabled; the
// state must hold [AccountRef].
func (a Accounts) CanAct(s State, userID string) bool {
	account, ok := Doc[interface{ Active() bool }](s, AccountRef(userID).Key)
	if !ok {
		return a == AnyIssuer
	}
	return account.Active()
}

// MaxLeaders is how many leaders a stream has at most: before one of them goes,
// the accounts of the others are looked at.
const MaxLeaders = 50

// Roster is who leads a stream (a thread's owners, a group's admins) and how
// many active members it has, so that no stream with members is left without
// a leader who can act.
type Roster struct {
	Leaders []string `json:"leaders"` // in order of user id
	Members int      `json:"member_count"`
}

// Leadership is the roster itself, also of a document that adds to it.
func (r Roster) Leadership() Roster { return r }

// Move is the roster after a user's role changed; an empty role is that of
// somebody who is not a member.
func (r Roster) Move(userID, from, to, leader string) Roster {
	r.Members += one(to != "") - one(from != "")
	at, leads := slices.BinarySearch(r.Leaders, userID)
	switch {
	case to == leader && !leads:
		r.Leaders = slices.Insert(slices.Clone(r.Leaders), at, userID)
	case to != leader && leads:
		r.Leaders = slices.Delete(slices.Clone(r.Leaders), at, at+1)
	}
	return r
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// LeaderRefs names the accounts of those who lead, which [Roster.Led] and
// [Roster.RestsOn] look at.
func (r Roster) LeaderRefs() []Ref {
	refs := make([]Ref, len(r.Leaders))
	for i, id := range r.Leaders {
		refs[i] = AccountRef(id)
	}
	return refs
}

// Led reports whether one of the leaders can act.
func (r Roster) Led(s State, a Accounts) bool {
	return slices.ContainsFunc(r.Leaders, func(id string) bool { return a.CanAct(s, id) })
}

// Leads reports whether the user is one of the leaders.
func (r Roster) Leads(userID string) bool { return slices.Contains(r.Leaders, userID) }

// RestsOn reports whether the user leads and none of the other leaders can act.
func (r Roster) RestsOn(s State, a Accounts, userID string) bool {
	return r.Leads(userID) &&
		!slices.ContainsFunc(r.Leaders, func(id string) bool { return id != userID && a.CanAct(s, id) })
}

// Nobody reports whether these are all active members of the stream, of which
// none can act. It is how an appointment proves that it may go to an outsider:
// the rules cannot list the members, but they can hold the list to the count.
// The state must hold the membership and the account of each.
func (r Roster) Nobody(s State, a Accounts, stream Stream, members []string) bool {
	members = slices.Compact(slices.Sorted(slices.Values(members)))
	for _, id := range members {
		m, _ := Doc[interface{ Active() bool }](s, MemberKey(stream, id))
		if m == nil || !m.Active() || a.CanAct(s, id) {
			return false
		}
	}
	return len(members) == r.Members
}

// CheckMembers notes what is wrong with such a list, apart from the state of
// the stream.
func CheckMembers(c *Check, members []string) {
	c.That(len(members) <= MaxProof, "members", "must be at most 500")
	c.That(!slices.ContainsFunc(members, func(id string) bool { return !ValidID(id) }), "members", "must be user ids")
}

// MaxProof is how many members a stream may have whose leader is appointed from
// outside.
const MaxProof = 500

// MemberRefs names what [Roster.Nobody] looks at.
func MemberRefs(stream Stream, members []string) []Ref {
	refs := make([]Ref, 0, 2*len(members))
	for _, id := range members {
		refs = append(refs, Ref{Stream: stream, Key: MemberKey(stream, id)}, AccountRef(id))
	}
	return refs
}
