// Package proof verifies, without a server, that an event is in a log: the leaf
// that each commit adds to its partition's Merkle tree, the tree's root, signed
// checkpoints, and the proof of one event.
//
// The tree is that of RFC 6962, over the commits of a partition in order of
// position; the leaf of position n has index n-1. Checkpoints are C2SP signed
// notes (tlog-checkpoint), whose origin is INSTANCE/EPOCH/pPARTITION, and proofs
// contain a C2SP tlog-proof.
//
// # Caveats
//
// A proof shows what the log said when the checkpoint was signed. That the log
// says the same to everybody follows only if the verifier and others compare
// checkpoints, or if witnesses cosigned them.
package proof

import (
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/mod/sumdb/tlog"

	"gotong.dev/gotong"
)

// LeafVersion is the first byte of every leaf.
const LeafVersion = 1

// Leaf is what the tree of a partition holds of one commit.
type Leaf struct {
	Partition gotong.Partition
	Position  uint64
	Stream    gotong.Stream
	First     uint64        // seq of the first event
	Chains    []gotong.Hash // the chain value of each event of the commit
}

// Append encodes the leaf: version byte, then partition, position, stream, seq
// of the first event, number of events, and their chain values one after the
// other, each preceded by its big-endian 32-bit length; numbers are 8 bytes,
// big-endian. The layout never changes; golden vectors in testdata fix it.
func (l Leaf) Append(b []byte) []byte {
	b = append(b, LeafVersion)
	b = number(b, uint64(l.Partition))
	b = number(b, l.Position)
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.Stream))) //nolint:gosec // the name of a stream is short
	b = append(b, l.Stream...)
	b = number(b, l.First)
	b = number(b, uint64(len(l.Chains)))
	for i := range l.Chains {
		b = binary.BigEndian.AppendUint32(b, sha256.Size)
		b = append(b, l.Chains[i][:]...)
	}
	return b
}

func number(b []byte, n uint64) []byte {
	b = binary.BigEndian.AppendUint32(b, 8)
	return binary.BigEndian.AppendUint64(b, n)
}

// Hash returns the hash of the leaf in the tree: SHA-256(0x00 || leaf).
func (l Leaf) Hash() gotong.Hash {
	b := make([]byte, 1, 256) // on the stack; a longer leaf moves to the heap
	return sha256.Sum256(l.Append(b))
}

// Tree is the tree over the leaves that were added so far, of which it keeps one
// hash for each level. The zero Tree is empty.
type Tree struct {
	size  uint64
	edges []tlog.Hash // roots of the complete subtrees, the largest first
}

// Add adds the hash of the next leaf.
func (t *Tree) Add(leaf gotong.Hash) {
	h := tlog.Hash(leaf)
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.edges) - 1
		h, t.edges = tlog.NodeHash(t.edges[last], h), t.edges[:last]
	}
	t.edges = append(t.edges, h)
	t.size++
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Root returns the root hash; that of an empty tree is the SHA-256 of nothing.
func (t *Tree) Root() gotong.Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	last := len(t.edges) - 1
	h := t.edges[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(t.edges[i], h)
	}
	return gotong.Hash(h)
}

// Resume returns the tree of this size with these edges, one for each bit of the
// size.
func Resume(size uint64, edges []gotong.Hash) Tree {
	t := Tree{size: size}
	for _, h := range edges {
		t.edges = append(t.edges, tlog.Hash(h))
	}
	return t
}
