package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Whole is a source whose documents can be listed.
type Whole interface {
	Source
	Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error)
}

// Difference is a document or job of a reader that is not what the events make.
type Difference struct {
	Key     gotong.Key    // of the document; without a collection, it concerns more than one, or a job
	Job     string        // the id of the job
	Stream  gotong.Stream // that the job is about, if its body says so
	Detail  string
	Unknown bool // whether documents differ cannot be determined
}

const (
	pageCompared = 1000 // events
	someCompared = 64   // documents
	keySize      = 128  // about, of a key in memory
)

var errTooMany = errors.New("it has more documents than this check holds at once; gotong copy --dry-run compares them")

// comparison compares the documents of one reader.
type comparison struct {
	s       Whole
	reader  *Reader
	most    int
	report  func(Difference)
	stored  map[gotong.Key]bool // documents that were stored at the beginning; true: no run has named it yet
	alone   map[gotong.Key]bool // what is compared, with each commit as a run of its own; nil: everything
	partial bool                // some partition could not be read
	ends    []Place             // up to where each one was read
}

// Compare makes the documents and jobs of a reader again in memory, one partition at a
// time, and reports how those of the store differ. Readers may advance meanwhile; what a
// rebuild is changing is not compared. most bounds the bytes of the documents that
// are held at once; 0 is no bound.
func Compare(ctx context.Context, s Whole, r *Reader, most int, report func(Difference)) error {
	if r.Ran != nil {
		if err := compareJobs(ctx, s, r, report); err != nil {
			return err
		}
	}
	if len(r.Collections) == 0 {
		return nil
	}
	before, clearing, err := rebuilt(ctx, s, r)
	if err != nil || clearing {
		return err
	}
	c := &comparison{s: s, reader: r, most: most, report: report, stored: map[gotong.Key]bool{}}
	if err = c.list(ctx); err == nil {
		err = c.partitions(ctx)
	}
	if err == nil {
		err = c.again(ctx)
	}
	if errors.Is(err, errTooMany) {
		report(Difference{Detail: err.Error(), Unknown: true})
		return nil
	}
	if err != nil || c.partial || len(c.alone) == 0 {
		return err
	}
	return c.strays(ctx, before)
}

// again compares those stored documents that no run has named and that still exist. A
// run need not name what it makes and removes again, and the runs of the reader were
// others. A commit alone names everything that was ever stored.
func (c *comparison) again(ctx context.Context) error {
	if c.partial {
		return nil
	}
	c.alone = map[gotong.Key]bool{}
	var unnamed []gotong.Key
	for key, is := range c.stored {
		if is {
			unnamed = append(unnamed, key)
		}
	}
	for some := range slices.Chunk(unnamed, someCompared) {
		snap, err := c.s.Load(ctx, store.Need{Documents: some})
		if err != nil {
			return err
		}
		for key := range snap.Documents {
			c.alone[key] = true
		}
	}
	if len(c.alone) == 0 {
		return nil
	}
	c.ends = nil
	return c.partitions(ctx)
}

// strays reports the stored documents that no event concerned, unless a rebuild or
// an erasure may be why.
func (c *comparison) strays(ctx context.Context, before uint64) error {
	for _, at := range c.ends {
		if erased, err := c.erased(ctx, at); err != nil || erased {
			return err
		}
	}
	after, _, err := rebuilt(ctx, c.s, c.reader)
	if err != nil || after != before {
		return err
	}
	for key := range c.alone {
		if c.stored[key] {
			c.report(Difference{Key: key, Detail: "exists, although no event made it"})
		}
	}
	return nil
}

// rebuilt returns the version of the register of a reader's rebuilds, and whether
// one has not ended.
func rebuilt(ctx context.Context, s store.Loader, r *Reader) (version uint64, clearing bool, err error) {
	key := rebuildKey(r.Name)
	snap, err := s.Load(ctx, store.Need{Registers: []gotong.Key{key}})
	if err != nil {
		return 0, false, err
	}
	mark, err := markIn(&snap, r.Name)
	return snap.Registers[key].Version, mark.Clearing, err
}

