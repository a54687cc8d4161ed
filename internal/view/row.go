package view

import (
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Row is one event of a page, decoded, with what later events made of it.
type Row struct {
	Stored *store.Event
	Event  gotong.Event // as it was committed
	About  []uint64     // seqs of the events that it speaks of

	kind *gotong.Kind
	over *over // nil if no later event changed it, or the kind shows an erased one like any other
}

// over is what later events made of an event.
type over struct {
	overlay
	row   *store.Event // holds the newest content; nil if the event itself does
	text  gotong.Event
	about []uint64
}

// Row returns row i of the page, decoded.
func (s *Snapshot) Row(i int) (*Row, error) {
	row := &s.Rows[i]
	r := &Row{Stored: row, kind: s.kind}
	var err error
	if r.Event, err = s.codec.Event(row); err != nil {
		return nil, err
	}
	r.About = s.kind.AboutOf(r.Event)
	o, ok := s.overlays[row.Seq]
	if !ok && (!row.Erased || s.kind.Overlay == nil) {
		return r, nil
	}
	r.over = &over{overlay: o}
	if o.laid.Text == 0 {
		return r, nil
	}
	text := s.texts[o.laid.Text]
	if text == nil {
		return nil, fmt.Errorf("view: %s has no event %d: %w", row.Stream, o.laid.Text, store.ErrCorrupt)
	}
	r.over.row = text
	if r.over.text, err = s.codec.Event(text); err != nil {
		return nil, err
	}
	if r.over.about = s.kind.AboutOf(r.over.text); !slices.Contains(r.over.about, row.Seq) {
		return nil, fmt.Errorf("view: event %d of %s is not about %d: %w", text.Seq, row.Stream, row.Seq, store.ErrCorrupt)
	}
	return r, nil
}

// Sight reports whether a viewer sees an event, as [gotong.Access.Sees] does.
type Sight func(seq uint64, audience gotong.Audience, about ...uint64) bool

// All is the sight of a viewer who sees everything.
func All(uint64, gotong.Audience, ...uint64) bool { return true }

// Shown returns the event as a viewer sees it, and whether its content was
// erased. An empty userID is nobody's.
func (r *Row) Shown(sees Sight, userID string) (e gotong.Event, erased bool) {
	erased = r.Stored.Erased
	if r.over == nil {
		return r.Event, erased
	}
	later := gotong.Later{
		Sees: func(seq uint64) bool { return sees(seq, r.Stored.Audience, r.Stored.Seq) },
		Own:  userID != "" && r.Event.Actor.UserID == userID,
	}
	if text := r.over.row; text != nil {
		if erased = false; sees(text.Seq, text.Audience, r.over.about...) {
			later.Text, erased = &r.over.text, text.Erased
		}
	}
	return r.kind.Overlay(r.Event, r.over.doc, later), erased
}

// Newest returns the event with the newest text: the event itself, unless a later one
// replaced its text.
func (r *Row) Newest() *gotong.Event {
	if r.over != nil && r.over.row != nil {
		return &r.over.text
	}
	return &r.Event
}

// Overlaid reports whether later events changed what the event says.
func (r *Row) Overlaid() bool { return r.over != nil }

// Public reports whether the event and the newest text of it are for everyone
// who may read the stream, and the same for all of them.
func (r *Row) Public() bool {
	return r.Stored.Audience == "" && (r.over == nil || !r.over.laid.Own && (r.over.row == nil || r.over.row.Audience == ""))
}

// Extent returns the first and the last seq of the events whose effect the row
// shows: the event, those that it is about and those laid over it.
func (r *Row) Extent() (first, last uint64) {
	first, last = r.Stored.Seq, r.Stored.Seq
	for _, seq := range r.About {
		first, last = min(first, seq), max(last, seq)
	}
	if r.over != nil && r.over.laid.Last != 0 {
		first, last = min(first, r.over.laid.First), max(last, r.over.laid.Last)
	}
	return first, last
}

// Whole reports whether a viewer with this access sees all that is laid over
// the event, and no more than others do.
func (r *Row) Whole(a *gotong.Access) bool {
	switch {
	case r.over == nil:
		return true
	case r.over.laid.Own && a.Viewer.UserID == r.Event.Actor.UserID:
		return false
	case r.over.laid.Last == 0:
		return true
	}
	text := r.over.row
	return a.SeesAll(r.over.laid.First, r.over.laid.Last) && (text == nil || a.Sees(text.Seq, text.Audience, r.over.about...))
}
