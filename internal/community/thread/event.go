package thread

import "gotong.dev/gotong"

// The types of event. Now in the data is the clock's time, where the decision
// compared a deadline with it, or where a deadline counts from the event. Where
// Now is absent, the clock showed At.
const (
	EvCreated        = "thread.created"
	EvHistoryChanged = "thread.history_changed"
	EvUpdated        = "thread.updated"
	EvArchived       = "thread.archived"
	EvUnarchived     = "thread.unarchived"
	EvJoined         = "member.joined"
	EvLeft           = "member.left"
	EvAdded          = "member.added"
	EvRemoved        = "member.removed"
	EvMuted          = "member.muted"
	EvRoleChanged    = "member.role_changed"
	EvUnbanned       = "member.unbanned"
	EvAppointed      = "member.appointed"
	EvPosted         = "message.posted"
	EvEdited         = "message.edited"
	EvDeleted        = "message.deleted"
	EvReacted        = "message.reacted"
	EvPinned         = "message.pinned"
	EvUnpinned       = "message.unpinned"
	EvAdvised        = "message.advised"
	EvHeld           = "message.held"
	EvReleased       = "message.released"
	EvBlocked        = "message.blocked"
	EvDecided        = "message.decided"
	EvAppealed       = "message.appealed"
	EvOpened         = "message.opened"
	EvReported       = "message.reported"
	EvSlowed         = "thread.slowed"
)

func events() []gotong.EventType {
	return []gotong.EventType{
		gotong.EventWith[Created, Title](EvCreated).Of(gotong.Conversation), gotong.EventOf[HistoryChanged](EvHistoryChanged),
		gotong.EventWith[Updated, Title](EvUpdated).Of(gotong.Conversation),
		gotong.EventOf[Archived](EvArchived), gotong.EventOf[Unarchived](EvUnarchived),
		gotong.EventOf[Joined](EvJoined), gotong.EventOf[Left](EvLeft),
		gotong.EventWith[Added, SentBy](EvAdded).Of(gotong.Conversation),
		gotong.EventWith[Removed, SentBy](EvRemoved).Of(gotong.Conversation),
		gotong.EventOf[Muted](EvMuted), gotong.EventOf[RoleChanged](EvRoleChanged),
		gotong.EventOf[Unbanned](EvUnbanned), gotong.EventOf[Appointed](EvAppointed),
		gotong.EventWith[Posted, Text](EvPosted).Of(gotong.Conversation),
		gotong.EventWith[Edited, NewText](EvEdited).Of(gotong.Conversation),
		gotong.EventOf[Deleted](EvDeleted), gotong.EventOf[Reacted](EvReacted),
		gotong.EventOf[Pinned](EvPinned), gotong.EventOf[Unpinned](EvUnpinned),
		gotong.EventWith[Advised, Reasons](EvAdvised).Of(gotong.Conversation),
		gotong.EventOf[Held](EvHeld), gotong.EventOf[Released](EvReleased), gotong.EventOf[Blocked](EvBlocked),
		gotong.EventWith[Decided, Grounds](EvDecided).Of(gotong.Conversation).OfRecord(),
		gotong.EventWith[Appealed, Plea](EvAppealed).Of(gotong.Conversation).OfRecord(),
		gotong.EventOf[Opened](EvOpened).OfRecord(), gotong.EventOf[Reported](EvReported).OfRecord(), gotong.EventOf[Slowed](EvSlowed),
	}
}

// Created is the data of thread.created; the actor is the owner.
type Created struct {
	ScopeID string        `json:"scope_id"`
	Home    gotong.Stream `json:"home"`
	Lender  gotong.Stream `json:"lender,omitempty"` // if it borrows members
	Privacy Privacy       `json:"privacy_level"`
	History Policy        `json:"history"`
	Members Source        `json:"members"`
	Pair    []string      `json:"pair,omitempty"` // of a direct thread: its users, both members
}

// HistoryChanged is the data of thread.history_changed.
type HistoryChanged struct {
	Policy Policy `json:"policy"`
}

// Joined is the data of member.joined.
type Joined struct {
	UserID string         `json:"user_id"`
	Role   Role           `json:"role"`
	Now    gotong.Instant `json:"now,omitzero"` // the clock, where a ban was over by then
}

// Left is the data of member.left.
type Left struct {
	UserID string `json:"user_id"`
}

// Added is the data of member.added.
type Added struct {
	UserID   string         `json:"user_id"`
	Role     Role           `json:"role"`
	SentAtMS int64          `json:"sent_at_ms,omitempty"` // when it took place, in an import
	Now      gotong.Instant `json:"now,omitzero"`         // the clock, where a ban was over by then
}

