package audit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// ErrRollback is wrapped by every [Rollback].
var ErrRollback = errors.New("audit: the log does not continue the signed checkpoint")

// ErrTrees means that stored trees are damaged. They can be made again from the log:
// nothing that was signed is lost.
var ErrTrees = errors.New("audit: the stored trees are damaged; run: gotong reader rebuild audit")

// Rollback is the error that a log does not continue the one of a checkpoint.
type Rollback struct { //nolint:errname // the word of the docs
	Pinned   proof.Checkpoint
	Position uint64 // the last one of the partition; the log is behind if it is below Pinned.Size
}

func (r *Rollback) Error() string {
	p := r.Pinned.Origin.Partition
	if r.Position < r.Pinned.Size {
		return fmt.Sprintf("%v: partition %d ends at %d, before the checkpoint at %d", ErrRollback, p, r.Position, r.Pinned.Size)
	}
	return fmt.Sprintf("%v: up to position %d, partition %d holds another history", ErrRollback, r.Pinned.Size, p)
}

// Unwrap returns [ErrRollback].
func (*Rollback) Unwrap() error { return ErrRollback }

// Log is the part of a store from which trees are read.
type Log interface {
	store.Loader
	ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]store.Event, error)
}

// compare returns a [Rollback] if the log does not continue that of the pinned
// checkpoint. leaves is the number of those that are stored; if the checkpoint
// has more, or tiles are missing, the commits are read. They are also read before a
// stored tree accuses the log: it returns [ErrTrees] if the tree alone differs.
func compare(ctx context.Context, log Log, pinned proof.Checkpoint, leaves, position uint64) error {
	back := &Rollback{pinned, position}
	if position < pinned.Size {
		return back
	}
	root, err := rootAt(ctx, log, pinned.Origin.Partition, pinned.Size, leaves)
	if err != nil || root == pinned.Root {
		return err
	}
	switch root, err = rootAt(ctx, log, pinned.Origin.Partition, pinned.Size, 0); {
	case err != nil:
		return err
	case root == pinned.Root:
		return fmt.Errorf("%w (partition %d)", ErrTrees, pinned.Origin.Partition)
	}
	return back
}

// rootAt returns the root of the tree at a size up to the partition's last
// position.
func rootAt(ctx context.Context, log Log, p gotong.Partition, size, leaves uint64) (gotong.Hash, error) {
	stored := tree{ctx, log, p}
	if size <= leaves {
		if root, err := stored.root(size); err == nil || ctx.Err() != nil {
			return root, err
		}
	}
	t, err := stored.resume(min(leaves, size))
	if err != nil {
		t = proof.Tree{}
	}
	for t.Size() < size {
		events, err := log.ReadPartition(ctx, p, t.Size(), size, store.MaxRead)
		if err != nil {
			return gotong.Hash{}, err
		}
		if len(events) == 0 {
			return gotong.Hash{}, fmt.Errorf("%w: partition %d has no commit %d", store.ErrCorrupt, p, t.Size()+1)
		}
		for len(events) > 0 {
			n := commitLen(events)
			t.Add(leafOf(p, events[0].Position, events[:n]).Hash())
			events = events[n:]
		}
	}
	return t.Root(), nil
}

// commitLen returns how many of the events are of the first one's commit.
func commitLen(events []store.Event) int {
	n := 1
	for n < len(events) && events[n].Position == events[0].Position {
		n++
	}
	return n
}

// resume returns the tree at a size up to that which is stored.
func (t tree) resume(size uint64) (proof.Tree, error) {
	var indexes []int64
	begin := int64(0)
	for level := 62; level >= 0; level-- {
		if size>>level&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, begin>>level))
			begin += 1 << level
		}
	}
	if len(indexes) == 0 {
		return proof.Tree{}, nil
	}
	hashes, err := t.ReadHashes(indexes)
	edges := make([]gotong.Hash, len(hashes))
	for i, h := range hashes {
		edges[i] = gotong.Hash(h)
	}
	return proof.Resume(size, edges), err
}
