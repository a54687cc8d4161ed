package httpapi

import (
	"context"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Stretch is one period of membership.
type Stretch struct {
	Joined gotong.Instant // 0 if there is no stretch
	Left   gotong.Instant // 0 if it had not ended
	Last   bool           // no later stretch is known
}

// StretchAt returns the last stretch of a membership in stream that had begun
// at an instant, as it was then. With it, a repeated join or leave always gets
// the same answer, however often the user has joined and left since.
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

// instantOf returns the instant of an event; 0 for the event 0, which does not
// exist.
func instantOf(ctx context.Context, from store.Committer, stream gotong.Stream, seq uint64) (gotong.Instant, error) {
	if seq == 0 {
		return 0, nil
	}
	event, err := eventAt(ctx, from, stream, seq)
	return event.At, err
}

// EventAt returns the event of a stream at this seq, which is not 0, or
// [store.ErrCorrupt] if it is missing.
func EventAt(
	ctx context.Context, from store.Committer, codec *store.Codec, stream gotong.Stream, seq uint64,
) (gotong.Event, error) {
	row, err := eventAt(ctx, from, stream, seq)
	if err != nil {
		return gotong.Event{}, err
	}
	return codec.Event(&row)
}

func eventAt(ctx context.Context, from store.Committer, stream gotong.Stream, seq uint64) (store.Event, error) {
	snap, err := from.Load(ctx, store.Need{Events: []store.EventRange{{Stream: stream, From: seq - 1, To: seq}}})
	if err != nil {
		return store.Event{}, err
	}
	if len(snap.Events[0]) == 0 {
		return store.Event{}, fmt.Errorf("httpapi: %s has no event %d: %w", stream, seq, store.ErrCorrupt)
	}
	return snap.Events[0][0], nil
}

// Document returns a document of a snapshot, or false if the snapshot does not
// hold it.
func Document[T any](codec *store.Codec, snap store.Snapshot, key gotong.Key) (T, bool, error) {
	var none T
	body, ok := snap.Documents[key]
	if !ok {
		return none, false, nil
	}
	return Decode[T](codec, store.Document{Key: key, Body: body})
}

// Decode decodes a document's row as its type.
func Decode[T any](codec *store.Codec, row store.Document) (T, bool, error) {
	doc, err := codec.Document(row.Key.Collection, row.Body)
	v, ok := doc.(T)
	return v, ok, err
}