// Removed is the data of member.removed.
type Removed struct {
	UserID   string         `json:"user_id"`
	SentAtMS int64          `json:"sent_at_ms,omitempty"`
	Now      gotong.Instant `json:"now,omitzero"` // the clock, where the ban has an end
	gotong.Ban
}

// Unbanned is the data of member.unbanned.
type Unbanned struct {
	UserID string `json:"user_id"`
}

// Appointed is the data of member.appointed.
type Appointed struct {
	UserID   string `json:"user_id"`
	Role     Role   `json:"role"`
	Outsider bool   `json:"outsider,omitempty"` // was not a member, and sees nothing from before
}

// SentBy is the content of member.added and member.removed in an import.
type SentBy struct {
	SentBy string `json:"sent_by"`
}

// Muted is the data of member.muted; 0 lifts the mute.
type Muted struct {
	UserID  string `json:"user_id"`
	UntilMS int64  `json:"until_ms"`

	Now gotong.Instant `json:"now"`
}

// RoleChanged is the data of member.role_changed.
type RoleChanged struct {
	UserID string `json:"user_id"`
	Role   Role   `json:"role"`
}

// Posted is the data of message.posted. The event's id is the message's id. Later
// is never in the log; the overlay sets it.
type Posted struct {
	N        uint64         `json:"n"` // ordinal: the first message is 1
	ReplyTo  gotong.EventID `json:"reply_to,omitzero"`
	ReplySeq uint64         `json:"reply_seq,omitempty"` // of the message in ReplyTo
	Siaga    bool           `json:"siaga,omitempty"`     // an emergency broadcast to all members
	Lender   gotong.Stream  `json:"lender,omitempty"`    // the stream whose members it mentions or warns, if the thread borrows them
	Mentions []Mention      `json:"mentions,omitempty"`
	Uploads  []string       `json:"uploads,omitempty"` // that are attached; the content describes them
	SentAtMS int64          `json:"sent_at_ms,omitempty"`
	Slow     bool           `json:"slow,omitempty"` // the slow mode counts from it
	Now      gotong.Instant `json:"now,omitzero"`
	Later
}

// Later is what later events made of a message.
type Later struct {
	Revision    uint64              `json:"revision,omitempty"` // 0: as posted
	EditedAtMS  int64               `json:"edited_at_ms,omitempty"`
	DeletedAtMS int64               `json:"deleted_at_ms,omitempty"` // set: the text is gone
	Withheld    bool                `json:"withheld,omitempty"`      // the viewer may not see the newest text, and gets no older one
	Held        bool                `json:"held,omitempty"`          // held or rejected: only the author gets the text
	Rejected    bool                `json:"rejected,omitempty"`      // a reviewer rejected it
	Warning     string              `json:"warning,omitempty"`       // the label with which a reviewer published it
	Reactions   map[string][]string `json:"reactions,omitempty"`     // emoji → user ids, of those that the viewer sees
	Pinned      bool                `json:"pinned,omitempty"`        // on the list of pinned messages
}

// Text is the content of message.posted.
type Text struct {
	Body   string       `json:"body"`
	SentBy string       `json:"sent_by,omitempty"`
	Files  []Attachment `json:"attachments,omitempty"`
}

// Edited is the data of message.edited. After a later edit or a deletion, the
// event is shown without content.
type Edited struct {
	MessageID gotong.EventID `json:"message_id"`
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	Revision  uint64         `json:"revision"`           // the new one
	Mentions  []Mention      `json:"mentions,omitempty"` // all of the new text
	Lender    gotong.Stream  `json:"lender,omitempty"`   // as in [Posted]
	Now       gotong.Instant `json:"now"`
}

// NewText is the content of message.edited.
type NewText struct {
	Body string `json:"body"`
}

// Deleted is the data of message.deleted.
type Deleted struct {
	MessageID gotong.EventID `json:"message_id"`
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	Revision  uint64         `json:"revision"` // the new one
	Uploads   []string       `json:"uploads,omitempty"`
}

// Reacted is the data of message.reacted.
type Reacted struct {
	MessageID gotong.EventID `json:"message_id"`
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	Emoji     string         `json:"emoji"`
	On        bool           `json:"on"`
	Now       gotong.Instant `json:"now,omitzero"`
}

// Pinned is the data of message.pinned.
type Pinned struct {
	MessageID gotong.EventID `json:"message_id"`
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	Now       gotong.Instant `json:"now,omitzero"`
}

// Unpinned is the data of message.unpinned.
type Unpinned Pinned
