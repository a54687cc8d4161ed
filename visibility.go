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

// Interval is a stretch of positions: From <= position < To; To 0 is open.
type Interval struct{ From, To uint64 }

// Access is a Grant with its spans turned into positions.
type Access struct {
	Reader   Reader
	Readable bool
	Roles    []string
	Visible  []Interval

	SilentUntil Instant // no signal before it
}

// Resolve turns a grant into access; position gives the position of an event,
// 0 where it has none. A span with an end that has no position shows nothing:
// 0 would leave it open.
func Resolve(reader Reader, g Grant, position func(Stream, uint64) uint64) Access {
	a := Access{Reader: reader, Readable: g.Readable, Roles: g.Roles, SilentUntil: g.SilentUntil}
	for _, s := range g.Spans {
		var v Interval
		if s.From > 0 {
			v.From = position(s.Stream, s.From)
		}
		if s.To > 0 {
			v.To = position(s.Stream, s.To)
		}
		if (s.From > 0) == (v.From > 0) && (s.To > 0) == (v.To > 0) {
			a.Visible = append(a.Visible, v)
		}
	}
	return a
}

// Sees decides visibility, everywhere: live, catch-up, history, search, feed,
// notifications, webhooks, attachments. A reader sees an event if he may read
// the stream now, belongs to the event's audience, and its position lies in
// one of his intervals (contract D12).
func (a Access) Sees(position uint64, audience Audience) bool {
	return a.Readable && a.in(audience) && slices.ContainsFunc(a.Visible, func(v Interval) bool {
		return v.From <= position && (v.To == 0 || position < v.To)
	})
}

// SeesAll reports whether every event of an audience of all at a position in
// [from, to] is visible, so that one encoding serves all such readers.
func (a Access) SeesAll(from, to uint64) bool {
	return a.Readable && slices.ContainsFunc(a.Visible, func(v Interval) bool {
		return v.From <= from && (v.To == 0 || to < v.To)
	})
}

func (a Access) in(audience Audience) bool {
	if audience == "" || audience == ForUser(a.Reader.UserID) {
		return true
	}
	return slices.ContainsFunc(a.Roles, func(r string) bool { return audience == ForRole(r) })
}
