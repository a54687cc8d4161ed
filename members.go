package gotong

import (
	"fmt"
	"slices"
	"strings"
)

// Membership is the document of one member of a stream. A kind whose streams
// have members keeps one per user under [MemberKey], so that another stream can
// borrow the members of its home and needs to know only the names of that
// kind's roles.
type Membership struct {
	Role      string    `json:"role,omitempty"`
	JoinedAt  Instant   `json:"joined_at,omitempty"`
	LeftAt    Instant   `json:"left_at,omitempty"`
	Stretches []Stretch `json:"stretches,omitempty"`

	// Appointed marks an outsider who was made to lead the stream. They see
	// nothing from before, whatever its history policy.
	Appointed bool `json:"appointed,omitempty"`

	Ban // only of a user who is not a member
}

// Stretch is one period of membership: from the event From on, before the event
// To of the stream that has the members; To 0 is now. The counts are the
// stream's Count at both ends.
type Stretch struct {
	From      uint64 `json:"from"`
	To        uint64 `json:"to,omitempty"`
	FromCount uint64 `json:"from_count,omitempty"`
	ToCount   uint64 `json:"to_count,omitempty"`
}

// MaxStretches bounds the stretches of a membership. For a member who joined
// and left more often, the oldest are dropped: they see less, never more.
const MaxStretches = 64

// MemberKey returns the key of a user's membership of a stream.
func MemberKey(s Stream, userID string) Key { return Key{s.Kind() + "_members", s.ID(), userID} }

// StreamKey returns the key of the document that describes a stream as a whole,
// which other kinds can read.
func StreamKey(s Stream) Key { return Key{Collection: s.Kind() + "s", Owner: s.ID()} }

// Base returns the membership itself, also for a document that embeds it.
func (m Membership) Base() Membership { return m }

// Active reports whether the user is a member now. It is false for the zero
// value, a user who never was one.
func (m Membership) Active() bool { return m.Role != "" && m.LeftAt == 0 }

// Join returns the membership after the event with which the user joined. An
// earlier membership is kept and gets a new stretch.
func (m Membership) Join(e Event, role string) Membership {
	m.Role, m.JoinedAt, m.LeftAt, m.Appointed, m.Ban = role, e.At, 0, false, Ban{}
	keep := m.Stretches[max(0, len(m.Stretches)-MaxStretches+1):]
	m.Stretches = append(slices.Clone(keep), Stretch{From: e.Seq, FromCount: e.Count})
	return m
}

// Leave returns the membership after the event with which the user left or was
// removed.
func (m Membership) Leave(e Event) Membership {
	m.LeftAt = e.At
	m.Stretches = slices.Clone(m.Stretches)
	if n := len(m.Stretches); n > 0 {
		m.Stretches[n-1].To, m.Stretches[n-1].ToCount = e.Seq, e.Count
	}
	return m
}

// Held returns the role that the user holds now; empty for a user who is not an
// active member.
func (m Membership) Held() string {
	if !m.Active() {
		return ""
	}
	return m.Role
}

// Seat returns the membership after the event that gave the user this role,
// whether or not they were a member. An empty role ends the membership.
func (m Membership) Seat(e Event, role string) Membership {
	switch {
	case role == "" && !m.Active():
		return m
	case role == "":
		return m.Leave(e)
	case !m.Active():
		return m.Join(e, role)
	default:
		m.Role = role
		return m
	}
}

// Spans returns the stretches as spans of the stream that has the members; for
// an appointed outsider, the last one alone.
func (m Membership) Spans(s Stream) []Span {
	stretches := m.Stretches
	if m.Appointed {
		stretches = stretches[max(0, len(stretches)-1):]
	}
	spans := make([]Span, len(stretches))
	for i, t := range stretches {
		spans[i] = Span{Stream: s, From: t.From, To: t.To}
	}
	return spans
}

// Entry is one line of a listing: a document that is only set or deleted, under
// a name of [EntryName].
type Entry struct {
	ID string `json:"id"`
}

// List returns the change that adds a stream to a listing or removes it.
func List(key Key, s Stream, in bool) Change {
	if !in {
		return Change{Key: key}
	}
	return Change{Key: key, Doc: Entry{ID: s.ID()}}
}

// EntryName returns a name that sorts by time of creation: 20 digits of
// microseconds, a slash, the id.
func EntryName(created Instant, id string) string { return fmt.Sprintf("%020d/%s", created, id) }

// StreamID returns the id of the stream whose events project to the document of
// this key: for a line of a listing, the end of its name; for every other
// document, its owner.
func (k Key) StreamID() string {
	if _, id, ok := strings.Cut(k.Name, "/"); ok {
		return id
	}
	return k.Owner
}
