package audit

import (
	"context"
	"encoding/json"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// The tree of a partition is stored as tiles of 256 hashes: those of level 0
// hold the leaves, and each hash of a higher level is the root of a whole tile
// below it. The newest leaves, fewer than group, are in the document edge, so
// that a commit rewrites some hundred bytes and not a whole tile.
const (
	tilesCollection = "audit_tiles"
	edgeName        = "edge"
	tileHeight      = 8
	tileWidth       = 1 << tileHeight
	group           = 16
)

// hashList is the document of a tile. That of the edge has a Size, the number of
// leaves of the tree.
type hashList struct {
	Size   uint64 `json:"size,omitempty"`
	Hashes []byte `json:"hashes"`
}

func (l *hashList) add(h tlog.Hash) { l.Hashes = append(l.Hashes, h[:]...) }

func (l *hashList) len() uint64 { return uint64(len(l.Hashes) / tlog.HashSize) }

func tileKey(p gotong.Partition, level int, n uint64) gotong.Key {
	return gotong.Key{Collection: tilesCollection, Owner: ownerOf(p), Name: fmt.Sprintf("%d-%016d", level, n)}
}

func edgeKey(p gotong.Partition) gotong.Key {
	return gotong.Key{Collection: tilesCollection, Owner: ownerOf(p), Name: edgeName}
}

// owners are the owners of the documents of each partition, formatted once: every
// commit needs one.
var owners = func() (list [gotong.Partitions]string) {
	for p := range list {
		list[p] = fmt.Sprintf("p%02d", p)
	}
	return list
}()

func ownerOf(p gotong.Partition) string { return owners[p] }

// Reader returns the reader that builds the trees.
func Reader() reader.Reader {
	return reader.Reader{Name: "audit", Collections: []string{tilesCollection}, Every: true, Needs: tilesOf, Read: grow}
}

// tilesOf names the edge and the tiles that the commit adds to.
func tilesOf(c reader.Commit) []gotong.Key {
	keys := []gotong.Key{edgeKey(c.Partition)}
	if c.Position%group == 0 {
		keys = append(keys, tileKey(c.Partition, 0, (c.Position-1)/tileWidth))
	}
	level := 1
	for n := c.Position; n%tileWidth == 0; level++ {
		n /= tileWidth
		keys = append(keys, tileKey(c.Partition, level, (n-1)/tileWidth))
	}
	return keys
}

// grow adds the leaves of commits.
func grow(docs map[gotong.Key][]byte, run []reader.Commit) (step reader.Step, err error) {
	changed := map[gotong.Key]*hashList{}
	list := func(key gotong.Key) (*hashList, error) {
		l := changed[key]
		if l != nil {
			return l, nil
		}
		l = &hashList{}
		changed[key] = l
		return l, decode(docs, key, l)
	}
	edge, err := list(edgeKey(run[0].Partition))
	if err != nil {
		return step, err
	}
	for _, c := range run {
		if edge.Size != c.Position-1 {
			return step, fmt.Errorf("audit: the tree of partition %d has %d leaves before position %d", c.Partition, edge.Size, c.Position)
		}
		edge.add(tlog.Hash(leafOf(c.Partition, c.Position, c.Events).Hash()))
		edge.Size++
		if edge.Size%group == 0 {
			if err := fill(c.Partition, edge, list); err != nil {
				return step, err
			}
		}
	}
	for key, l := range changed {
		body, err := json.Marshal(l)
		if err != nil {
			return step, err
		}
		step.Changes = append(step.Changes, store.Change{Key: key, Body: body})
	}
	return step, nil
}

// fill moves the leaves of a full edge to their tile, and the root of each tile
// that is then full to the tile above it.
func fill(p gotong.Partition, edge *hashList, list func(gotong.Key) (*hashList, error)) error {
	more := edge.Hashes
	edge.Hashes = nil
	n := edge.Size
	for level := 0; ; level++ {
		tile, err := list(tileKey(p, level, (n-1)/tileWidth))
		if err != nil {
			return err
		}
		tile.Hashes = append(tile.Hashes, more...)
		if n%tileWidth != 0 {
			return nil
		}
		root := rootOf(tile.Hashes)
		n, more = n/tileWidth, root[:]
	}
}

func decode(docs map[gotong.Key][]byte, key gotong.Key, into *hashList) error {
	body, ok := docs[key]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil || len(into.Hashes)%tlog.HashSize != 0 {
		return fmt.Errorf("%w (document %s of %s)", ErrTrees, key.Name, key.Owner)
	}
	return nil
}

// leafOf returns the leaf of a commit with these events.
func leafOf(p gotong.Partition, position uint64, events []store.Event) proof.Leaf {
	l := proof.Leaf{Partition: p, Position: position, Stream: events[0].Stream, First: events[0].Seq}
	l.Chains = make([]gotong.Hash, len(events))
	for i := range events {
		l.Chains[i] = events[i].Chain
	}
	return l
}

// rootOf returns the root over a list of hashes.
func rootOf(hashes []byte) gotong.Hash {
	var tree proof.Tree
	for ; len(hashes) > 0; hashes = hashes[tlog.HashSize:] {
		tree.Add(gotong.Hash(hashes[:tlog.HashSize]))
	}
	return tree.Root()
}

// sizes returns the number of leaves of each tree that are stored, and the last
// position of each partition, which one read shows. No tree counts more leaves than
// the partition has positions.
func sizes(ctx context.Context, from store.Loader) (leaves, positions [gotong.Partitions]uint64, err error) {
	var need store.Need
	for p := range gotong.Partition(gotong.Partitions) {
		need.Documents = append(need.Documents, edgeKey(p))
	}
	snap, err := from.Load(ctx, need)
	for p, key := range need.Documents {
		var edge hashList
		if err == nil {
			err = decode(snap.Documents, key, &edge)
		}
		leaves[p] = min(edge.Size, snap.Positions[p])
	}
	return leaves, snap.Positions, err
}

// tree reads the stored hashes of a partition's tree. It implements
// [tlog.HashReader], and [tlog.TileReader] by [tree.ReadTiles].
type tree struct {
	ctx  context.Context //nolint:containedctx // the interfaces of tlog have none
	from store.Loader
	p    gotong.Partition
}

// ReadHashes implements [tlog.HashReader].
func (t tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	tiles := make([]tlog.Tile, len(indexes))
	for i, index := range indexes {
		tiles[i] = tlog.TileForIndex(tileHeight, index)
	}
	data, err := t.ReadTiles(tiles)
	if err != nil {
		return nil, err
	}
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if hashes[i], err = tlog.HashFromTile(tiles[i], data[i], index); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// Height implements [tlog.TileReader].
func (t tree) Height() int { return tileHeight }

// SaveTiles implements [tlog.TileReader].
func (t tree) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements [tlog.TileReader].
func (t tree) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	need := store.Need{Documents: []gotong.Key{edgeKey(t.p)}}
	for _, tile := range tiles {
		need.Documents = append(need.Documents, tileKey(t.p, tile.L, uint64(tile.N))) //nolint:gosec // not negative
	}
	snap, err := t.from.Load(t.ctx, need)
	if err != nil {
		return nil, err
	}
	var edge hashList
	if err := decode(snap.Documents, edgeKey(t.p), &edge); err != nil {
		return nil, err
	}
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		var l hashList
		if err := decode(snap.Documents, need.Documents[i+1], &l); err != nil {
			return nil, err
		}
		n := uint64(tile.N) //nolint:gosec // not negative
		if tile.L == 0 && n*tileWidth+l.len() == edge.Size-edge.len() {
			l.Hashes = append(l.Hashes, edge.Hashes...)
		}
		if len(l.Hashes) < tile.W*tlog.HashSize {
			return nil, fmt.Errorf("audit: the tree of partition %d lacks hashes of tile %d of level %d", t.p, tile.N, tile.L)
		}
		data[i] = l.Hashes[:tile.W*tlog.HashSize]
	}
	return data, nil
}

