package store

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"gotong.dev/gotong"
)

// Places finds where in a stream the spans of grants begin and end: at the first
// event that was committed with or after a given event of the same stream, or of
// another stream of its partition. It keeps its results, because they never
// change. The zero Places is ready to use.
type Places struct {
	mu    sync.Mutex
	known map[Place]Spot
}

// Place names the first event of Stream that was committed with the event Seq of
// Other, or after it. Both streams are of one partition.
type Place struct {
	Stream, Other gotong.Stream
	Seq           uint64
}

// Spot answers a [Place]: the seq of that event, and the stream's count before it.
type Spot struct{ Seq, Count uint64 }

const (
	maxPlaces  = 1 << 16
	placesRead = 200 // events looked up in one Load
)

// Resolve returns the access to a stream that grants give these viewers. It reads
// only for a span that begins or ends with an event that it has not looked up
// before. It may read later than the documents with the grants were read, because
// what it finds is the same at any time.
func (p *Places) Resolve(
	ctx context.Context, from Loader, stream gotong.Stream, viewers []gotong.Viewer, grants []gotong.Grant,
) ([]gotong.Access, error) {
	var places []Place
	for _, g := range grants {
		for _, s := range g.All() {
			places = append(places, Place{stream, s.Stream, s.From}, Place{stream, s.Stream, s.To})
		}
	}
	found, err := p.Find(ctx, from, places)
	if err != nil {
		return nil, err
	}
	list := make([]gotong.Access, len(grants))
	for i, g := range grants {
		list[i] = gotong.Resolve(viewers[i], g, func(other gotong.Stream, seq uint64) uint64 {
			return found[Place{stream, other, seq}].Seq
		})
	}
	return list, nil
}

// Find returns the spots of places of any streams, without those whose Seq is 0.
// It reads only for places that it does not know yet.
func (p *Places) Find(ctx context.Context, from Loader, places []Place) (map[Place]Spot, error) {
	found := map[Place]Spot{}
	var unknown []Place
	p.mu.Lock()
	for _, at := range places {
		if _, ok := found[at]; ok || at.Seq == 0 {
			continue
		}
		spot, ok := p.known[at]
		if found[at] = spot; !ok {
			unknown = append(unknown, at)
		}
	}
	p.mu.Unlock()
	for part := range slices.Chunk(unknown, placesRead) {
		if err := searchPlaces(ctx, from, part, found); err != nil {
			return nil, err
		}
	}
	p.keep(unknown, found)
	return found, nil
}

func (p *Places) keep(places []Place, found map[Place]Spot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known)+len(places) > maxPlaces {
		p.known = map[Place]Spot{}
	}
	for _, at := range places {
		p.known[at] = found[at]
	}
}

// halving is a search under way: the first event of the stream at or beyond a
// position has a seq in [low, high]. count is the stream's count before low.
type halving struct {
	stream                     gotong.Stream
	position, low, high, count uint64
}

func (s *halving) mid() uint64 { return s.low + (s.high-s.low)/2 }

// newHalving begins a search. rows are the event of the place and the one before
// it: if that is of another commit of the same stream, the search is over.
func newHalving(at Place, rows []Event, head uint64) halving {
	last := len(rows) - 1
	s := halving{stream: at.Stream, position: rows[last].Position, low: 1, high: head + 1}
	switch {
	case at.Other != at.Stream:
	case last > 0 && rows[0].Position == s.position:
		s.high = rows[0].Seq
	case last > 0:
		s.low, s.high, s.count = at.Seq, at.Seq, rows[0].Count
	default:
		s.high = 1
	}
	return s
}

// searchPlaces searches for several places together, with one Load for each
// halving. The heads are read in the same Load as the events, so that every event
// after a head is also after those events.
func searchPlaces(ctx context.Context, from Loader, places []Place, found map[Place]Spot) error {
	var need Need
	for _, at := range places {
		if !slices.Contains(need.Heads, at.Stream) {
			need.Heads = append(need.Heads, at.Stream)
		}
		need.Events = append(need.Events, EventRange{Stream: at.Other, From: max(at.Seq, 2) - 2, To: at.Seq})
	}
	snap, err := from.Load(ctx, need)
	if err != nil {
		return err
	}
	searches := make([]halving, len(places))
	for i, at := range places {
		rows := snap.Events[i]
		if len(rows) == 0 || rows[len(rows)-1].Seq != at.Seq {
			return fmt.Errorf("store: %s has no event %d: %w", at.Other, at.Seq, ErrCorrupt)
		}
		searches[i] = newHalving(at, rows, snap.Heads[at.Stream].Seq)
	}
	probes := map[probe]Event{}
	for more := true; more; {
		if more, err = halve(ctx, from, searches, probes); err != nil {
			return err
		}
	}
	for i, at := range places {
		found[at] = Spot{searches[i].low, searches[i].count}
	}
	return nil
}

// probe names an event that was read.
type probe struct {
	stream gotong.Stream
	seq    uint64
}

// halve takes every search one step further; it returns false if all are done.
func halve(ctx context.Context, from Loader, searches []halving, probes map[probe]Event) (bool, error) {
	var need Need
	for _, s := range searches {
		at := probe{s.stream, s.mid()}
		if _, ok := probes[at]; s.low < s.high && !ok {
			probes[at] = Event{}
			need.Events = append(need.Events, EventRange{Stream: at.stream, From: at.seq - 1, To: at.seq})
		}
	}
	if len(need.Events) > 0 {
		snap, err := from.Load(ctx, need)
		if err != nil {
			return false, err
		}
		for i, r := range need.Events {
			if len(snap.Events[i]) != 1 {
				return false, fmt.Errorf("store: %s has no event %d: %w", r.Stream, r.To, ErrCorrupt)
			}
			probes[probe{r.Stream, r.To}] = snap.Events[i][0]
		}
	}
	more := false
	for i := range searches {
		s := &searches[i]
		if s.low == s.high {
			continue
		}
		if e := probes[probe{s.stream, s.mid()}]; e.Position >= s.position {
			s.high = s.mid()
		} else {
			s.low, s.count = s.mid()+1, e.Count
		}
		more = more || s.low < s.high
	}
	return more, nil
}
