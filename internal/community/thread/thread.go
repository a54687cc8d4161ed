package thread

import (
	"strings"

	"gotong.dev/gotong"
)

// Name is the kind: the part of a stream's name before the slash.
const Name = "thread"

// Role is a member's role in the thread; a closed set.
type Role string

// The roles, highest first.
const (
	Owner      Role = "owner"
	Admin      Role = "admin"
	MemberRole Role = "member"
)

// Valid reports whether the role is one of the closed set.
func (r Role) Valid() bool { return r.rank() > 0 }

func (r Role) rank() int {
	switch r {
	case Owner:
		return 3
	case Admin:
		return 2
	case MemberRole:
		return 1
	default:
		return 0
	}
}

// Privacy says who may know of the thread and join it; a closed set.
type Privacy string

// The privacy levels.
const (
	Public  Privacy = "public"  // everybody may know of it and join
	Private Privacy = "private" // for members, who are added
)

// Policy decides which messages members may read; a closed set.
type Policy string

// The history policies.
const (
	All      Policy = "all"       // messages are for all members, also later ones
	FromJoin Policy = "from_join" // messages are for the members at that time
)

// Source says whose members the thread has; a closed set.
type Source string

// The sources of members.
const (
	Own  Source = "own"
	Home Source = "home" // the active members of its lender
)

// ImportedPrefix begins the user ids of members whom an import created: they have
// no account.
const ImportedPrefix = "import:"

func imported(userID string) bool { return strings.HasPrefix(userID, ImportedPrefix) }

// The collections of the kind.
const (
	Threads   = "threads"         // (thread id, "") → Thread
	Members   = "thread_members"  // (thread id, user id) → Member
	Overlays  = "thread_overlays" // (thread id, gotong.SeqName(seq)) → Overlay
	Deletions = "thread_deleted"  // (thread id, gotong.SeqName(n)) → gotong.Entry: messages that do not count as unread
	OfUser    = "user_threads"    // (user id, gotong.EntryName) → gotong.Entry: threads with own members
	OfScope   = "scope_threads"   // (scope id, gotong.EntryName) → gotong.Entry: public threads
	OfLender  = "lender_threads"  // (lender, gotong.EntryName) → gotong.Entry: threads that borrow its members
)

// Thread is the document of one thread. Its roster counts members of its own,
// without imported ones; the leaders are the owners. A thread's updated_at is
// the instant of its head.
type Thread struct {
	ScopeID   string         `json:"scope_id"`
	Home      gotong.Stream  `json:"home"`
	Lender    gotong.Stream  `json:"lender,omitempty"` // whose members it borrows; empty if it has its own
	CreatedBy string         `json:"created_by"`
	Privacy   Privacy        `json:"privacy_level"`
	Members   Source         `json:"members"`
	History   []PolicyChange `json:"history"` // oldest first, each another policy than the one before
	CreatedAt gotong.Instant `json:"created_at"`
	Pair      []string       `json:"pair,omitempty"` // the users of a direct thread
	Titled
	ArchivedAt gotong.Instant `json:"archived_at,omitempty"` // set: it can only be read
	SlowS      int            `json:"slow_s,omitempty"`      // the seconds between two messages of a member
	gotong.Roster
}

// PolicyChange says that from the event Seq on Policy holds; Count is the
// number of messages before it.
type PolicyChange struct {
	Seq    uint64 `json:"seq"`
	Count  uint64 `json:"count,omitempty"`
	Policy Policy `json:"policy"`
}

// Closed reports whether the last member left: nobody can come into the thread
// any more. One that borrows its members, or is direct, never closes by itself.
func (t Thread) Closed() bool { return t.Members == Own && t.Roster.Members == 0 && !t.Direct() }

// Policy is the history policy that holds now.
func (t Thread) Policy() Policy {
	if len(t.History) == 0 {
		return FromJoin
	}
	return t.History[len(t.History)-1].Policy
}

// Member is the document of one member. In a thread that borrows its members
// it holds the mute alone, of those who are muted.
type Member struct {
	gotong.Membership
	MuteUntilMS int64 `json:"mute_until_ms,omitempty"` // 0: not muted
}

// MutedAt reports whether the member may not send while the clock shows now.
func (m Member) MutedAt(now gotong.Instant) bool { return now.Milli() < m.MuteUntilMS }

// ThreadKey is the key of a thread's document.
func ThreadKey(id string) gotong.Key { return gotong.Key{Collection: Threads, Owner: id} } //nolint:revive // one of a family with MemberKey

// MemberKey is the key of a member's document.
func MemberKey(id, userID string) gotong.Key {
	return gotong.Key{Collection: Members, Owner: id, Name: userID}
}

// OverlayKey is the key of what later events made of the event seq.
func OverlayKey(id string, seq uint64) gotong.Key {
	return gotong.Key{Collection: Overlays, Owner: id, Name: gotong.SeqName(seq)}
}

// DeletedKey is the key of the mark that message n was deleted, or is held or rejected.
func DeletedKey(id string, n uint64) gotong.Key {
	return gotong.Key{Collection: Deletions, Owner: id, Name: gotong.SeqName(n)}
}

// OfUserKey is the key of a thread's line among a user's threads.
func OfUserKey(userID string, created gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: OfUser, Owner: userID, Name: gotong.EntryName(created, id)}
}

// OfScopeKey is the key of a public thread's line in its scope.
func OfScopeKey(scopeID string, created gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: OfScope, Owner: scopeID, Name: gotong.EntryName(created, id)}
}

// OfLenderKey is the key of the line of a thread that borrows a lender's members.
func OfLenderKey(lender gotong.Stream, created gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: OfLender, Owner: string(lender), Name: gotong.EntryName(created, id)}
}

// StreamOf is the stream that this create command makes: its id is derived, so
// that a retry makes no twin.
func StreamOf(actor, requestID string) gotong.Stream {
	return gotong.NewStream(Name, gotong.DeriveID(Name, actor, requestID))
}
