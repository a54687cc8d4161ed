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

// compare compares the log with the newest checkpoints: all of them, or those of
// the partitions that have grown. It returns these checkpoints, and the number of
// leaves of each tree of this log.
//
// A log grows, so it contains a checkpoint only if it is read after the
// checkpoint was signed: the checkpoints are fetched first. A log that seems to be
// another one is read a second time: a server does not end because of one read.
func (k *Keeper) compare(ctx context.Context, all bool) (was Pinned, leaves [gotong.Partitions]uint64, err error) {
	was = k.Pinned()
	for range 2 {
		if leaves, err = k.compareOnce(ctx, &was, all); !errors.Is(err, ErrRollback) {
			break
		}
	}
	return was, leaves, err
}

// compareGrown compares the partitions that have grown or, over a new connection to
// the database, all of them.
func (k *Keeper) compareGrown(ctx context.Context) (was Pinned, leaves [gotong.Partitions]uint64, err error) {
	n := k.compared
	if k.o.Connections != nil {
		n = k.o.Connections()
	}
	if was, leaves, err = k.compare(ctx, n != k.compared); err == nil {
		k.compared = n
	}
	return was, leaves, err
}

func (k *Keeper) compareOnce(ctx context.Context, was *Pinned, all bool) (leaves [gotong.Partitions]uint64, err error) {
	leaves, positions, err := sizes(ctx, k.o.Store)
	for p := range leaves {
		c := was[p].Checkpoint
		switch {
		case err != nil:
		case positions[p] < c.Size:
			err = &Rollback{c, positions[p]}
		case all || k.signs(c, leaves[p]):
			err = compare(ctx, k.o.Store, c, leaves[p], positions[p])
		}
	}
	return leaves, err
}

// signs reports whether a checkpoint of so many leaves follows this one.
func (k *Keeper) signs(was proof.Checkpoint, leaves uint64) bool {
	return leaves > was.Size || leaves == was.Size && was.Origin.Epoch != k.o.Store.Epoch()
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
