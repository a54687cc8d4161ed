package check

import (
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Order checks event by event what a log shows when it is read in order of
// partition, position and seq: nothing is missing, doubled or moved, each event
// matches its commitments, and erasures are named. Whether an event follows the
// one before it in its stream is checked by [Run].
type Order struct {
	Eras    store.Eras
	Partial bool // it begins within the log, so erasures are not checked

	begun    bool
	last     store.Event // without payloads
	erasures map[gotong.Stream]store.Erasures
}

// Check checks the next event.
func (o *Order) Check(e *store.Event) error {
	if e.Partition >= gotong.Partitions || e.Position == 0 || e.Seq == 0 {
		return fmt.Errorf("%s, event %d has no valid place in the log: %w", e.Stream, e.Seq, store.ErrCorrupt)
	}
	if err := e.Verify(o.Eras.At(e.Partition, e.Position)); err != nil {
		return fmt.Errorf("%s, event %d: %w", e.Stream, e.Seq, err)
	}
	if err := o.follows(e); err != nil {
		return err
	}
	if err := o.erased(e); err != nil {
		return fmt.Errorf("%s: %w", e.Stream, err)
	}
	o.begun = true
	o.last = store.Event{Stream: e.Stream, Seq: e.Seq, Partition: e.Partition, Position: e.Position}
	return nil
}

func (o *Order) erased(e *store.Event) error {
	seqs, err := e.Erases()
	if o.Partial || err == nil && len(seqs) == 0 && !e.Erased {
		return err
	}
	if o.erasures == nil {
		o.erasures = map[gotong.Stream]store.Erasures{}
	}
	if o.erasures[e.Stream] == nil {
		o.erasures[e.Stream] = store.Erasures{}
	}
	return o.erasures[e.Stream].See(e)
}

// End is called after the last event. It returns an error if an event is marked
// erased and no event names it.
func (o *Order) End() error {
	for stream, seen := range o.erasures {
		if seq := seen.Unnamed(); seq > 0 {
			return fmt.Errorf("%s, event %d, is marked erased and no later event names it; if the log was in use, "+
				"it may have been erased meanwhile: run the check again: %w", stream, seq, store.ErrCorrupt)
		}
	}
	return nil
}

func (o *Order) follows(e *store.Event) error {
	was := &o.last
	switch {
	case !o.begun: // or begun at a mark
		return nil
	case e.Partition > was.Partition && e.Position == 1:
		return nil
	case e.Partition == was.Partition && e.Position == was.Position+1:
		return nil
	case e.Partition == was.Partition && e.Position == was.Position && e.Stream == was.Stream && e.Seq == was.Seq+1:
		return nil
	}
	return fmt.Errorf("%s, event %d, at %d of partition %d does not follow the event before it: %w",
		e.Stream, e.Seq, e.Position, e.Partition, store.ErrCorrupt)
}
