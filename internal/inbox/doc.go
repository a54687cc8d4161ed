// Package inbox keeps what concerns each user: mentions, replies, memberships,
// invitations, gates of cases, and decisions on their messages. A reader writes
// numbered lists of ids; [Box] reads them as the user may see them now.
//
// # Lists
//
// There is one list per user and partition. The number of an item is the time of its
// event in microseconds, raised where necessary, so that numbers ascend within the
// partition. So (number, partition) is both the order by time and the id of the item,
// and a read mark is one number per partition. The reader decides from the events of
// the partition alone: it keeps the members of streams, the authors of messages, and
// the users whom each message has reached, in documents of its own.
//
// A stream that has had more than 200 members is wide: it has a list of its own for
// items that are for all its members, and each member has a document with the spans of
// their membership, so that reading merges the list in.
//
// # Caveats
//
// Lists only grow. Whether an item is shown is decided when it is read, by the one
// visibility function, blocks, mutes and preferences: counts and pages hold only what
// is shown. About an item of a wide stream, all its members with a session are signalled,
// also those whom it does not concern.
package inbox

import (
	"fmt"

	"gotong.dev/gotong"
)

// Kind says how an item concerns a user; a closed set.
type Kind string

// The kinds of items. The lists have the kind message in place of the first three:
// which of them it is follows from the message as it reads now.
const (
	Siaga       Kind = "siaga"        // an emergency broadcast
	Mention     Kind = "mention"      // a message names the user
	Reply       Kind = "reply"        // a message answers one of the user's own
	Message     Kind = "message"      // any other message
	Added       Kind = "added"        // to a thread, group or case
	Removed     Kind = "removed"      // from one; neither the stream nor the actor is shown
	Invited     Kind = "invited"      // to a group, while the invitation is open
	Declined    Kind = "declined"     // the user's request to join a group
	GateOpened  Kind = "gate_opened"  // in a case that has the user as a member
	GateClosing Kind = "gate_closing" // a vote closes soon, and the user has not voted
	Decided     Kind = "decided"      // about a message of the user's own
)

// Item is one line of a list. It holds no text and no name.
type Item struct {
	Kind     Kind           `json:"kind"`
	Stream   gotong.Stream  `json:"stream"`
	Seq      uint64         `json:"seq"`                // of the event that is shown: for a decision, the message
	At       gotong.Instant `json:"at"`                 // of the event that caused the item
	By       string         `json:"by,omitempty"`       // who caused it
	Decision string         `json:"decision,omitempty"` // the type of the event that decides
	UntilMS  int64          `json:"until_ms,omitempty"` // the end of an invitation
	Except   []string       `json:"except,omitempty"`   // in the list of a wide stream: who has an item of their own,
	Since    []uint64       `json:"since,omitempty"`    // and the numbers of earlier items about the message
	Siaga    bool           `json:"siaga,omitempty"`    // the message is an emergency broadcast: it may pass a block
	Answers  bool           `json:"answers,omitempty"`  // the message is a reply to one of the user's own
	Roles    []string       `json:"roles,omitempty"`    // the special roles that the user held then
}

// The collections of the reader. PP is a partition, two digits.
const (
	lists   = "inbox_lists"   // (user id or wide stream, PP-SeqName of the number) → Item
	clocks  = "inbox_clocks"  // (PP, "") → clock
	rosters = "inbox_rosters" // (stream, "") → roster
	spans   = "inbox_spans"   // (user id, PP-wide stream) → belongs
	authors = "inbox_authors" // (stream, SeqName of seq / chunk) → by seq, who posted it
	reaches = "inbox_reaches" // (stream, SeqName of the seq of a message) → reach
)

func prefix(p gotong.Partition) string { return fmt.Sprintf("%02d-", p) }

func itemKey(owner string, p gotong.Partition, number uint64) gotong.Key {
	return gotong.Key{Collection: lists, Owner: owner, Name: prefix(p) + gotong.SeqName(number)}
}

func clockKey(p gotong.Partition) gotong.Key {
	return gotong.Key{Collection: clocks, Owner: prefix(p)[:2]}
}

func rosterKey(s gotong.Stream) gotong.Key { return gotong.Key{Collection: rosters, Owner: string(s)} }

func spansKey(userID string, p gotong.Partition, s gotong.Stream) gotong.Key {
	return gotong.Key{Collection: spans, Owner: userID, Name: prefix(p) + string(s)}
}

// chunk is how many events share a document of authors.
const chunk = 16

func authorsKey(s gotong.Stream, seq uint64) gotong.Key {
	return gotong.Key{Collection: authors, Owner: string(s), Name: gotong.SeqName(seq / chunk)}
}

func reachKey(s gotong.Stream, seq uint64) gotong.Key {
	return gotong.Key{Collection: reaches, Owner: string(s), Name: gotong.SeqName(seq)}
}
