package store

import (
	"context"
	"math"
	"slices"

	"gotong.dev/gotong"
)

// ErasePlan returns the ids of the events with these seqs, and of all later events
// about them that have content, such as the edits of a message: what a
// [gotong.Erase] must name so that no version of a text remains. It reads the
// stream from the first of them on. [gotong.CodeNotFound] if one does not exist.
func ErasePlan(
	ctx context.Context, from Loader, codec *Codec, stream gotong.Stream, seqs []uint64,
) (ids []gotong.EventID, err error) {
	kind, err := codec.Kind(stream)
	if err != nil || len(seqs) == 0 {
		return nil, err
	}
	seqs = slices.Compact(slices.Sorted(slices.Values(seqs)))
	erased := map[uint64]bool{}
	for at, more := max(seqs[0], 1)-1, true; more; {
		snap, err := from.Load(ctx, Need{Events: []EventRange{{Stream: stream, From: at, To: math.MaxInt64}}})
		if err != nil {
			return nil, err
		}
		rows := snap.Events[0]
		for i := range rows {
			row := &rows[i]
			at = row.Seq
			if len(seqs) > 0 && seqs[0] == at {
				seqs = seqs[1:]
			} else if about, err := aboutAny(codec, &kind, row, erased); err != nil {
				return nil, err
			} else if !about {
				continue
			}
			erased[at] = true
			ids = append(ids, row.ID)
		}
		more = len(rows) > 0
	}
	if len(seqs) > 0 {
		return nil, gotong.NotFound()
	}
	return ids, nil
}

func aboutAny(codec *Codec, kind *gotong.Kind, row *Event, seqs map[uint64]bool) (bool, error) {
	if row.Content == nil || row.Type == gotong.EvErased {
		return false, nil
	}
	e, err := codec.Event(row)
	return err == nil && slices.ContainsFunc(kind.AboutOf(e), func(seq uint64) bool { return seqs[seq] }), err
}
