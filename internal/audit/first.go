package audit

import (
	"context"
	"errors"

	"golang.org/x/mod/sumdb/tlog"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// first returns the first commit that is not the one in the tree of the
// checkpoint, as far as the stored tiles are those of the checkpoint; nil if they
// are not, or if all commits are.
func (v *verifier) first(ctx context.Context, at proof.Checkpoint) (*Finding, error) {
	if v.s.Tiles == nil {
		return nil, nil //nolint:nilnil // nothing can be found
	}
	//nolint:gosec // a position
	leaves := tlog.TileHashReader(tlog.Tree{N: int64(at.Size), Hash: tlog.Hash(at.Root)}, tree{ctx, v.s.Tiles, v.p})
	var tile []tlog.Hash
	next := uint64(1)
	for c, err := range v.s.Commits(ctx, v.p) {
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			return nil, err
		}
		if next > at.Size {
			break
		}
		if (next-1)%tileWidth == 0 {
			if tile, err = readLeaves(leaves, next-1, min(at.Size, next-1+tileWidth)); err != nil {
				return nil, ctx.Err() // the tiles are not those of the checkpoint
			}
		}
		if leaf, ok := leafOfCommit(v.p, &c, next); !ok || leaf != gotong.Hash(tile[(next-1)%tileWidth]) {
			return v.name(&c, next), nil
		}
		next++
	}
	return nil, nil //nolint:nilnil // every commit is that of the checkpoint
}

func readLeaves(from tlog.HashReader, begin, end uint64) ([]tlog.Hash, error) {
	indexes := make([]int64, 0, end-begin)
	for n := begin; n < end; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, int64(n))) //nolint:gosec // a position
	}
	return from.ReadHashes(indexes)
}

func leafOfCommit(p gotong.Partition, c *Commit, position uint64) (gotong.Hash, bool) {
	switch {
	case c.Position != position:
		return gotong.Hash{}, false
	case len(c.Events) == 0:
		return c.Leaf, true
	}
	return leafOf(p, position, c.Events).Hash(), true
}

// name returns the finding for a commit that is not the one of the checkpoint. If
// the events show which one of them is wrong, that one is named.
func (v *verifier) name(c *Commit, position uint64) *Finding {
	f := &Finding{Code: Altered, Partition: v.p, Position: position, Detail: "the commit is not the one of the checkpoint"}
	if c.Position == position && len(c.Events) > 0 {
		f.Stream, f.Seq = c.Events[0].Stream, c.Events[0].Seq
	}
	if w := v.fault; w != nil && !w.says {
		last := f.Seq + uint64(len(c.Events))
		if w.Position == position || w.Position > position && w.Stream == f.Stream && f.Seq <= w.Seq && w.Seq <= last {
			f.Stream, f.Seq, f.Detail = w.Stream, w.Seq, w.Detail
		}
	}
	return f
}
