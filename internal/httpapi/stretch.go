package httpapi

import (
	"context"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Stretch is one time of being a member.
type Stretch struct {
	Joined gotong.Instant // 0 where there was none
	Left   gotong.Instant // 0 where it had not ended
	Last   bool           // no later one is known
}

// StretchAt is the stretch of a membership in stream that had begun last at an
// instant, as it was then. With it, a join or leave is answered the same for
// ever, however often the member came and went since.
func StretchAt(
	ctx context.Context, from store.Committer, stream gotong.Stream, m gotong.Membership, at gotong.Instant,
) (Stretch, error) {
	for i, times := range slices.Backward(m.Stretches) {
		joined, err := instantOf(ctx, from, stream, times.From)
		if err != nil {
			return Stretch{}, err
		}
		if joined > at {
			continue
		}
		left, err := instantOf(ctx, from, stream, times.To)
		if err != nil {
			return Stretch{}, err
		}
		if left > at {
			left = 0
		}
		return Stretch{Joined: joined, Left: left, Last: i == len(m.Stretches)-1}, nil
	}
	return Stretch{}, nil
}

// instantOf is when an event was; 0 for the event 0, which is none.
func instantOf(ctx context.Context, from store.Committer, stream gotong.Stream, seq uint64) (gotong.Instant, error) {
	if seq == 0 {
		return 0, nil
	}
	event, err := EventAt(ctx, from, stream, seq)
	return event.At, err
}

// EventAt returns the event of a stream at this seq, which is not 0;
// [store.ErrCorrupt] where it is missing.
func EventAt(ctx context.Context, from store.Committer, stream gotong.Stream, seq uint64) (store.Event, error) {
	snap, err := from.Load(ctx, store.Need{Events: []store.EventRange{{Stream: stream, From: seq - 1, To: seq}}})
	if err != nil {
		return store.Event{}, err
	}
	if len(snap.Events[0]) == 0 {
		return store.Event{}, fmt.Errorf("httpapi: %s has no event %d: %w", stream, seq, store.ErrCorrupt)
	}
	return snap.Events[0][0], nil
}

// Document reads a document that a snapshot holds; false where it does not.
func Document[T any](codec *store.Codec, snap store.Snapshot, key gotong.Key) (T, bool, error) {
	var none T
	body, ok := snap.Documents[key]
	if !ok {
		return none, false, nil
	}
	return Decode[T](codec, store.Document{Key: key, Body: body})
}

// Decode reads a document's row as its type.
func Decode[T any](codec *store.Codec, row store.Document) (T, bool, error) {
	doc, err := codec.Document(row.Key.Collection, row.Body)
	v, ok := doc.(T)
	return v, ok, err
}
