package gotong

import (
	"cmp"
	"math"
	"slices"
)

// Viewer is a user who looks at a stream, with the role of their login.
type Viewer struct {
	UserID string
	Role   Role
}

// Grant is what a kind's rules grant one viewer: whether the stream may be read
// now, the roles held in it, and the visible spans in terms of events.
type Grant struct {
	Readable bool
	Roles    []string
	Spans    []Span
	Within   [][]Span // of the spans, only what also lies in a span of each of these lists is visible

	// SilentUntil is the time until which the viewer may send no signal; 0 is none.
	SilentUntil Instant
}

// Span is a part of the log between two events of Stream, which is the stream
// itself or one of the same partition: from the event From on, before the event
// To. From 0 is the beginning, To 0 is open.
type Span struct {
	Stream   Stream
	From, To uint64
}

// Affected names the users whose access an event may have changed.
type Affected struct {
	Everyone bool
	Users    []string
}

// Interval is a part of a stream: From <= seq < To; To 0 is open.
type Interval struct{ From, To uint64 }

// Access is a Grant whose spans were turned into seqs of the stream that is
// read.
type Access struct {
	Viewer   Viewer
	Readable bool
	Roles    []string
	Visible  []Interval // in order; no two overlap or touch, and none is empty

	SilentUntil Instant // no signal before it
}

// All returns the spans of all the lists of the grant.
func (g Grant) All() []Span {
	if len(g.Within) == 0 {
		return g.Spans
	}
	return slices.Concat(g.Spans, slices.Concat(g.Within...))
}

// Resolve turns a grant into access. For an event that begins or ends a span,
// first returns the seq of the first event of the stream that was committed
// with it or after it, or 0 if there is none. A span whose end is not found
// shows nothing, because To 0 would leave it open.
func Resolve(viewer Viewer, g Grant, first func(Stream, uint64) uint64) Access {
	a := Access{Viewer: viewer, Readable: g.Readable, Roles: g.Roles, SilentUntil: g.SilentUntil}
	a.Visible = intervals(g.Spans, first)
	for _, list := range g.Within {
		a.Visible = common(a.Visible, intervals(list, first))
	}
	return a
}

func intervals(spans []Span, first func(Stream, uint64) uint64) []Interval {
	var list []Interval
	for _, s := range spans {
		var v Interval
		if s.From > 0 {
			v.From = first(s.Stream, s.From)
		}
		if s.To > 0 {
			v.To = first(s.Stream, s.To)
		}
		if (s.From > 0) == (v.From > 0) && (s.To > 0) == (v.To > 0) {
			list = append(list, v)
		}
	}
	return merged(list)
}

// common returns the seqs that lie in both lists, each of which [merged] returned.
func common(a, b []Interval) []Interval {
	var list []Interval
	for i, j := 0, 0; i < len(a) && j < len(b); {
		v := Interval{From: max(a[i].From, b[j].From), To: a[i].To}
		if b[j].end() < a[i].end() {
			v.To = b[j].To
			j++
		} else {
			i++
		}
		if v.From < v.end() {
			list = append(list, v)
		}
	}
	return list
}

// merged returns the same seqs in as few intervals as possible, in order. For a
// member who joined and left often, few remain, however long the history is.
func merged(list []Interval) []Interval {
	slices.SortFunc(list, func(a, b Interval) int { return cmp.Compare(a.From, b.From) })
	kept := list[:0]
	for _, v := range list {
		last := len(kept) - 1
		switch {
		case v.end() <= v.From: // there is no event in between
		case last < 0 || kept[last].end() < v.From:
			kept = append(kept, v)
		case kept[last].end() < v.end():
			kept[last].To = v.To
		}
	}
	return kept
}

// end returns the first seq beyond the interval.
func (v Interval) end() uint64 {
	if v.To == 0 {
		return math.MaxUint64
	}
	return v.To
}

// Sees decides visibility, everywhere: live, catch-up, history, search, feed,
// notifications, webhooks, attachments, and the targets of commands. A viewer
// sees an event if they may read the stream now, belong to the event's
// audience, and the event and all events that it concerns ([Kind.About]) lie in
// their intervals (contract D12).
func (a Access) Sees(seq uint64, audience Audience, about ...uint64) bool {
	if !a.Readable || !a.in(audience) || !a.covers(seq) {
		return false
	}
	for _, other := range about {
		if !a.covers(other) {
			return false
		}
	}
	return true
}

func (a Access) covers(seq uint64) bool { return a.coversAll(seq, seq) }

// coversAll reports whether one interval, the last that does not begin after
// first, holds all of [first, last].
func (a Access) coversAll(first, last uint64) bool {
	i, begins := slices.BinarySearchFunc(a.Visible, first, func(v Interval, seq uint64) int {
		return cmp.Compare(v.From, seq)
	})
	if !begins {
		i--
	}
	return i >= 0 && (a.Visible[i].To == 0 || last < a.Visible[i].To)
}

// SeesAll reports whether every event with a seq in [first, last] that has no
// restricted audience, and that concerns only events of that range, is visible.
// One encoding then serves all such viewers.
func (a Access) SeesAll(first, last uint64) bool { return a.Readable && a.coversAll(first, last) }

func (a Access) in(audience Audience) bool {
	if audience == "" || audience == ForUser(a.Viewer.UserID) {
		return true
	}
	return slices.ContainsFunc(a.Roles, func(r string) bool { return audience == ForRole(r) })
}
