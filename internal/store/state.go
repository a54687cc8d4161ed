package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"gotong.dev/gotong"
)

// The bounds of a read of a rule's needs: how often one document may lead to the
// next, and how often the other needs may change meanwhile.
const (
	maxRounds = 5
	maxAnew   = 50
)

// LoadState is [LoadStates] for one stream.
func LoadState(
	ctx context.Context, from Loader, codec *Codec, stream gotong.Stream,
	needs func(gotong.State) []gotong.Ref, more func(gotong.State, Snapshot) Need,
) (gotong.State, Snapshot, error) {
	var also func([]gotong.State, Snapshot) Need
	if more != nil {
		also = func(states []gotong.State, snap Snapshot) Need { return more(states[0], snap) }
	}
	states, snap, err := LoadStates(ctx, from, codec, []gotong.Stream{stream}, needs, also)
	return states[0], snap, err
}

// LoadStates returns the states of streams that a rule needs, one for each
// stream, with everything else that more names, from one snapshot. It calls
// needs with each state so far until needs names nothing new; each round reads
// everything again, so the snapshot of the last round holds it all, and no two
// documents are of different moments.
//
// more receives what was read so far and names what else to read; nil: nothing.
// The snapshot that is returned holds what more names for that same snapshot.
func LoadStates(
	ctx context.Context, from Loader, codec *Codec, streams []gotong.Stream,
	needs func(gotong.State) []gotong.Ref, more func([]gotong.State, Snapshot) Need,
) ([]gotong.State, Snapshot, error) {
	states, refs, snap := make([]gotong.State, len(streams)), make([][]gotong.Ref, len(streams)), Snapshot{}
	for i, stream := range streams {
		states[i] = gotong.NewState(stream, gotong.Head{})
		refs[i] = needs(states[i])
	}
	need := needFor(states, refs, snap, more)
	rounds, anew := 0, 0
	for rounds < maxRounds && anew < maxAnew {
		var err error
		if snap, err = from.Load(ctx, need); err != nil {
			return states, snap, err
		}
		decoded, grown := map[gotong.Key]any{}, false
		for i, stream := range streams {
			if states[i], err = stateOf(ctx, from, codec, stream, refs[i], snap, decoded); err != nil {
				return states, snap, err
			}
			missing := states[i].Missing(needs(states[i]))
			refs[i], grown = append(refs[i], missing...), grown || len(missing) > 0
		}
		next := needFor(states, refs, snap, more)
		switch {
		case grown:
			rounds++
		case !reflect.DeepEqual(need, next):
			anew++
		default:
			return states, snap, nil
		}
		need = next
	}
	if rounds < maxRounds { // the next attempt may succeed
		return states, Snapshot{}, fmt.Errorf("store: %s changes faster than it can be read", streams[0])
	}
	return states, Snapshot{}, fmt.Errorf("%w: %s", ErrUnsettled, streams[0].Kind())
}

// needFor names each head and each document once, however many of the streams
// need it.
func needFor(
	states []gotong.State, refs [][]gotong.Ref, snap Snapshot, more func([]gotong.State, Snapshot) Need,
) Need {
	var need Need
	if more != nil {
		need = more(states, snap)
	}
	need.Heads, need.Documents, need.Claims = slices.Clone(need.Heads), slices.Clone(need.Documents), slices.Clone(need.Claims)
	heads, documents := map[gotong.Stream]bool{}, map[gotong.Key]bool{}
	head := func(s gotong.Stream) {
		if !heads[s] {
			heads[s] = true
			need.Heads = append(need.Heads, s)
		}
	}
	for i := range states {
		head(states[i].Stream)
		for _, r := range refs[i] {
			if r.Claim != (gotong.Claim{}) {
				need.Claims = append(need.Claims, r.Claim)
				continue
			}
			head(r.Stream)
			if r.Event.IsZero() && !documents[r.Key] {
				documents[r.Key] = true
				need.Documents = append(need.Documents, r.Key)
			}
		}
	}
	return need
}

// stateOf is the state of a stream in a snapshot. decoded holds the documents
// of this snapshot that were decoded already.
func stateOf(
	ctx context.Context, from Loader, codec *Codec, stream gotong.Stream, refs []gotong.Ref, snap Snapshot,
	decoded map[gotong.Key]any,
) (gotong.State, error) {
	state := gotong.NewState(stream, snap.Heads[stream])
	for _, r := range refs {
		if r.Claim != (gotong.Claim{}) {
			state.SetClaim(r.Claim, snap.Claims[r.Claim])
			continue
		}
		if r.Stream != stream {
			state.SetHead(r.Stream, snap.Heads[r.Stream])
		}
		if !r.Event.IsZero() {
			e, err := findEvent(ctx, from, codec, r, snap.Heads[r.Stream].Seq)
			if err != nil {
				return state, err
			}
			state.SetEvent(r.Event, e)
			continue
		}
		doc, ok := decoded[r.Key]
		if body, exists := snap.Documents[r.Key]; exists && !ok {
			var err error
			if doc, err = codec.document(r.Key, body); err != nil {
				return state, err
			}
			decoded[r.Key] = doc
		}
		state.SetDoc(r.Key, doc)
	}
	return state, nil
}

func findEvent(ctx context.Context, from Loader, codec *Codec, r gotong.Ref, head uint64) (gotong.Event, error) {
	row, ok, err := FindEvent(ctx, from, r.Stream, r.Event, head)
	if err != nil || !ok {
		return gotong.Event{}, err
	}
	return codec.Event(&row)
}

// SeqAfter returns the seq of the last event of a stream, up to head, for which
// past is false; 0 if past is true for the first one. past must be false for a
// run of events and true for all events after it. A damaged event counts as true.
func SeqAfter(
	ctx context.Context, from Loader, stream gotong.Stream, head uint64, past func(*Event) bool,
) (uint64, error) {
	before, _, err := boundary(ctx, from, stream, head, past)
	return before, err
}

// boundary returns the seq of the last event for which past is false, and the
// first event for which it is true, if there is one. Only damaged events lie
// between them.
func boundary(
	ctx context.Context, from Loader, stream gotong.Stream, head uint64, past func(*Event) bool,
) (before uint64, after Event, err error) {
	low, high := uint64(1), head+1
	for low < high {
		mid := low + (high-low)/2
		e, err := intact(ctx, from, stream, mid, high)
		switch {
		case err != nil:
			return 0, Event{}, err
		case e.Seq == 0:
			high = mid
		case past(&e):
			after, high = e, mid
		default:
			low = e.Seq + 1
		}
	}
	return low - 1, after, nil
}

// maxDamaged is how many damaged events in a row are skipped.
const maxDamaged = 8

// intact returns the first event of a stream with seq <= its seq < end that is
// not damaged; the zero Event if all of them are.
func intact(ctx context.Context, from Loader, stream gotong.Stream, seq, end uint64) (Event, error) {
	var damage error
	for range maxDamaged {
		if seq >= end {
			return Event{}, nil
		}
		snap, err := from.Load(ctx, Need{Events: []EventRange{{Stream: stream, From: seq - 1, To: seq}}})
		switch {
		case errors.Is(err, ErrCorrupt):
			damage = err
		case err != nil:
			return Event{}, err
		case len(snap.Events[0]) != 1:
			return Event{}, fmt.Errorf("%w: %s ends before event %d", ErrCorrupt, stream, seq)
		default:
			return snap.Events[0][0], nil
		}
		seq++
	}
	return Event{}, damage
}