// root returns the root that the tree had at a size.
func (t tree) root(size uint64) (gotong.Hash, error) {
	if size == 0 {
		var empty proof.Tree
		return empty.Root(), nil
	}
	h, err := tlog.TreeHash(int64(size), t) //nolint:gosec // a position
	return gotong.Hash(h), err
}

// path returns the inclusion proof of a leaf in the tree of a checkpoint. Every
// hash that it uses is verified against the checkpoint's root.
func (t tree) path(c proof.Checkpoint, index uint64) ([]gotong.Hash, error) {
	size := int64(c.Size) //nolint:gosec // a position
	checked := tlog.TileHashReader(tlog.Tree{N: size, Hash: tlog.Hash(c.Root)}, t)
	record, err := tlog.ProveRecord(size, int64(index), checked) //nolint:gosec // a position
	if err != nil && t.ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", ErrTrees, err)
	}
	path := make([]gotong.Hash, len(record))
	for i, h := range record {
		path[i] = gotong.Hash(h)
	}
	return path, err
}

// consistency returns the proof that the tree of size old is a prefix of that of
// the checkpoint, for a witness.
func (t tree) consistency(c proof.Checkpoint, old uint64) ([]gotong.Hash, error) {
	if old == 0 || old == c.Size {
		return nil, nil
	}
	list, err := tlog.ProveTree(int64(c.Size), int64(old), t) //nolint:gosec // positions
	path := make([]gotong.Hash, len(list))
	for i, h := range list {
		path[i] = gotong.Hash(h)
	}
	return path, err
}
