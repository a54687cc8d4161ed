package store

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"gotong.dev/gotong"
)

// Places finds where in a stream the stretches of grants begin and end: at the
// first event that was committed with or after one of the stream itself, or of
// another stream of its partition. It keeps what it found, for that never
// moves. The zero Places is ready to use.
type Places struct {
	mu    sync.Mutex
	known map[place]uint64
}

// place asks for the first event of stream that was committed with the event seq
// of other, or after it.
type place struct {
	stream, other gotong.Stream
	seq           uint64
}

const (
	maxPlaces  = 1 << 16
	placesRead = 200 // events looked up in one Load
)

// Resolve is the access to a stream that grants give these readers. It reads
// only where a stretch begins or ends with an event that was not asked for
// before, and perhaps later than the documents that the grants are from: what
// it finds is the same at any time.
func (p *Places) Resolve(
	ctx context.Context, from Committer, stream gotong.Stream, readers []gotong.Viewer, grants []gotong.Grant,
) ([]gotong.Access, error) {
	found, err := p.find(ctx, from, stream, grants)
	if err != nil {
		return nil, err
	}
	list := make([]gotong.Access, len(grants))
	for i, g := range grants {
		list[i] = gotong.Resolve(readers[i], g, func(other gotong.Stream, seq uint64) uint64 {
			return found[place{stream, other, seq}]
		})
	}
	return list, nil
}

func (p *Places) find(
	ctx context.Context, from Committer, stream gotong.Stream, grants []gotong.Grant,
) (map[place]uint64, error) {
	found := map[place]uint64{}
	var unknown []place
	p.mu.Lock()
	for _, g := range grants {
		for _, s := range g.Spans {
			for _, seq := range [...]uint64{s.From, s.To} {
				at := place{stream, s.Stream, seq}
				if _, ok := found[at]; ok || seq == 0 {
					continue
				}
				first, ok := p.known[at]
				if found[at] = first; !ok {
					unknown = append(unknown, at)
				}
			}
		}
	}
	p.mu.Unlock()
	for part := range slices.Chunk(unknown, placesRead) {
		if err := searchPlaces(ctx, from, stream, part, found); err != nil {
			return nil, err
		}
	}
	p.keep(unknown, found)
	return found, nil
}

func (p *Places) keep(places []place, found map[place]uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known)+len(places) > maxPlaces {
		p.known = map[place]uint64{}
	}
	for _, at := range places {
		p.known[at] = found[at]
	}
}

// halving is a search under way: the first event at or beyond a position has a
// seq in [low, high].
type halving struct{ position, low, high uint64 }

func (s *halving) mid() uint64 { return s.low + (s.high-s.low)/2 }

// newHalving begins a search. rows are the event of the place, and the one
// before it: where that is of another commit of the same stream, nothing is
// left to be searched.
func newHalving(at place, rows []Event, head uint64) halving {
	last := len(rows) - 1
	s := halving{rows[last].Position, 1, head + 1}
	switch {
	case at.other != at.stream:
	case last > 0 && rows[0].Position == s.position:
		s.high = rows[0].Seq
	default:
		s.low, s.high = at.seq, at.seq
	}
	return s
}

// searchPlaces looks for some places together, one Load for each halving. The
// head is read with the events, so that what comes after it comes after them.
func searchPlaces(
	ctx context.Context, from Committer, stream gotong.Stream, places []place, found map[place]uint64,
) error {
	need := Need{Heads: []gotong.Stream{stream}}
	for _, at := range places {
		need.Events = append(need.Events, EventRange{Stream: at.other, From: max(at.seq, 2) - 2, To: at.seq})
	}
	snap, err := from.Load(ctx, need)
	if err != nil {
		return err
	}
	searches := make([]halving, len(places))
	for i, at := range places {
		rows := snap.Events[i]
		if len(rows) == 0 || rows[len(rows)-1].Seq != at.seq {
			return fmt.Errorf("store: %s has no event %d: %w", at.other, at.seq, ErrCorrupt)
		}
		searches[i] = newHalving(at, rows, snap.Heads[stream].Seq)
	}
	positions := map[uint64]uint64{} // by seq
	for more := true; more; {
		if more, err = halve(ctx, from, stream, searches, positions); err != nil {
			return err
		}
	}
	for i, at := range places {
		found[at] = searches[i].low
	}
	return nil
}

// halve takes every search one step further; false where all are done.
func halve(
	ctx context.Context, from Committer, stream gotong.Stream, searches []halving, positions map[uint64]uint64,
) (bool, error) {
	var need Need
	for _, s := range searches {
		mid := s.mid()
		if _, ok := positions[mid]; s.low < s.high && !ok {
			positions[mid] = 0
			need.Events = append(need.Events, EventRange{Stream: stream, From: mid - 1, To: mid})
		}
	}
	if len(need.Events) > 0 {
		snap, err := from.Load(ctx, need)
		if err != nil {
			return false, err
		}
		for i, r := range need.Events {
			if len(snap.Events[i]) != 1 {
				return false, fmt.Errorf("store: %s has no event %d: %w", stream, r.To, ErrCorrupt)
			}
			positions[r.To] = snap.Events[i][0].Position
		}
	}
	more := false
	for i := range searches {
		s := &searches[i]
		if s.low == s.high {
			continue
		}
		if mid := s.mid(); positions[mid] >= s.position {
			s.high = mid
		} else {
			s.low = mid + 1
		}
		more = more || s.low < s.high
	}
	return more, nil
}
