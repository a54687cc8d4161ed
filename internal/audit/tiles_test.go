package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// An operator cannot have the reader pass a commit: the tree would lack a leaf, and
// the reader would stop at the next position for good.
func TestReaderCannotSkip(t *testing.T) {
	w := living(t, 13, 5)
	p := gotong.PartitionOf("group/0")
	_, err := reader.Skip(t.Context(), w.live, []reader.Reader{Reader()}, "audit", p, 1)
	if !errors.Is(err, reader.ErrEvery) || !strings.Contains(err.Error(), "gotong reader rebuild audit") {
		t.Errorf("the answer is %v", err)
	}
}

// documents are what a runner would write.
type documents map[gotong.Key][]byte

func (d documents) Load(_ context.Context, need store.Need) (store.Snapshot, error) {
	snap := store.Snapshot{Documents: map[gotong.Key][]byte{}}
	for p := range snap.Positions {
		snap.Positions[p] = math.MaxInt64 // no tree has more leaves
	}
	for _, key := range need.Documents {
		if body, ok := d[key]; ok {
			snap.Documents[key] = body
		}
	}
	return snap, nil
}

// commit is the commit at a position. Its events have other chains at each
// position, and there are more of them at some.
func commitAt(p gotong.Partition, position uint64) reader.Commit {
	c := reader.Commit{Partition: p, Position: position}
	for i := range 1 + position%3 {
		e := store.Event{Stream: gotong.Stream(fmt.Sprintf("thread/%d", position%5)), Seq: position*3 + i, Partition: p, Position: position}
		binary.BigEndian.PutUint64(e.Chain[:], position<<8|i)
		c.Events = append(c.Events, e)
	}
	return c
}

// apply runs one step as the runner does: with the documents that Needs names,
// and no others.
func (d documents) apply(tb testing.TB, c reader.Commit) (bytes int) {
	tb.Helper()
	r, docs := Reader(), map[gotong.Key][]byte{}
	for _, key := range r.Needs(c) {
		if body, ok := d[key]; ok {
			docs[key] = body
		}
	}
	step, err := r.Read(docs, []reader.Commit{c})
	if err != nil {
		tb.Fatal(err)
	}
	for _, change := range step.Changes {
		if d[change.Key] = change.Body; change.Key.Collection != r.Collections[0] {
			tb.Fatalf("the reader writes to %v", change.Key)
		}
		bytes += len(change.Body)
	}
	return bytes
}

// The stored tree is the one that package proof computes, at every size up to the third
// tile and at some beyond, and proofs from it verify. The largest size has a tile of
// level 2.
func TestTiles(t *testing.T) {
	const every = 2*tileWidth + group + 3
	top := uint64(tileWidth*tileWidth + tileWidth + group + 3)
	if testing.Short() {
		top = every
	}
	docs, plain := documents{}, proof.Tree{}
	leaves, roots := []gotong.Hash{}, []gotong.Hash{plain.Root()}
	for position := uint64(1); position <= top; position++ {
		c := commitAt(3, position)
		docs.apply(t, c)
		leaves = append(leaves, leafOf(3, position, c.Events).Hash())
		plain.Add(leaves[position-1])
		roots = append(roots, plain.Root())
		if position > every && position%1009 > 2 {
			continue
		}
		if got, err := (tree{t.Context(), docs, 3}).root(position); err != nil || got != plain.Root() {
			t.Fatalf("root at %d: %s, %v, want %s", position, got, err, plain.Root())
		}
	}
	if n, _, err := sizes(t.Context(), docs); err != nil || n[3] != top || n[4] != 0 {
		t.Fatalf("sizes %v, %v", n, err)
	}
	stored := tree{t.Context(), docs, 3}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint64Range(1, top).Draw(t, "size")
		index := rapid.Uint64Range(0, size-1).Draw(t, "index")
		at := proof.Checkpoint{Size: size, Root: roots[size]}
		path, err := stored.path(at, index)
		if err != nil {
			t.Fatal(err)
		}
		record := make(tlog.RecordProof, len(path))
		for i := range path {
			record[i] = tlog.Hash(path[i])
		}
		if err := tlog.CheckRecord(record, int64(size), tlog.Hash(roots[size]), int64(index), tlog.Hash(leaves[index])); err != nil {
			t.Fatal(err)
		}
		old := rapid.Uint64Range(1, size).Draw(t, "old")
		if path, err = stored.consistency(at, old); err != nil {
			t.Fatal(err)
		}
		prefix := make(tlog.TreeProof, len(path))
		for i := range path {
			prefix[i] = tlog.Hash(path[i])
		}
		if err := tlog.CheckTree(prefix, int64(size), tlog.Hash(roots[size]), int64(old), tlog.Hash(roots[old])); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := stored.path(proof.Checkpoint{Size: top, Root: roots[top-1]}, 0); err == nil {
		t.Error("a path in a tree of another root")
	}
	if _, err := stored.root(top + 1); err == nil {
		t.Error("a root beyond the tree")
	}
}

// A commit alone rewrites the edge, and a tile only at each sixteenth.
func TestBytesOfAStep(t *testing.T) {
	docs, total := documents{}, 0
	for position := uint64(1); position <= tileWidth; position++ {
		bytes := docs.apply(t, commitAt(0, position))
		if total += bytes; position%group != 0 && bytes > 1000 {
			t.Errorf("position %d writes %d bytes", position, bytes)
		}
	}
	if mean := total / tileWidth; mean > 800 {
		t.Errorf("a commit writes %d bytes on average", mean)
	}
}

func TestReaderOutOfStep(t *testing.T) {
	docs := documents{}
	docs.apply(t, commitAt(0, 1))
	for _, position := range []uint64{1, 3} {
		if _, err := grow(docs, []reader.Commit{commitAt(0, position)}); err == nil {
			t.Errorf("position %d is added to a tree of one leaf", position)
		}
	}
	docs[edgeKey(0)] = []byte(`{"hashes":"AAAA"}`)
	if _, err := grow(docs, []reader.Commit{commitAt(0, 2)}); err == nil {
		t.Error("a damaged edge is accepted")
	}
}
