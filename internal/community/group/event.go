package group

import "gotong.dev/gotong"

// The types of event.
const (
	EvCreated     = "group.created"
	EvUpdated     = "group.updated"
	EvJoined      = "member.joined"
	EvLeft        = "member.left"
	EvAdded       = "member.added"
	EvRemoved     = "member.removed"
	EvRoleChanged = "member.role_changed"
	EvUnbanned    = "member.unbanned"
	EvAppointed   = "member.appointed"
)

func events() []gotong.EventType {
	return append(joiningEvents(), []gotong.EventType{
		gotong.EventWith[Created, Text](EvCreated), gotong.EventWith[Updated, NewText](EvUpdated),
		gotong.EventOf[Member](EvJoined), gotong.EventOf[Gone](EvLeft),
		gotong.EventOf[Member](EvAdded), gotong.EventOf[Removed](EvRemoved),
		gotong.EventOf[Member](EvRoleChanged), gotong.EventOf[Gone](EvUnbanned),
		gotong.EventOf[Appointed](EvAppointed),
	}...)
}

// Created is the data of group.created; the actor is the first admin.
type Created struct {
	EntityType EntityType `json:"entity_type"`
	JoinPolicy JoinPolicy `json:"join_policy"`
}

// Text is the content of group.created.
type Text struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Updated is the data of group.updated.
type Updated struct {
	JoinPolicy  JoinPolicy `json:"join_policy,omitempty"` // empty: as before
	Renamed     bool       `json:"renamed,omitempty"`     // the content has a name
	Redescribed bool       `json:"redescribed,omitempty"` // the content has a description

	Policy *gotong.Policy `json:"policy,omitempty"` // nil: as before
}

// NewText is the content of group.updated: what changed of the texts.
type NewText struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
}

// Member is the data of the events that make a member or change a role.
type Member struct {
	UserID string         `json:"user_id"`
	Role   Role           `json:"role"`
	Now    gotong.Instant `json:"now,omitzero"` // the clock, where a ban was over by then
}

// Gone is the data of member.left and member.unbanned.
type Gone struct {
	UserID string `json:"user_id"`
}

// Removed is the data of member.removed.
type Removed struct {
	UserID string         `json:"user_id"`
	Now    gotong.Instant `json:"now,omitzero"` // the clock, where the ban has an end
	gotong.Ban
}

// Appointed is the data of member.appointed.
type Appointed struct {
	UserID   string `json:"user_id"`
	Role     Role   `json:"role"`
	Outsider bool   `json:"outsider,omitempty"` // was no member, and sees nothing from before
}
