package reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Source is a whole log from which documents are made again.
type Source interface {
	store.Loader
	ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]store.Event, error)
	FindRegisters(ctx context.Context, r store.KeyRange) ([]store.Register, error)
}

// errFails reports a reader that cannot process a commit that it has passed.
var errFails = errors.New("the reader fails at a commit that it had processed")

// Place is how far the documents of a store were made again: up to a position of
// a partition for this reader, and completely for the readers and partitions
// before it.
type Place struct {
	Reader    string           `json:"reader"`
	Partition gotong.Partition `json:"partition"`
	Position  uint64           `json:"position"`
}

// pageRemade is smaller than the page of a runner, so that what a page causes
// fits into one write.
const pageRemade = 100

// Remake makes the documents of readers again, from the place on and up to their
// cursors, in order of name and partition. It makes no jobs, and passes the
// positions that operators have skipped. write is called with what each page
// causes; the next page begins when the store has it.
func Remake(ctx context.Context, s Source, readers []Reader, from Place, write func(to Place, changes []store.Change) error) error {
	for _, r := range sorted(readers) {
		if len(r.Collections) == 0 {
			continue
		}
		cursors, err := cursorsOf(ctx, s, r)
		if err != nil {
			return err
		}
		for p, cursor := range cursors {
			at := Place{Reader: r.Name, Partition: gotong.Partition(p)}
			switch {
			case r.Name < from.Reader || r.Name == from.Reader && at.Partition < from.Partition:
				continue
			case r.Name == from.Reader && at.Partition == from.Partition:
				at = from
			}
			if err := remake(ctx, s, &fold{reader: r, from: s}, at, cursor, pageRemade, func(to Place, m made) error {
				return write(to, m.changes)
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func sorted(readers []Reader) (list []*Reader) {
	for i := range readers {
		list = append(list, &readers[i])
	}
	slices.SortFunc(list, func(a, b *Reader) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func cursorsOf(ctx context.Context, s store.Loader, r *Reader) (cursors [gotong.Partitions]uint64, err error) {
	var need store.Need
	for p := range gotong.Partition(gotong.Partitions) {
		need.Cursors = append(need.Cursors, store.CursorKey{Reader: r.Name, Partition: p})
	}
	snap, err := s.Load(ctx, need)
	for i, key := range need.Cursors {
		cursors[i] = snap.Cursors[key]
	}
	return cursors, err
}

// remake makes the documents and pending jobs of one reader in one partition, page by
// page.
func remake(ctx context.Context, s Source, f *fold, at Place, to uint64, page int, write func(to Place, m made) error) error {
	if at.Position >= to {
		return nil
	}
	stopped, err := findAll[Stop](ctx, s, stops, fmt.Sprintf("%s %02d ", at.Reader, at.Partition))
	if err != nil {
		return err
	}
	skipped := map[uint64]bool{}
	for _, stop := range stopped {
		skipped[stop.Position] = stop.Skipped > 0
	}
	f.skips = func(position uint64) bool { return skipped[position] }
	for at.Position < to {
		rows, err := s.ReadPartition(ctx, at.Partition, at.Position, to, page)
		if errors.Is(err, store.ErrCorrupt) && skipped[at.Position+1] {
			at.Position++
			continue
		}
		if err == nil && len(rows) == 0 {
			err = fmt.Errorf("no event after position %d of partition %d: %w", at.Position, at.Partition, store.ErrCorrupt)
		}
		if err != nil {
			return err
		}
		m, err := f.steps(ctx, at.Position, commitsOf(rows), to)
		if err != nil {
			return err
		}
		if at.Position = m.to; m.stop != nil {
			return fmt.Errorf("%w: %s, position %d of partition %d: %w", errFails, at.Reader, m.to+1, at.Partition, m.stop)
		}
		if err := write(at, m); err != nil {
			return err
		}
	}
	return nil
}
