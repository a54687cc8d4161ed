package view

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

	// The events with From < seq <= To that the viewer may see, oldest first or
	// Descending; To 0 is the end. The read looks at Limit events of the log, 500
	// at most (0 reads none); Page returns how far it came.
	From, To   uint64
	Descending bool
	Limit      int

	// More is read in the same snapshot. Its Documents and Ranges are not
	// filtered: name only what every viewer of the stream may know, and show
	// nothing of its Events.
	More store.Need

	// Read waits until the stream has the event MinSeq. It returns CodeNotYet
	// after 5 s (contract D21), CodeCursorAhead at once if the event is far
	// ahead, and CodeRateLimited if too many reads of the user wait already.
	MinSeq uint64
}

// Page is one authorised read.
type Page struct {
	Epoch  gotong.Epoch
	Head   gotong.Head   // of the stream in the snapshot: "as_of" is its Seq
	Access gotong.Access // what the viewer may see
	State  gotong.State  // the documents that decided it
	Events []Event       // visible, overlaid, in the order asked for

	// The page covers From < seq <= To. Done: nothing of the query is left; else
	// continue after To or, Descending, up to From.
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
	Overlaid bool // later events changed what it says
}

// Read returns what a viewer may see of one stream: access, events, documents
// and ranges in one snapshot, with later edits laid over the events. It returns
// CodeNotFound both for a stream that does not exist and for a stream that the
// viewer may not read.
func (v *Views) Read(ctx context.Context, viewer gotong.Viewer, q Query) (Page, error) {
	page, err := v.readOnce(ctx, viewer, q)
	if err != nil || page.Head.Seq >= q.MinSeq {
		return page, err
	}
	return v.readLater(ctx, viewer, q, page.Head)
}

func (v *Views) readOnce(ctx context.Context, viewer gotong.Viewer, q Query) (Page, error) {
	page := Span{
		From: q.From, To: q.To, Descending: q.Descending,
		Limit: min(max(q.Limit, 0), MaxPage), Bytes: store.MaxReadBytes,
	}
	p, err := v.readPage(ctx, viewer, q, page)
	for Spoilt(err) && page.Limit > 1 {
		page.Limit /= 2 // the events before the damaged one are good
		p, err = v.readPage(ctx, viewer, q, page)
	}
	if Spoilt(err) {
		return Page{}, v.spoiltAt(ctx, viewer, q, err)
	}
	return p, err
}

func (v *Views) readPage(ctx context.Context, viewer gotong.Viewer, q Query, page Span) (Page, error) {
	s, err := v.Load(ctx, q.Stream, []gotong.Viewer{viewer}, page, q.More, nil)
	if err != nil {
		return Page{}, err
	}
	access := s.Grants[0].Access
	if !access.Readable {
		return Page{}, gotong.NotFound()
	}
	p := Page{
		Epoch: v.opt.Store.Epoch(), Head: s.State.Head, Access: access, State: s.State, Snapshot: s.Store,
	}
	p.cover(q, s.Rows)
	for i := range s.Rows {
		r, err := s.Row(i)
		if err != nil {
			return Page{}, err
		}
		if row := r.Stored; access.Sees(row.Seq, row.Audience, r.About...) {
			e, erased := r.Shown(access.Sees, viewer.UserID)
			p.Events = append(p.Events, Event{e, row.Position, row.Chain, erased, r.Overlaid()})
		}
	}
	return p, nil
}

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

// spoiltAt returns an error that names the event that cannot be served and with
// which the page would begin, so that the viewer can ask for what lies beyond
// it. A viewer who may not read the stream gets CodeNotFound.
func (v *Views) spoiltAt(ctx context.Context, viewer gotong.Viewer, q Query, fault error) error {
	s, err := v.Load(ctx, q.Stream, []gotong.Viewer{viewer}, Span{}, store.Need{}, nil)
	switch {
	case errors.Is(err, store.ErrCorrupt):
		return gotong.NewError(gotong.CodeCorruptEvent, // one that decides access
			"An event is missing or does not match its commitment, so the server does not show it.")
	case err != nil:
		return err
	case !s.Grants[0].Readable:
		return gotong.NotFound()
	case q.Limit <= 0:
		return fault // not of an event, but of what More names
	}
	seq := q.From + 1
	if q.Descending {
		seq = s.State.Head.Seq
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
