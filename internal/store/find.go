package store

import (
	"context"
	"errors"
	"fmt"

	"gotong.dev/gotong"
)

// FindEvent returns the event of a stream with this id, up to seq head, and
// whether there is one. It needs no index: ids sort as seqs do, and the instant
// in the id tells about where the event lies. In a stream of a million events it
// takes one to three reads where these come at an even or a daily pace, and four
// where the pace jumps.
func FindEvent(
	ctx context.Context, from Loader, stream gotong.Stream, id gotong.EventID, head uint64,
) (Event, bool, error) {
	s := search{stream: stream, id: id, low: 1, high: head}
	for s.low <= s.high {
		snap, err := from.Load(ctx, Need{Events: s.ranges()})
		if errors.Is(err, ErrCorrupt) {
			return findBeside(ctx, from, stream, id, head)
		}
		if err != nil {
			return Event{}, false, err
		}
		low, high := s.low, s.high
		for _, rows := range snap.Events {
			if e, ok := s.narrow(rows); ok {
				return e, true, nil
			}
		}
		if s.low == low && s.high == high { // nor would the next read find anything
			return Event{}, false, fmt.Errorf("%w: %s ends before event %d", ErrCorrupt, stream, low)
		}
	}
	return Event{}, false, nil
}

// findBeside finds an event by halving, past those that are damaged.
func findBeside(
	ctx context.Context, from Loader, stream gotong.Stream, id gotong.EventID, head uint64,
) (Event, bool, error) {
	before, row, err := boundary(ctx, from, stream, head, func(e *Event) bool { return e.ID.Compare(id) >= 0 })
	switch {
	case err != nil:
		return Event{}, false, err
	case row.Seq > 0 && row.ID == id:
		return row, true, nil
	case row.Seq != before+1 && (row.Seq > 0 || before < head):
		return Event{}, false, fmt.Errorf("%w: in %s, what follows event %d may be it", ErrCorrupt, stream, before)
	default:
		return Event{}, false, nil
	}
}

// search is a search for an event that, if it exists, has a seq in [low, high].
type search struct {
	stream    gotong.Stream
	id        gotong.EventID
	low, high uint64

	// The events just outside of [low, high], as far as they were seen.
	before, after landmark
}

// landmark is the seq and the instant of an event; seq 0: of none.
type landmark struct {
	seq uint64
	at  gotong.Instant
}

const (
	findWhole  = 256 // so many events are read whole
	findWindow = 32  // events read at the end, and around a guess
	findStep   = 2   // by so much the steps away from a guess grow
	findParts  = 12  // in how many parts a read cuts the stretch at least
)

// ranges is what to read next: a window around the guess, and single events ever
// farther from it; and events that cut the stretch into even parts, so that no
// guess is so bad that a read does not narrow the search.
func (s *search) ranges() []EventRange {
	var list []EventRange
	read := func(first, last uint64) {
		first, last = max(first, s.low), min(last, s.high)
		if first <= last {
			list = append(list, EventRange{Stream: s.stream, From: first - 1, To: last})
		}
	}
	if s.high-s.low < findWhole {
		read(s.low, s.high)
		return list
	}
	for part := range uint64(findParts) {
		at := s.low + (s.high-s.low)/findParts*part
		read(at, at)
	}
	if s.after.seq == 0 { // no instants to guess from; and most look for what is new
		read(s.high-findWindow+1, s.high)
		return list
	}
	guess := s.guess()
	read(guess-min(guess, findWindow/2), guess+findWindow/2)
	for step := uint64(findWindow); step < s.high-s.low; step *= findStep {
		if guess > step {
			read(guess-step, guess-step)
		}
		read(guess+step, guess+step)
	}
	return list
}

// guess is the seq that the event would have if those between the two known
// ones had come at an even pace.
func (s *search) guess() uint64 {
	span, part := float64(s.after.at-s.before.at), float64(s.id.At()-s.before.at)
	if span <= 0 || part <= 0 {
		return s.low
	}
	guess := float64(s.before.seq) + part/span*float64(s.after.seq-s.before.seq)
	return min(max(uint64(guess), s.low), s.high)
}

// narrow takes rows of the stream into account; it returns the event where it
// is one of them.
func (s *search) narrow(rows []Event) (Event, bool) {
	for i := range rows {
		e := &rows[i]
		switch order := e.ID.Compare(s.id); {
		case order == 0:
			return *e, true
		case order < 0 && e.Seq >= s.low:
			s.low, s.before = e.Seq+1, landmark{e.Seq, e.At}
		case order > 0 && e.Seq <= s.high:
			s.high, s.after = e.Seq-1, landmark{e.Seq, e.At}
		}
	}
	return Event{}, false
}
