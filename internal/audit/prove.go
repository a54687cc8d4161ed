package audit

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// Prove returns the proof of an event, with data and content as they are stored,
// in the tree of a checkpoint. It returns [gotong.CodeNotYet] if the checkpoint
// does not cover the event, and [gotong.CodeNotFound] if there is no such event.
func Prove(ctx context.Context, log Log, eras store.Eras, pinned *Pinned, stream gotong.Stream, seq uint64) (proof.Event, error) {
	snap, err := log.Load(ctx, store.Need{Events: []store.EventRange{{Stream: stream, From: max(seq, 1) - 1, To: seq, Limit: 1}}})
	if err != nil {
		return proof.Event{}, err
	}
	if len(snap.Events[0]) == 0 {
		return proof.Event{}, gotong.NotFound()
	}
	e := &snap.Events[0][0]
	at := pinned[e.Partition]
	if at.Note == nil || at.Checkpoint.Size < e.Position {
		return proof.Event{}, gotong.NewError(gotong.CodeNotYet, "No checkpoint covers this event yet.")
	}
	commit, err := log.ReadPartition(ctx, e.Partition, e.Position-1, e.Position, 1)
	if err != nil {
		return proof.Event{}, err
	}
	path, err := tree{ctx, log, e.Partition}.path(at.Checkpoint, e.Position-1)
	if err != nil {
		return proof.Event{}, err
	}
	p := eventProof(e, eras.At(e.Partition, e.Position))
	p.First, p.Chains = commit[0].Seq, leafOf(e.Partition, e.Position, commit).Chains
	p.Proof = proof.TLogProof(e.Position-1, path, at.Note)
	return p, nil
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
