package thread

import (
	"maps"
	"slices"

	"gotong.dev/gotong"
)

// Overlay is the document of what later events made of an event: it names those
// events and holds none of their text. Messages that were edited, deleted or
// reacted to have one, and so do edits that a later edit or a deletion replaced.
type Overlay struct {
	MessageID  gotong.EventID        `json:"message_id,omitzero"`
	N          uint64                `json:"n,omitempty"`        // the message's ordinal
	Revision   uint64                `json:"revision,omitempty"` // 0: as posted
	EditSeq    uint64                `json:"edit_seq,omitempty"` // the event that holds the newest text
	EditedAt   gotong.Instant        `json:"edited_at,omitempty"`
	DeletedAt  gotong.Instant        `json:"deleted_at,omitempty"`
	Superseded bool                  `json:"superseded,omitempty"` // an edit that was replaced, or is held with its message
	Advice     uint64                `json:"advice,omitempty"`     // the event with advice on the message
	Held       uint64                `json:"held,omitempty"`       // the event that holds or rejects the message
	Rejected   bool                  `json:"rejected,omitempty"`
	Warning    string                `json:"warning,omitempty"`   // the label that it is shown with
	Moderated  bool                  `json:"moderated,omitempty"` // it has documents of moderation
	Reactions  map[string][]Reaction `json:"reactions,omitempty"` // by emoji, in order
	Pinned     uint64                `json:"pinned,omitempty"`    // the event that pinned the message
}

// Reaction is one user's reaction and its event.
type Reaction struct {
	UserID string `json:"user_id"`
	Seq    uint64 `json:"seq"`
}

// Deleted reports whether the message was deleted.
func (o Overlay) Deleted() bool { return o.DeletedAt != 0 }

func (o Overlay) reacted(emoji, userID string) bool {
	return slices.ContainsFunc(o.Reactions[emoji], func(r Reaction) bool { return r.UserID == userID })
}

func (o Overlay) reactions() int {
	n := 0
	for _, list := range o.Reactions {
		n += len(list)
	}
	return n
}

// react returns the overlay after the event of a reaction; o does not change.
func (o Overlay) react(e gotong.Event, emoji string, on bool) Overlay {
	userID := e.Actor.UserID
	all := make(map[string][]Reaction, len(o.Reactions)+1)
	maps.Copy(all, o.Reactions)
	list := slices.DeleteFunc(slices.Clone(all[emoji]), func(r Reaction) bool { return r.UserID == userID })
	if on {
		list = append(list, Reaction{userID, e.Seq})
	}
	all[emoji] = list
	if len(list) == 0 {
		delete(all, emoji)
	}
	if o.Reactions = all; len(all) == 0 {
		o.Reactions = nil
	}
	return o
}

// empty reports whether the message is as it was posted.
func (o Overlay) empty() bool {
	return o.Revision == 0 && len(o.Reactions) == 0 && o.Pinned == 0 && !o.Superseded && !o.Moderated
}

// seen returns the users whose reactions a viewer sees, by emoji.
func (o Overlay) seen(sees func(seq uint64) bool) map[string][]string {
	var seen map[string][]string
	for emoji, list := range o.Reactions {
		for _, r := range list {
			if !sees(r.Seq) {
				continue
			}
			if seen == nil {
				seen = map[string][]string{}
			}
			seen[emoji] = append(seen[emoji], r.UserID)
		}
	}
	return seen
}

// about returns the message that an edit, a deletion, a reaction or a pin changes. A reply
// is not about a message: it names an opaque id, and quotes nothing.
func about(e gotong.Event) []uint64 {
	switch d := e.Data.(type) {
	case Edited:
		return []uint64{d.TargetSeq}
	case Deleted:
		return []uint64{d.TargetSeq}
	case Reacted:
		return []uint64{d.TargetSeq}
	case Pinned:
		return []uint64{d.TargetSeq}
	case Unpinned:
		return []uint64{d.TargetSeq}
	case Advised:
		return []uint64{d.TargetSeq}
	case Held:
		return []uint64{d.TargetSeq}
	case Released:
		return []uint64{d.TargetSeq}
	case Blocked:
		return []uint64{d.TargetSeq}
	case Decided:
		return []uint64{d.TargetSeq}
	case Appealed:
		return []uint64{d.TargetSeq}
	case Opened:
		return []uint64{d.TargetSeq}
	case Reported:
		return []uint64{d.TargetSeq}
	default:
		return nil
	}
}

