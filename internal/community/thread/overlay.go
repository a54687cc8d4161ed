package thread

import (
	"maps"
	"slices"

	"gotong.dev/gotong"
)

// Overlay is the document of what later events made of an event. It exists for
// messages that were edited, deleted or reacted to, and for edits that a later
// edit or a deletion made void.
type Overlay struct {
	MessageID  gotong.EventID      `json:"message_id"`
	N          uint64              `json:"n,omitempty"`        // the message's ordinal
	Revision   uint64              `json:"revision,omitempty"` // 0: as posted
	Body       string              `json:"body,omitempty"`     // the newest, where edited
	EditSeq    uint64              `json:"edit_seq,omitempty"` // the event that holds the newest text
	EditedAt   gotong.Instant      `json:"edited_at,omitempty"`
	DeletedAt  gotong.Instant      `json:"deleted_at,omitempty"`
	Superseded bool                `json:"superseded,omitempty"` // an edit that is void
	Reactions  map[string][]string `json:"reactions,omitempty"`  // emoji → user ids in order
}

// Deleted reports whether the message was taken back.
func (o Overlay) Deleted() bool { return o.DeletedAt != 0 }

func (o Overlay) reacted(emoji, userID string) bool {
	return slices.Contains(o.Reactions[emoji], userID)
}

func (o Overlay) reactions() int {
	n := 0
	for _, users := range o.Reactions {
		n += len(users)
	}
	return n
}

// react is the overlay after a reaction; the old one stays as it was.
func (o Overlay) react(emoji, userID string, on bool) Overlay {
	all := make(map[string][]string, len(o.Reactions)+1)
	maps.Copy(all, o.Reactions)
	users := slices.DeleteFunc(slices.Clone(all[emoji]), func(id string) bool { return id == userID })
	if on {
		users = append(users, userID)
	}
	all[emoji] = users
	if len(users) == 0 {
		delete(all, emoji)
	}
	if o.Reactions = all; len(all) == 0 {
		o.Reactions = nil
	}
	return o
}

// empty reports whether nothing is left to be laid over the message.
func (o Overlay) empty() bool { return o.Revision == 0 && len(o.Reactions) == 0 && !o.Superseded }

// overlay is the event as a reader gets it: a message with its newest text,
// its revision and its reactions; a deleted one without text; an edit that is
// void without text.
func overlay(e gotong.Event, doc any) gotong.Event {
	o, ok := doc.(Overlay)
	if !ok {
		return e
	}
	if o.Superseded {
		e.Content = nil
		return e
	}
	posted, ok := e.Data.(Posted)
	if !ok {
		return e
	}
	posted.Later = Later{Revision: o.Revision, Reactions: o.Reactions}
	text, has := e.Content.(Text)
	switch {
	case o.Deleted():
		posted.DeletedAtMS, posted.Reactions = o.DeletedAt.Milli(), nil
		e.Content = nil
	case o.Revision > 0:
		posted.EditedAtMS = o.EditedAt.Milli()
		if text.Body = o.Body; has || o.Body != "" {
			e.Content = text
		}
	}
	e.Data = posted
	return e
}

// amends: only what is done to a message changes how it is shown.
func amends(e gotong.Event) bool {
	return e.Type == EvEdited || e.Type == EvDeleted || e.Type == EvReacted
}
