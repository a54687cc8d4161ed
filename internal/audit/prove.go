package audit

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// Prove returns the proof of an event, with data and content as they are stored,
// in the tree of the first checkpoint that covers it and that is one of this log,
// and with the evidence of its kind. It returns [gotong.CodeNotYet] if none covers
// it, and [gotong.CodeNotFound] if there is no such event.
func Prove(
	ctx context.Context, log Log, codec *store.Codec, eras store.Eras, pinned []Pinned, stream gotong.Stream, seq uint64,
) (proof.Event, error) {
	e, err := eventOf(ctx, log, stream, seq)
	if err != nil {
		return proof.Event{}, err
	}
	p, err := prove(ctx, log, eras, pinned, &e)
	if err != nil {
		return proof.Event{}, err
	}
	kind, err := codec.Kind(stream)
	if err != nil || kind.Evidence == nil {
		return p, nil //nolint:nilerr // an event of a kind that this program does not know is proved too
	}
	read, err := codec.Event(&e)
	if err != nil {
		return p, nil //nolint:nilerr // the same
	}
	for _, seq := range kind.Evidence.Of(read) {
		earlier, err := eventOf(ctx, log, stream, seq)
		if err != nil {
			return p, err
		}
		of, err := prove(ctx, log, eras, pinned, &earlier)
		if err != nil {
			return p, err
		}
		of.Content, of.ContentSalt = nil, nil
		p.Evidence = append(p.Evidence, of)
	}
	return p, nil
}

// eventOf reads an event. It returns [gotong.CodeNotFound] if there is none.
func eventOf(ctx context.Context, log Log, stream gotong.Stream, seq uint64) (store.Event, error) {
	snap, err := log.Load(ctx, store.Need{Events: []store.EventRange{{Stream: stream, From: max(seq, 1) - 1, To: seq, Limit: 1}}})
	if err != nil {
		return store.Event{}, err
	}
	if len(snap.Events[0]) == 0 {
		return store.Event{}, gotong.NotFound()
	}
	return snap.Events[0][0], nil
}

func prove(ctx context.Context, log Log, eras store.Eras, pinned []Pinned, e *store.Event) (proof.Event, error) {
	commit, err := log.ReadPartition(ctx, e.Partition, e.Position-1, e.Position, 1)
	if err != nil {
		return proof.Event{}, err
	}
	p := eventProof(e, eras.At(e.Partition, e.Position))
	p.First, p.Chains = commit[0].Seq, leafOf(e.Partition, e.Position, commit).Chains
	err = gotong.NewError(gotong.CodeNotYet, "No checkpoint covers this event yet.")
	for _, pins := range pinned {
		at := pins[e.Partition]
		if at.Checkpoint.Size < e.Position {
			continue
		}
		var path []gotong.Hash
		if path, err = (tree{ctx, log, e.Partition}).path(at.Checkpoint, e.Position-1); err == nil {
			p.Proof = proof.TLogProof(e.Position-1, path, at.Note)
			return p, nil
		}
	}
	return proof.Event{}, err
}

func eventProof(e *store.Event, epoch gotong.Epoch) proof.Event {
	p := proof.Event{
		Form: proof.EventForm, Stream: e.Stream, Seq: e.Seq, Position: e.Position, Epoch: epoch, Partition: e.Partition,
		ID: e.ID, Type: e.Type, At: int64(e.At), Audience: e.Audience, Count: e.Count, Prev: e.Prev,
		DataCommitment: gotong.CommitData(e.DataSalt, e.Data), ContentCommitment: e.ContentCommit,
		Data: e.Data, DataSalt: e.DataSalt[:],
	}
	if !e.Erased {
		p.Content, p.ContentSalt = e.Content, e.ContentSalt[:]
	}
	return p
}
