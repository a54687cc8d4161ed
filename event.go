package gotong

import "cmp"

// Role is the platform role of an account; a closed set.
type Role string

// The platform roles. System is for the server's own commands only and is
// never given to a person.
const (
	RoleAnonymous Role = "anonymous"
	RoleUser      Role = "user"
	RoleModerator Role = "moderator"
	RoleAdmin     Role = "admin"
	RoleSystem    Role = "system"
)

// CanModerate reports moderator, admin or system.
func (r Role) CanModerate() bool { return r == RoleModerator || r == RoleAdmin || r == RoleSystem }

// IsAdmin reports admin or system.
func (r Role) IsAdmin() bool { return r == RoleAdmin || r == RoleSystem }

// Valid reports whether the role is one of the closed set.
func (r Role) Valid() bool { return r == RoleAnonymous || r == RoleUser || r.CanModerate() }

// Actor is the user who acted, as every event stores them: an opaque id and the
// platform role at that time, never a name.
type Actor struct {
	UserID string `json:"user_id"`
	Role   Role   `json:"role"`
}

// Anonymous is the actor before sign-up.
func Anonymous() Actor { return Actor{UserID: string(RoleAnonymous), Role: RoleAnonymous} }

// Audience names the viewers of a stream who may see an event: empty for all of
// them, "user/<id>" for one, "role/<name>" for those who hold a role in the
// stream.
type Audience string

// ForUser returns the audience of one user.
func ForUser(id string) Audience { return Audience("user/" + id) }

// ForRole returns the audience of those who hold this role in the stream.
func ForRole(role string) Audience { return Audience("role/" + role) }

// Fact is one event as a kind decides it, before the engine numbers, stamps and
// chains it.
type Fact struct {
	Type     string
	Audience Audience
	Data     any      // kept for ever: ids, states, numbers
	Content  any      // erasable: texts, names, reasons; nil where there is none
	Counted  bool     // raises the stream's Count by one (a message's ordinal)
	Erases   []uint64 // seqs of earlier events of the stream whose content is erased, ascending

	// Actor, if set, stands in the event instead of the command's, so that nobody who
	// reads it learns who acted. Not in the first fact of a decision: the first event
	// of a commit names the actor of its request.
	Actor Actor
}

// By returns the actor of the event: that of the command, unless the fact has one.
func (f *Fact) By(cmd Actor) Actor { return cmp.Or(f.Actor, cmd) }

// Event is one committed fact with its payloads as the types of its kind.
type Event struct {
	Stream        Stream
	Seq           uint64
	ID            EventID
	Type          string
	At            Instant
	Audience      Audience
	Count         uint64 // the stream's Count after this event
	Actor         Actor
	RequestID     string
	CorrelationID string
	Data          any
	Content       any // nil if there is none or it was erased
}

// Naming is implemented by the data of events that name users beside the actor.
// Views show the names that these users have now.
type Naming interface {
	Named() (userIDs []string)
}

// Head is the newest state of a stream's log; the zero Head is that of a stream
// that does not exist.
type Head struct {
	Seq   uint64
	Chain Hash
	At    Instant
	Count uint64 // the number of counted events
	Home  Stream
}

// Exists reports whether the stream has an event.
func (h Head) Exists() bool { return h.Seq > 0 }

// Command is one request for a change. Data is of the Go type that the kind
// names for Type. Raw is the body as received, which the fingerprint covers.
type Command struct {
	Stream        Stream
	Type          string
	Actor         Actor
	RequestID     string
	CorrelationID string
	Data          any
	Raw           []byte
	Targets       []string // what the command changes, if Raw does not name it, such as parts of a path

	// Registers are written in the transaction of the command's commit, if each
	// has its expected version. If one has another version, the command fails
	// with [CodeConflict]. A replay writes none.
	Registers []RegisterChange

	// The lane stamps both. At orders events: it is later than the stream's
	// newest event, even if that is ahead of the clock. Now is the clock, with
	// which rules compare deadlines; there is no other clock for rules. An
	// event whose decision compared a deadline stores Now in its data, so that
	// the log shows why the command was accepted.
	At  Instant
	Now Instant
}

// Key returns the idempotency key of the command.
func (c Command) Key() RequestKey { return RequestKey{c.Stream, c.Actor.UserID, c.RequestID} }

// Receipt is the answer to a command. It is the same for ever for the same
// request, except for Replayed. That of a no-op has neither seqs nor ids.
type Receipt struct {
	Stream    Stream
	Partition Partition
	Position  uint64 // of the commit; 0 for a no-op
	First     uint64 // seq of the first event, 0 for a no-op
	Last      uint64
	EventIDs  []EventID
	At        Instant // of the last event; for a no-op, of the answer
	Chain     Hash    // after the last event
	Replayed  bool
	Access    bool // access may have changed: wait for delivery before answering
}