// list lists the stored documents before the log is read: the events that made
// them lie before the cursors, which only a rebuild moves back.
func (c *comparison) list(ctx context.Context) error {
	for after := ""; ; {
		rows, err := c.s.Rows(ctx, store.AllDocuments, after, store.MaxRead)
		if err != nil {
			return err
		}
		for i := range rows.Documents {
			if key := rows.Documents[i].Key; slices.Contains(c.reader.Collections, key.Collection) {
				c.stored[key] = true
			}
		}
		if c.most > 0 && len(c.stored)*keySize > c.most {
			return errTooMany
		}
		if after = rows.Next; after == "" {
			return nil
		}
	}
}

func (c *comparison) partitions(ctx context.Context) (err error) {
	for p := gotong.Partition(0); p < gotong.Partitions && err == nil; p++ {
		err = c.partition(ctx, p)
	}
	return err
}

// partition makes the documents of a partition again, and compares them.
func (c *comparison) partition(ctx context.Context, p gotong.Partition) error {
	f, at := &fold{reader: c.reader, alone: c.alone != nil}, Place{Reader: c.reader.Name, Partition: p}
	cursor := store.CursorKey{Reader: c.reader.Name, Partition: p}
	snap, err := c.s.Load(ctx, store.Need{Cursors: []store.CursorKey{cursor}})
	if err == nil {
		err = c.advance(ctx, f, &at, snap.Cursors[cursor])
	}
	keys := slices.Collect(maps.Keys(f.docs))
	if c.alone != nil {
		keys = slices.DeleteFunc(keys, func(key gotong.Key) bool { return !c.alone[key] })
	}
	for some := range slices.Chunk(keys, someCompared) {
		if err != nil {
			break
		}
		snap, err = c.s.Load(ctx, store.Need{Documents: some, Cursors: []store.CursorKey{cursor}})
		if err == nil && snap.Cursors[cursor] < at.Position { // its documents are being made again
			return nil
		}
		if err == nil {
			err = c.advance(ctx, f, &at, snap.Cursors[cursor])
		}
		if err == nil {
			err = c.some(ctx, f, at, snap.Documents, some)
		}
	}
	switch {
	case errors.Is(err, store.ErrCorrupt):
		c.partial = true
		c.report(Difference{Unknown: true, Detail: fmt.Sprintf("documents of partition %d cannot be compared: %s", p, firstLine(err))})
	case errors.Is(err, errFails):
		c.partial = true
		c.report(Difference{Detail: "documents cannot be made again: " + firstLine(err)})
	default:
		c.ends = append(c.ends, at)
		return err
	}
	return nil
}

// advance makes the documents up to a position.
func (c *comparison) advance(ctx context.Context, f *fold, at *Place, to uint64) error {
	return remake(ctx, c.s, f, *at, to, pageCompared, func(reached Place, m made) error {
		*at = reached
		for i := range m.changes {
			key := m.changes[i].Key
			if _, is := c.stored[key]; is {
				c.stored[key] = false
			} else if m.changes[i].Body == nil {
				delete(f.docs, key) // it has left nothing to compare
			}
		}
		if c.most > 0 && f.size+len(f.docs)*keySize > c.most {
			return errTooMany
		}
		return nil
	})
}

// some compares documents that were read in one snapshot with the cursor. An event
// after it may have erased what the stored ones still hold, so nothing is reported
// until the reader has passed the erasure.
func (c *comparison) some(ctx context.Context, f *fold, at Place, stored map[gotong.Key][]byte, keys []gotong.Key) error {
	different := slices.DeleteFunc(keys, func(key gotong.Key) bool {
		kept, is := stored[key]
		return is == (f.docs[key] != nil) && bytes.Equal(kept, f.docs[key])
	})
	if len(different) == 0 {
		return nil
	}
	if erased, err := c.erased(ctx, at); err != nil || erased {
		return err
	}
	for _, key := range different {
		_, is := stored[key]
		detail := "differs from what the events make"
		switch {
		case !is:
			detail = "is missing"
		case f.docs[key] == nil:
			detail = "exists, although the log has removed it"
		}
		c.report(Difference{Key: key, Detail: detail})
	}
	return nil
}

// erased reports whether an event after this place erases others, or may.
func (c *comparison) erased(ctx context.Context, at Place) (bool, error) {
	for {
		rows, err := c.s.ReadPartition(ctx, at.Partition, at.Position, maxPosition, pageCompared)
		if errors.Is(err, store.ErrCorrupt) {
			return true, nil
		}
		if err != nil || len(rows) == 0 {
			return false, err
		}
		if (Commit{Events: rows}).erases() {
			return true, nil
		}
		at.Position = rows[len(rows)-1].Position
	}
}
