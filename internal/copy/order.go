package copy

import (
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// order checks, event by event, what can be said of a log that is read in
// order of partition, position and seq: that nothing is left out, doubled or
// moved, and that each event matches its commitments. Whether an event follows
// the one before it in its stream is seen when the chains are checked.
type order struct {
	eras  store.Eras
	begun bool
	last  store.Event // without payloads
}

func (o *order) check(e *store.Event) error {
	if e.Partition >= gotong.Partitions || e.Position == 0 || e.Seq == 0 {
		return fmt.Errorf("%s, event %d has no place in the log: %w", e.Stream, e.Seq, store.ErrCorrupt)
	}
	if err := e.Verify(o.eras.At(e.Partition, e.Position)); err != nil {
		return fmt.Errorf("%s, event %d: %w", e.Stream, e.Seq, err)
	}
	if err := o.follows(e); err != nil {
		return err
	}
	o.begun = true
	o.last = store.Event{Stream: e.Stream, Seq: e.Seq, Partition: e.Partition, Position: e.Position}
	return nil
}

func (o *order) follows(e *store.Event) error {
	was := &o.last
	switch {
	case !o.begun: // or read on from a mark
		return nil
	case e.Partition > was.Partition && e.Position == 1:
		return nil
	case e.Partition == was.Partition && e.Position == was.Position+1:
		return nil
	case e.Partition == was.Partition && e.Position == was.Position && e.Stream == was.Stream && e.Seq == was.Seq+1:
		return nil
	}
	return fmt.Errorf("%s, event %d, at %d of partition %d does not follow what was before it: %w",
		e.Stream, e.Seq, e.Position, e.Partition, store.ErrCorrupt)
}
