package gotong

import "slices"

// Reader is who wants to see.
type Reader struct {
	UserID string
	Role   Role
}

// Grant is what a kind's rules give one reader: whether the stream may be read
// now, the roles held in it, and the visible stretches in terms of events.
type Grant struct {
	Readable bool
	Roles    []string
	Spans    []Span

	// SilentUntil is until when the reader may send no signal; 0 where he may.
	SilentUntil Instant
}

// Span is a stretch of the log between two events of Stream, which is the
// stream itself or one of the same partition: from the event From on, before
// the event To. From 0 is the beginning, To 0 is open.
type Span struct {
	Stream   Stream
	From, To uint64
}

// Affected names whose access an event may have changed.
type Affected struct {
	Everyone bool
	Users    []string
}

// Interval is a stretch of a stream: From <= seq < To; To 0 is open.
type Interval struct{ From, To uint64 }

// Access is a Grant with its spans turned into seqs of the stream being read.
type Access struct {
	Reader   Reader
	Readable bool
	Roles    []string
	Visible  []Interval

	SilentUntil Instant // no signal before it
}

// Resolve turns a grant into access. first gives, for an event that begins or
// ends a span, the seq of the first event of the stream being read that was
// committed with it or after it; 0 where there is no such event. A span with an
// end that cannot be found shows nothing: 0 would leave it open.
func Resolve(reader Reader, g Grant, first func(Stream, uint64) uint64) Access {
	a := Access{Reader: reader, Readable: g.Readable, Roles: g.Roles, SilentUntil: g.SilentUntil}
	for _, s := range g.Spans {
		var v Interval
		if s.From > 0 {
			v.From = first(s.Stream, s.From)
		}
		if s.To > 0 {
			v.To = first(s.Stream, s.To)
		}
		if (s.From > 0) == (v.From > 0) && (s.To > 0) == (v.To > 0) {
			a.Visible = append(a.Visible, v)
		}
	}
	return a
}

// Sees decides visibility, everywhere: live, catch-up, history, search, feed,
// notifications, webhooks, attachments, and the targets of commands. A reader
// sees an event if they may read the stream now, belong to the event's
// audience, and the event and all those that it is about ([Kind.About]) lie in
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

// coversAll reports whether one interval holds all of [first, last].
func (a Access) coversAll(first, last uint64) bool {
	for _, v := range a.Visible {
		if v.From <= first && (v.To == 0 || last < v.To) {
			return true
		}
	}
	return false
}

// SeesAll reports whether every event of an audience of all with a seq in
// [first, last], and about events of that range alone, is visible, so that one
// encoding serves all such readers.
func (a Access) SeesAll(first, last uint64) bool { return a.Readable && a.coversAll(first, last) }

func (a Access) in(audience Audience) bool {
	if audience == "" || audience == ForUser(a.Reader.UserID) {
		return true
	}
	return slices.ContainsFunc(a.Roles, func(r string) bool { return audience == ForRole(r) })
}
