package gotong

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EvErased is the type of the event that records an erasure. Every kind with
// content has it, see [WithErasure].
const EvErased = "content.erased"

// CmdErase is the name of the command [Erase].
const CmdErase = "content.erase"

// The limits of an [Erase].
const (
	MaxErased      = 100 // events
	MaxEraseReason = 500 // characters
)

// Erase removes the content of events for good, by order of a platform admin.
// Order, chain and data stay.
type Erase struct {
	Events []EventID
	Reason string
}

func (c Erase) Clean() any {
	c.Reason = strings.TrimFunc(c.Reason, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) })
	return c
}

func (c Erase) Validate(check *Check) {
	check.That(len(c.Events) > 0 && len(c.Events) <= MaxErased, "seqs", "must name 1 to 100 events, with those about them")
	n := utf8.RuneCountInString(c.Reason)
	check.That(n > 0 && n <= MaxEraseReason, "reason", "must have 1 to 500 characters")
}

// Erased is the data of content.erased: the event whose content was erased. It
// concerns that event, and has its audience. A kind whose documents hold content
// must remove that of the event in its Project, as a projection from zero would.
type Erased struct {
	Seq uint64 `json:"seq"`
}

// Why is the content of content.erased.
type Why struct {
	Reason string `json:"reason"`
}

// WithErasure returns the kind with the command [Erase] and its event: erasing
// means the same in every kind.
func WithErasure(k Kind) Kind {
	has := func(ok func(EventType) bool) bool { return slices.ContainsFunc(k.Events, ok) }
	if !has(func(t EventType) bool { return t.Content != nil }) || has(func(t EventType) bool { return t.Name == EvErased }) {
		return k
	}
	needs, decide, about, amends := k.Needs, k.Decide, k.About, k.Amends
	k.Events = append(slices.Clone(k.Events), EventWith[Erased, Why](EvErased))
	k.Needs = func(s State, cmd Command) []Ref {
		refs := needs(s, cmd)
		if c, ok := cmd.Data.(Erase); ok {
			refs = slices.Clone(refs)
			for _, id := range c.Events {
				refs = append(refs, Ref{Stream: cmd.Stream, Event: id})
			}
		}
		return refs
	}
	k.Decide = func(s State, cmd Command) (Decision, error) {
		if c, ok := cmd.Data.(Erase); ok {
			return erase(s, cmd, c)
		}
		return decide(s, cmd)
	}
	k.About = func(e Event) []uint64 {
		if d, ok := e.Data.(Erased); ok {
			return []uint64{d.Seq}
		}
		if about == nil {
			return nil
		}
		return about(e)
	}
	if amends != nil || k.Overlays == "" {
		k.Amends = func(e Event) bool { return e.Type == EvErased || amends != nil && amends(e) }
	}
	return k
}

// erase accepts with one fact for each event that has content. The facts are
// apart because the events may have different audiences.
func erase(s State, cmd Command, c Erase) (Decision, error) {
	if !cmd.Actor.Role.IsAdmin() {
		return Reject(CodeForbidden, "Only platform admins can erase content.")
	}
	var d Decision
	var seen []EventID
	for _, id := range c.Events {
		e, ok := s.Event(id)
		switch {
		case !ok:
			return Reject(CodeNotFound, "The stream has no such event.")
		case e.Content == nil || slices.Contains(seen, id): // erased before, or never there
			continue
		}
		seen = append(seen, id)
		d.Facts = append(d.Facts, Fact{
			Type: EvErased, Audience: e.Audience, Data: Erased{e.Seq}, Content: Why{c.Reason}, Erases: []uint64{e.Seq},
		})
	}
	return d, nil
}
