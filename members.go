package gotong

import (
	"fmt"
	"slices"
	"strings"
)

// Membership is the document of one member of a stream. A kind whose streams
// have members keeps one per user under [MemberKey], so that another stream
// can borrow the members of its home and needs to know only the names of that
// kind's roles.
type Membership struct {
	Role      string    `json:"role,omitempty"`
	JoinedAt  Instant   `json:"joined_at,omitempty"`
	LeftAt    Instant   `json:"left_at,omitempty"`
	Stretches []Stretch `json:"stretches,omitempty"`

	// Appointed: an outsider who was made to lead the stream, and who sees
	// nothing from before, whatever its history policy.
	Appointed bool `json:"appointed,omitempty"`

	Ban // of a user who is not a member
}

// Stretch is one time of being a member: from the event From on, before the
// event To of the stream that has the members; To 0 is now. The counts are
// the stream's Count at both ends.
type Stretch struct {
	From      uint64 `json:"from"`
	To        uint64 `json:"to,omitempty"`
	FromCount uint64 `json:"from_count,omitempty"`
	ToCount   uint64 `json:"to_count,omitempty"`
}

// MaxStretches is how many stretches a membership remembers. For a member who
// came and went more often, the oldest are dropped: they see less, never more.
const MaxStretches = 64

// MemberKey is where the membership of a user in a stream is kept.
func MemberKey(s Stream, userID string) Key { return Key{s.Kind() + "_members", s.ID(), userID} }

// StreamKey is where a kind keeps the document of a stream as a whole, so that
// another kind can ask it what it says of itself.
func StreamKey(s Stream) Key { return Key{Collection: s.Kind() + "s", Owner: s.ID()} }

// Base is the membership itself, also of a row that adds to it.
func (m Membership) Base() Membership { return m }

// Active reports whether the user is a member now; false for the zero value,
// which is somebody who never was one.
func (m Membership) Active() bool { return m.Role != "" && m.LeftAt == 0 }

// Join is the membership after the event that let the user in. The row of an
// earlier time is kept and gets a new stretch.
func (m Membership) Join(e Event, role string) Membership {
	m.Role, m.JoinedAt, m.LeftAt, m.Appointed, m.Ban = role, e.At, 0, false, Ban{}
	keep := m.Stretches[max(0, len(m.Stretches)-MaxStretches+1):]
	m.Stretches = append(slices.Clone(keep), Stretch{From: e.Seq, FromCount: e.Count})
	return m
}

// Leave is the membership after the event with which the user left or was
// removed.
func (m Membership) Leave(e Event) Membership {
	m.LeftAt = e.At
	m.Stretches = slices.Clone(m.Stretches)
	if n := len(m.Stretches); n > 0 {
		m.Stretches[n-1].To, m.Stretches[n-1].ToCount = e.Seq, e.Count
	}
	return m
}

// Held is the role that the user holds now; empty for a user who is not an active member.
func (m Membership) Held() string {
	if !m.Active() {
		return ""
	}
	return m.Role
}

// Seat is the membership after the event that gave the user this role, whether or
// not they were a member; an empty one ends the membership.
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

// Spans is the stretches as spans of the stream that has the members; of an
// outsider who was appointed the last one alone.
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

// Entry is one line of a listing: a document that is only ever put and
// deleted, under a name of [EntryName].
type Entry struct {
	ID string `json:"id"`
}

// List is the change that puts a stream into a listing or takes it out.
func List(key Key, s Stream, in bool) Change {
	if !in {
		return Change{Key: key}
	}
	return Change{Key: key, Doc: Entry{ID: s.ID()}}
}

// EntryName orders a listing by time of creation: 20 digits of microseconds,
// a slash, the id.
func EntryName(created Instant, id string) string { return fmt.Sprintf("%020d/%s", created, id) }

// StreamID is the id of the stream whose events project to the document of this
// key: the line of a listing ends with it, every other document is owned by it.
func (k Key) StreamID() string {
	if _, id, ok := strings.Cut(k.Name, "/"); ok {
		return id
	}
	return k.Owner
}
