package gotong

import (
	"slices"
	"strings"
)

// Lends describes a kind whose streams are homes that lend their members. The
// document of such a stream, under [StreamKey], shows as [Known] whether
// everybody may know of it.
type Lends struct {
	Prefix string              // of its streams' ids: a scope id that begins with it names a stream
	OfUser string              // the listing of a user's streams: (user id, [EntryName]) → [Entry]
	Roles  map[string]Standing // by role: what the member is in a stream that borrows the members
}

// Known is the document of a home.
type Known interface{ KnownToAll() bool }

// Standing is what a member of a home is in a stream that borrows its members.
type Standing int

// The standings.
const (
	Outside  Standing = iota // no member
	Ordinary                 // a member
	Leading                  // a member who may act on others
)

// Homes are the kinds that lend their members.
type Homes []Kind

// LendersOf returns those of these kinds that lend their members.
func LendersOf(kinds []Kind) Homes {
	return slices.DeleteFunc(slices.Clone(kinds), func(k Kind) bool { return k.Lends == nil })
}

// Of returns the home that a scope id names, or false if it names none.
func (h Homes) Of(scopeID string) (Stream, bool) {
	for i := range h {
		if strings.HasPrefix(scopeID, h[i].Lends.Prefix) {
			return NewStream(h[i].Name, scopeID), true
		}
	}
	return "", false
}

// Standing returns the standing of a member with this role in a home; Outside
// if no kind lends such members.
func (h Homes) Standing(home Stream, role string) Standing {
	for i := range h {
		if h[i].Name == home.Kind() {
			return h[i].Lends.Roles[role]
		}
	}
	return Outside
}