// laid returns the events of an edit, of reactions and of a pin. All viewers see a deletion,
// and an edit that was replaced, in the same way; so do all but the author a hold.
func laid(doc any) gotong.Laid {
	o, ok := doc.(Overlay)
	if !ok || o.Superseded || o.Deleted() {
		return gotong.Laid{}
	}
	l := gotong.Laid{First: o.EditSeq, Last: o.EditSeq, Text: o.EditSeq, Own: o.Held != 0}
	if l.Own {
		return l
	}
	add := func(seq uint64) {
		if l.Last = max(l.Last, seq); l.First == 0 || seq < l.First {
			l.First = seq
		}
	}
	for _, list := range o.Reactions {
		for _, r := range list {
			add(r.Seq)
		}
	}
	if o.Pinned != 0 {
		add(o.Pinned)
	}
	return l
}

// overlay returns the event as a viewer gets it: a message with its newest text,
// its revision and the reactions that they see; a deleted message, or an edit that
// was replaced, without text, and so a held message, unless they are its author. A
// newest text that they may not see is withheld, and so is the older one, which its
// author withdrew. What has no text shows no mentions.
func overlay(e gotong.Event, doc any, later gotong.Later) gotong.Event {
	o, _ := doc.(Overlay)
	if o.Superseded {
		e.Content = nil
	}
	switch d := e.Data.(type) {
	case Edited:
		if e.Content == nil {
			d.Mentions, d.Lender = nil, ""
			e.Data = d
		}
	case Posted:
		e = o.over(e, d, later)
	}
	return e
}

// over returns a message with what later events made of it.
func (o Overlay) over(e gotong.Event, posted Posted, later gotong.Later) gotong.Event {
	posted.Later = Later{Revision: o.Revision, Held: o.Held != 0, Rejected: o.Rejected, Warning: o.Warning}
	switch {
	case o.Deleted():
		posted.DeletedAtMS = o.DeletedAt.Milli()
		e.Content = nil
	case o.Held != 0 && !later.Own:
		e.Content = nil
	case o.EditSeq > 0 && later.Text == nil:
		posted.Withheld = true
		e.Content = nil
	case o.EditSeq > 0:
		posted.EditedAtMS = o.EditedAt.Milli()
		e.Content = edition(e.Content, later.Text.Content)
		newest, _ := later.Text.Data.(Edited)
		posted.Mentions = newest.Mentions
		if !posted.Siaga {
			posted.Lender = newest.Lender
		}
	}
	if e.Content == nil {
		if posted.Mentions = nil; !posted.Siaga {
			posted.Lender = ""
		}
	}
	if e.Content == nil {
		posted.Uploads = nil
	}
	if !o.Deleted() && o.Held == 0 {
		posted.Reactions = o.seen(later.Sees)
		posted.Pinned = o.Pinned != 0 && later.Sees(o.Pinned)
	}
	e.Data = posted
	return e
}

// edition returns a message's content with the text of an edit; nil if that was
// erased.
func edition(posted, edit any) any {
	newest, ok := edit.(NewText)
	if !ok {
		return nil
	}
	text, _ := posted.(Text)
	text.Body = newest.Body
	return text
}

// amends reports whether the event changes how an earlier message is shown.
func amends(e gotong.Event) bool {
	switch e.Type {
	case EvEdited, EvDeleted, EvReacted, EvPinned, EvUnpinned, EvAdvised, EvHeld, EvReleased, EvBlocked, EvReported:
		return true
	}
	return false
}
