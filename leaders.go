package gotong

import "slices"

// Accounts describes who issues the accounts of users.
type Accounts bool

// The values of Accounts.
const (
	// AnyIssuer: others issue tokens too, so a user id without an account here
	// may have one elsewhere.
	AnyIssuer Accounts = false
	// OwnAccounts: only this installation issues accounts, so a user id without
	// one belongs to nobody.
	OwnAccounts Accounts = true
)

// AccountRef returns the reference of a user's account.
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

// SettingsRef returns the reference of what a user has set for themselves.
func SettingsRef(userID string) Ref {
	return Ref{Stream: NewStream("user", userID), Key: Key{Collection: "user_settings", Owner: userID}}
}

// Blocks reports whether a user has blocked another one; the state must hold
// [SettingsRef] of the first. Nobody blocks without an id.
func Blocks(s State, userID, other string) bool {
	if userID == "" {
		return false
	}
	set, ok := Doc[interface{ Blocks(userID string) bool }](s, SettingsRef(userID).Key)
	return ok && set.Blocks(other)
}

// MaxLeaders bounds the leaders of a stream, because before one leaves, the
// accounts of the others are read.
const MaxLeaders = 50

// Roster lists the leaders of a stream (a thread's owners, a group's admins)
// and counts its active members. With it, rules ensure that a stream with
// members always has a leader who can act.
type Roster struct {
	Leaders []string `json:"leaders"` // in order of user id
	Members int      `json:"member_count"`
}

// Leadership returns the roster itself, also for a document that embeds it.
func (r Roster) Leadership() Roster { return r }

// Move returns the roster after a user's role changed; an empty role means that
// the user is not a member.
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

// LeaderRefs returns the references that [Roster.Led] and [Roster.RestsOn]
// need: the accounts of the leaders.
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

// RestsOn reports whether the user is a leader and no other leader can act.
func (r Roster) RestsOn(s State, a Accounts, userID string) bool {
	return r.Leads(userID) &&
		!slices.ContainsFunc(r.Leaders, func(id string) bool { return id != userID && a.CanAct(s, id) })
}

// Nobody reports whether these users are all active members of the stream and
// none of them can act. With such a list, an appointment proves that it may go
// to an outsider: rules cannot list members, but they can compare the list with
// the count. The state must hold the membership and the account of each.
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

// CheckMembers notes errors of such a list that do not depend on the state of
// the stream.
func CheckMembers(c *Check, members []string) {
	c.That(len(members) <= MaxProof, "members", "must be at most 500")
	c.That(!slices.ContainsFunc(members, func(id string) bool { return !ValidID(id) }), "members", "must be user ids")
}

// MaxProof is the greatest number of members of a stream whose leader may be
// appointed from outside.
const MaxProof = 500

// MemberRefs returns the references that [Roster.Nobody] needs.
func MemberRefs(stream Stream, members []string) []Ref {
	refs := make([]Ref, 0, 2*len(members))
	for _, id := range members {
		refs = append(refs, Ref{Stream: stream, Key: MemberKey(stream, id)}, AccountRef(id))
	}
	return refs
}
