package live

import (
	"context"
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Query names what to read of one stream.
type Query struct {
	Stream gotong.Stream

	// The events with From < seq <= To that the reader may see, oldest first or
	// Descending; To 0 is the end. At most Limit of the log are looked at (500
	// at most, 0 reads none): Page says how far it came.
	From, To   uint64
	Descending bool
	Limit      int

	// More is read in the same snapshot. Its Documents and Ranges are not
	// filtered: name only what every reader of the stream may know, and show
	// nothing of its Events.
	More store.Need

	// MinSeq waits until the stream has this event: CodeNotYet after 5 s
	// (contract D21), CodeCursorAhead at once where it is far ahead, and
	// CodeRateLimited where too many reads of the user wait already. 0 waits
	// for nothing.
	MinSeq uint64
}

// Page is one authorised read.
type Page struct {
	Epoch  gotong.Epoch
	Head   gotong.Head   // of the stream in the snapshot: "as_of" is its Seq
	Access gotong.Access // what the reader may see
	State  gotong.State  // the documents that decided it
	Events []Event       // visible, overlaid, in the order asked for

	// From < seq <= To was looked at. Done says that nothing of the query is
	// left; else go on after To, or, Descending, up to From.
	From, To uint64
	Done     bool

	Snapshot store.Snapshot // Documents, Ranges and Heads of Query.More
}

// Event is one visible event, as a fresh read shows it.
type Event struct {
	gotong.Event
	Position uint64
	Chain    gotong.Hash
	Erased   bool
}

// Read is the authorised way to read for REST: access, events, documents and
// ranges of one stream in one snapshot, through the overlay of later edits, by
// the code that catch-up uses. A stream that is not there and one that the
// reader may not read are both CodeNotFound.
func (h *Hub) Read(ctx context.Context, reader gotong.Reader, q Query) (Page, error) {
	page, err := h.readOnce(ctx, reader, q)
	if err != nil || page.Head.Seq >= q.MinSeq {
		return page, err
	}
	return h.readLater(ctx, reader, q, page.Head)
}

func (h *Hub) readOnce(ctx context.Context, reader gotong.Reader, q Query) (Page, error) {
	page := span{
		from: q.From, to: q.To, descending: q.Descending,
		limit: min(max(q.Limit, 0), maxPageEvents), bytes: store.MaxReadBytes,
	}
	p, err := h.readPage(ctx, reader, q, page)
	for spoilt(err) && page.limit > 1 {
		page.limit /= 2 // what is before the event that spoils it is good
		p, err = h.readPage(ctx, reader, q, page)
	}
	if spoilt(err) {
		return Page{}, h.spoiltAt(ctx, reader, q, err)
	}
	return p, err
}

func (h *Hub) readPage(ctx context.Context, reader gotong.Reader, q Query, page span) (Page, error) {
	s, err := h.readStream(ctx, q.Stream, []gotong.Reader{reader}, page, q.More)
	if err != nil {
		return Page{}, err
	}
	access := s.grants[0].Access
	if !access.Readable {
		return Page{}, gotong.NotFound()
	}
	p := Page{
		Epoch: h.opt.Store.Epoch(), Head: s.state.Head, Access: access, State: s.state, Snapshot: s.store,
	}
	p.cover(q, s.rows)
	for i := range s.rows {
		r, err := s.reading(h, i)
		if err != nil {
			return Page{}, err
		}
		if row := r.row; access.Sees(row.Seq, row.Audience, r.about...) {
			e, gone := r.shown(s.kind, access.Sees)
			p.Events = append(p.Events, Event{e, row.Position, row.Chain, gone})
		}
	}
	return p, nil
}

// cover says how far the rows of the log came.
func (p *Page) cover(q Query, rows []store.Event) {
	end := p.Head.Seq
	if q.To > 0 {
		end = min(end, q.To)
	}
	p.From, p.To = min(q.From, end), end
	switch {
	case len(rows) == 0:
		p.Done = q.From >= end
		if q.Descending {
			p.From = end
		} else {
			p.To = p.From
		}
	case q.Descending:
		p.From = rows[len(rows)-1].Seq - 1
		p.Done = p.From <= q.From
	default:
		p.To = rows[len(rows)-1].Seq
		p.Done = p.To >= end
	}
}

// spoiltAt says to who may read the stream with which event a page would begin
// that cannot be served, so that they can ask for what lies beyond it.
func (h *Hub) spoiltAt(ctx context.Context, reader gotong.Reader, q Query, fault error) error {
	s, err := h.readStream(ctx, q.Stream, []gotong.Reader{reader}, span{}, store.Need{})
	switch {
	case errors.Is(err, store.ErrCorrupt):
		return corrupt() // it is what decides access
	case err != nil:
		return err
	case !s.grants[0].Readable:
		return gotong.NotFound()
	case q.Limit <= 0:
		return fault // it is what was asked for beside the events
	}
	seq := q.From + 1
	if q.Descending {
		seq = s.state.Head.Seq
		if q.To > 0 {
			seq = min(seq, q.To)
		}
	}
	code, what := gotong.CodeCorruptEvent, "is missing or does not match its commitment"
	if errors.Is(fault, store.ErrUnreadable) {
		code, what = gotong.CodeUnreadable, "is of a type or a shape that this version does not know"
	}
	return gotong.NewError(code, fmt.Sprintf("Event %d %s; what is after it and before it is served.", seq, what))
}

func corrupt() *gotong.Error {
	return gotong.NewError(gotong.CodeCorruptEvent, "An event is missing or does not match its commitment, so the server does not show it.")
}
