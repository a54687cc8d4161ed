package check

import (
	"bytes"
	"context"
	"hash/maphash"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// keyed is a document that a stream's events project to.
type keyed struct {
	fold *fold
	key  gotong.Key
}

// documents compares the stored documents of streams that were read to their
// heads with the expected ones, each in a snapshot of its own head, and
// remembers their keys.
func (c *round) documents(ctx context.Context, folds []*fold) error {
	var wanted []keyed
	for _, f := range folds {
		if f.documents == nil || f.broken {
			continue
		}
		for key := range f.documents.documents {
			wanted = append(wanted, keyed{f, key})
		}
	}
	for len(wanted) > 0 {
		some := wanted[:min(someRows, len(wanted))]
		left, err := c.compare(ctx, some)
		if err != nil {
			return err
		}
		wanted = append(left, wanted[len(some):]...)
	}
	return nil
}

// compare compares some documents. It returns those of streams that have grown
// by more than one piece, to be compared later.
func (c *round) compare(ctx context.Context, some []keyed) (left []keyed, err error) {
	var folds []*fold
	var need store.Need
	for _, k := range some {
		if !slices.Contains(folds, k.fold) {
			folds = append(folds, k.fold)
		}
		need.Documents = append(need.Documents, k.key)
	}
	whole, err := c.piece(ctx, folds, need, func(snap *store.Snapshot) {
		for _, k := range some {
			switch {
			case k.fold.broken || k.fold.documents == nil:
			case k.fold.at.Seq < k.fold.head.Seq:
				left = append(left, k)
			default:
				c.same(k, snap.Documents[k.key])
			}
		}
	})
	if err == nil && !whole {
		left = slices.DeleteFunc(slices.Clone(some), func(k keyed) bool { return k.fold.broken })
	}
	if err == nil {
		err = c.lookUp(ctx, folds)
	}
	return left, err
}

// same compares one document, as the program would decode it.
func (c *round) same(k keyed, kept []byte) {
	doc := k.fold.documents.documents[k.key]
	fault := ""
	c.expect(k.key)
	if doc == nil {
		if kept != nil {
			fault = "exists, although the log has removed it"
		}
	} else {
		made, err := store.EncodeChange(gotong.Change{Key: k.key, Doc: doc})
		switch {
		case err != nil:
			fault = "cannot be made"
		case kept == nil:
			fault = "is missing"
		case !bytes.Equal(made.Body, kept) && !c.reads(k.key, kept, made.Body):
			fault = "differs from what the events make"
		}
	}
	if fault != "" {
		c.o.Fault(&Fault{Sort: Document, Stream: k.fold.stream, Key: nameOf(k.key), Detail: fault})
	}
}

// reads reports whether a stored document, perhaps written in another form by
// an older program, decodes to what the events make.
func (c *round) reads(key gotong.Key, kept, made []byte) bool {
	doc, err := c.o.Codec.Document(key.Collection, kept)
	if err != nil {
		return false
	}
	again, err := store.EncodeChange(gotong.Change{Key: key, Doc: doc})
	return err == nil && bytes.Equal(again.Body, made)
}

func nameOf(key gotong.Key) string {
	return strings.TrimRight(strings.Join([]string{key.Collection, key.Owner, key.Name}, " "), " ")
}

// seed is the seed of the hashes of keys. It is random, so nobody can choose
// keys that collide.
var seed = maphash.MakeSeed()

// expect remembers that a document should exist.
func (c *round) expect(key gotong.Key) { c.remember(maphash.Comparable(seed, key)) }

func (c *round) remember(hash uint64) {
	c.expected[hash] = struct{}{}
	c.over = c.over || c.o.MaxKeys > 0 && len(c.expected) > c.o.MaxKeys
}

// expects reports whether a document was compared, or cannot be.
func (c *round) expects(stream gotong.Stream, key gotong.Key) bool {
	_, known := c.expected[maphash.Comparable(seed, key)]
	_, passed := c.expected[maphash.Comparable(seed, stream)]
	return known || passed
}

// strays looks for documents that no event made. An unexpected document may be
// new, so its stream is read again before it is reported, once for all of a
// page.
func (c *round) strays(ctx context.Context) error {
	if c.o.Codec == nil {
		return nil
	}
	return c.each(ctx, store.AllDocuments, func(rows *store.Rows) error {
		found := map[gotong.Stream][]gotong.Key{}
		for i := range rows.Documents {
			key := rows.Documents[i].Key
			stream, known := c.o.Codec.StreamOf(key)
			if known && c.mine(stream) && !c.expects(stream, key) {
				found[stream] = append(found[stream], key)
			}
		}
		for stream, keys := range found {
			if err := c.alone(ctx, stream, keys); err != nil {
				return err
			}
		}
		return nil
	})
}

// alone reads a stream by itself and compares the documents that its events
// make or, if strays are named, only the strays. Faults of the stream itself
// are not reported here, because the round reports them.
func (c *round) alone(ctx context.Context, stream gotong.Stream, strays []gotong.Key) error {
	snap, err := c.load(ctx, store.Need{Heads: []gotong.Stream{stream}})
	if err != nil {
		return err
	}
	report := c.o.Fault
	defer func() { c.o.Fault = report }()
	c.o.Fault = func(*Fault) {}
	if strays == nil {
		c.o.Fault = func(fault *Fault) {
			if fault.Sort == Document || fault.Sort == Unknown {
				report(fault)
			}
		}
		delete(c.expected, maphash.Comparable(seed, stream)) // set when the stream was excluded
	}
	f := c.fold(store.StreamRow{Stream: stream, Head: snap.Heads[stream]})
	f.alone, c.held = true, 0
	if f.head = snap.Heads[stream]; f.head.Exists() {
		err = c.read(ctx, []*fold{f})
	}
	if err != nil || f.documents == nil {
		return err
	}
	named := map[string]bool{}
	for _, key := range strays {
		named[nameOf(key)] = true
		if f.documents.documents[key] == nil {
			f.documents.documents[key] = nil // so that it is compared too, in the newest state of the stream
		}
	}
	if strays != nil {
		c.o.Fault = func(fault *Fault) {
			if fault.Sort == Document && named[fault.Key] {
				fault.Detail = "exists, although no event made it"
				report(fault)
			}
		}
	}
	if f.head.Exists() {
		return c.documents(ctx, []*fold{f})
	}
	for _, key := range strays {
		c.same(keyed{f, key}, []byte{})
	}
	return nil
}
