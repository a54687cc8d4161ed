package gotong

import (
	"slices"
	"strings"
)

// Lends describes a kind whose streams lend their members. Where its streams are
// homes, the document of each, under [StreamKey], shows as [Known] whether
// everybody may know of it.
type Lends struct {
	// Prefix begins the ids of its streams if they are homes: a scope id that
	// begins with it names a stream. Empty: each stream has the home of the scope
	// in which it was created.
	Prefix string

	OfUser string              // the listing of a user's streams: (user id, [EntryName]) → [Entry]
	Roles  map[string]Standing // by role: what the member is in a stream that borrows the members
}

// Known is the document of a home.
type Known interface{ KnownToAll() bool }

// Standing is what a member of a lender is in a stream that borrows its members.
type Standing int

// The standings.
const (
	Outside  Standing = iota // no member
	Ordinary                 // a member
	Leading                  // a member who may act on others
)

// Lenders are the kinds that lend their members.
type Lenders []Kind

// LendersOf returns those of these kinds that lend their members.
func LendersOf(kinds []Kind) Lenders {
	return slices.DeleteFunc(slices.Clone(kinds), func(k Kind) bool { return k.Lends == nil })
}

// scope is the kind of a home that is only a name: it is no stream and has no
// members.
const scope = "scope"

// HomeOf returns the home that a scope id names: a stream that lends its members
// or, for any other scope, only a name.
func (l Lenders) HomeOf(scopeID string) Stream {
	for i := range l {
		if p := l[i].Lends.Prefix; p != "" && strings.HasPrefix(scopeID, p) {
			return NewStream(l[i].Name, scopeID)
		}
	}
	return NewStream(scope, scopeID)
}

// HasMembers reports whether a home is a stream that lends its members, and not
// only a name.
func (s Stream) HasMembers() bool { return s != "" && s.Kind() != scope }

// Lends reports whether a stream is of one of these kinds.
func (l Lenders) Lends(s Stream) bool {
	return slices.ContainsFunc(l, func(k Kind) bool { return k.Name == s.Kind() })
}

// Standing returns the standing of a member with this role in a lender; Outside
// if no kind lends such members.
func (l Lenders) Standing(lender Stream, role string) Standing {
	for i := range l {
		if l[i].Name == lender.Kind() {
			return l[i].Lends.Roles[role]
		}
	}
	return Outside
}

// Chain returns the streams of which a user must be an active member to be a
// member of the stream: first the stream itself and then, where that is another
// stream with members, its home. All are of one partition.
func Chain(stream, home Stream) []Stream {
	if stream == home || !home.HasMembers() {
		return []Stream{stream}
	}
	return []Stream{stream, home}
}

// ChainRefs returns the references of a user's memberships of a chain.
func ChainRefs(chain []Stream, userID string) []Ref {
	refs := make([]Ref, len(chain))
	for i, s := range chain {
		refs[i] = Ref{Stream: s, Key: MemberKey(s, userID)}
	}
	return refs
}

// MembershipOf returns a user's membership of a stream; the state must hold its
// document.
func MembershipOf(s State, stream Stream, userID string) Membership {
	if m, ok := Doc[interface{ Base() Membership }](s, MemberKey(stream, userID)); ok {
		return m.Base()
	}
	return Membership{}
}

// RolesOf returns all roles that a user holds now in a stream; nil for a user who is not an
// active member. The state must hold the document of the membership. A document whose
// members can hold several roles has a method Roles.
func RolesOf(s State, stream Stream, userID string) []string {
	if m, ok := Doc[interface{ Roles() []string }](s, MemberKey(stream, userID)); ok {
		return m.Roles()
	}
	if role := MembershipOf(s, stream, userID).Held(); role != "" {
		return []string{role}
	}
	return nil
}

// Held returns the role that a user holds now in the first stream of a chain;
// empty for a user who is not an active member of all its streams. The state must
// hold [ChainRefs].
func (l Lenders) Held(s State, chain []Stream, userID string) string {
	if !l.Inside(s, chain, userID) {
		return ""
	}
	return MembershipOf(s, chain[0], userID).Held()
}

// Inside reports whether a user is an active member of the streams that follow
// the first one of a chain, in roles that their kinds lend: only then can they be
// a member of the first. The state must hold [ChainRefs].
func (l Lenders) Inside(s State, chain []Stream, userID string) bool {
	return !slices.ContainsFunc(chain[1:], func(home Stream) bool {
		return l.Standing(home, MembershipOf(s, home, userID).Held()) == Outside
	})
}
