package store

import (
	"context"
	"errors"
	"fmt"

	"gotong.dev/gotong"
)

// FindEvent returns the event of a stream with this id, up to seq head, and
// whether there is one. It needs no index: ids sort as seqs do, and the instant
// in the id shows roughly where the event lies. In a stream of a million events
// it needs one to three reads if these came at an even or a daily pace, and four
// if the pace jumps.
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
		if s.low == low && s.high == high { // the next read would find nothing either
			return Event{}, false, fmt.Errorf("%w: %s ends before event %d", ErrCorrupt, stream, low)
		}
	}
	return Event{}, false, nil
}

// findBeside finds an event by halving, and skips those that are damaged.
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
		return Event{}, false, fmt.Errorf("%w: %s is damaged after event %d, where the event may be", ErrCorrupt, stream, before)
	default:
		return Event{}, false, nil
	}
}

// search is a search for an event that, if it exists, has a seq in [low, high].
type search struct {
	stream    gotong.Stream
	id        gotong.EventID
	low, high uint64

	// The events next to [low, high], if they were read.
	before, after landmark
}

// landmark is the seq and the instant of an event; seq is 0 if there is none.
type landmark struct {
	seq uint64
	at  gotong.Instant
}

const (
	findWhole  = 256 // a range of at most so many events is read whole
	findWindow = 32  // events read at the end, and around a guess
	findStep   = 2   // the factor between the distances from a guess
	findParts  = 12  // the least number of parts into which a read divides the range
)

// ranges returns what to read next: a window around the guess; single events ever
// farther from it; and events that divide the range into even parts, so that a
// read narrows the search however bad the guess is.
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
	if s.after.seq == 0 { // there are no instants to guess from, and most searches are for new events
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

// guess returns the seq that the event would have if the events between the two
// known ones had come at an even pace.
func (s *search) guess() uint64 {
	span, part := float64(s.after.at-s.before.at), float64(s.id.At()-s.before.at)
	if span <= 0 || part <= 0 {
		return s.low
	}
	guess := float64(s.before.seq) + part/span*float64(s.after.seq-s.before.seq)
	return min(max(uint64(guess), s.low), s.high)
}

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
