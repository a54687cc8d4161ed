package check

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// fold is one stream that is read from its first event to its head.
type fold struct {
	stream    gotong.Stream
	at        gotong.Head // of the events processed so far; Home is that of the head
	head      gotong.Head // in the last snapshot
	home      gotong.Partition
	position  uint64
	erasures  store.Erasures
	documents *Projection  // nil: not compared
	open      store.Record // the commit being read, whose record is not looked up yet
	records   []store.Record
	broken    bool // a fault keeps the rest from being judged
	aside     bool // it has too many documents to be read with other streams
	alone     bool // it is read by itself
}

func (c *round) fold(row store.StreamRow) *fold {
	f := &fold{stream: row.Stream, home: gotong.PartitionOf(row.Head.Home), erasures: store.Erasures{}}
	if c.o.Codec != nil {
		f.documents = NewProjection(c.s, c.o.Codec)
		f.documents.whole = true
	}
	return f
}

// broken reports a fault of the stream. The rest of the stream cannot be
// judged.
func (c *round) broken(f *fold, sort Sort, seq uint64, detail string) {
	f.broken = true
	c.unjudged(f)
	if sort == Event && c.damaged[store.Damaged{Stream: f.stream, Seq: seq}] {
		return // already reported with its position
	}
	c.o.Fault(&Fault{Sort: sort, Stream: f.stream, Seq: seq, Detail: detail})
}

// advance processes the next events of a snapshot. When all events are
// processed, it compares the last one with the head.
func (c *round) advance(ctx context.Context, f *fold, snap *store.Snapshot, events []store.Event) error {
	head := snap.Heads[f.stream]
	f.head, f.at.Home = head, head.Home
	for i := range events {
		e := &events[i]
		if e.Partition < gotong.Partitions && e.Position > snap.Positions[e.Partition] {
			c.broken(f, Event, e.Seq, "is beyond the last position of its partition")
			return nil
		}
		if fault := f.follows(c.eras, e); fault != "" {
			c.broken(f, Event, e.Seq, fault)
			return nil
		}
		if fault, err := c.erasures(ctx, f, e); fault || err != nil {
			return err
		}
		if !f.commit(e) {
			c.broken(f, Event, e.Seq, "its data cannot be read")
			return nil
		}
		c.project(ctx, f, e)
	}
	switch {
	case f.at.Seq < head.Seq && len(events) == 0:
		c.broken(f, Event, f.at.Seq+1, fmt.Sprintf("is missing; the head is at %d", head.Seq))
	case f.at.Seq > head.Seq || f.at.Seq == head.Seq && f.at != head:
		c.broken(f, Head, 0, "is not the last event")
	case f.at.Seq == head.Seq:
		if seq := f.erasures.Unnamed(); seq > 0 {
			c.broken(f, Event, seq, "is marked erased, and no later event names it")
		}
		f.close()
	}
	return nil
}

// follows returns why an event cannot be the next one, or "" if it can.
func (f *fold) follows(eras store.Eras, e *store.Event) string {
	switch {
	case e.Seq != f.at.Seq+1:
		return fmt.Sprintf("comes after event %d", f.at.Seq)
	case e.Verify(eras.At(e.Partition, e.Position)) != nil:
		return "does not match its commitments"
	case e.Prev != f.at.Chain || e.At <= f.at.At || e.Count < f.at.Count:
		return "does not follow the one before it"
	case e.Partition != f.home || e.Position < f.position:
		return "lies in another partition than its stream"
	}
	f.at = gotong.Head{Seq: e.Seq, Chain: e.Chain, At: e.At, Count: e.Count, Home: f.at.Home}
	f.position = e.Position
	return ""
}

// erasures processes an event's erasures. An event may have been read before it
// was erased, so it is read again before a fault is reported.
func (c *round) erasures(ctx context.Context, f *fold, e *store.Event) (fault bool, err error) {
	if f.erasures.See(e) == nil {
		return false, nil
	}
	seqs, _ := e.Erases()
	if len(seqs) == 0 {
		c.broken(f, Event, e.Seq, "names events to erase that it cannot erase")
		return true, nil
	}
	for _, seq := range seqs {
		if _, ok := f.erasures[seq]; ok {
			continue
		}
		snap, err := c.load(ctx, store.Need{Events: []store.EventRange{{Stream: f.stream, From: seq - 1, To: seq}}})
		whole := errors.Is(err, store.ErrCorrupt) || err == nil && (len(snap.Events[0]) != 1 || !snap.Events[0][0].Erased)
		if err != nil && !whole {
			return true, err
		}
		if whole {
			c.broken(f, Event, seq, fmt.Sprintf("has its content, although event %d erased it", e.Seq))
			return true, nil
		}
		f.erasures[seq] = false
	}
	return false, f.erasures.See(e)
}

// commit notes the record that the event's commit must have. It returns false
// if the event's data cannot be read.
func (f *fold) commit(e *store.Event) bool {
	if f.open.Position == e.Position {
		f.open.Last = e.Seq
		return true
	}
	request, err := e.Request()
	f.close()
	f.open = store.Record{Request: request, Partition: e.Partition, Position: e.Position, First: e.Seq, Last: e.Seq}
	return err == nil
}

func (f *fold) close() {
	if f.open.Position > 0 {
		f.records = append(f.records, f.open)
	}
	f.open = store.Record{}
}

// project makes the documents. If the rules do not know the event, or there are
// too many documents, the stream's documents are not compared.
func (c *round) project(ctx context.Context, f *fold, e *store.Event) {
	if f.documents == nil {
		return
	}
	before := len(f.documents.documents)
	_, err := f.documents.Changes(ctx, []store.Event{*e})
	c.held += len(f.documents.documents) - before
	detail := ""
	switch {
	case err != nil:
		detail = "documents cannot be compared: " + err.Error()
	case c.o.MaxKeys == 0 || c.held <= max(c.o.MaxKeys/heldShare, 1):
		return
	case !f.alone:
		f.aside = true
	default:
		detail = "it has more documents than this check holds at once; gotong copy --dry-run compares them"
	}
	c.unjudged(f)
	if !f.aside {
		c.o.Fault(&Fault{Sort: Unknown, Stream: f.stream, Seq: e.Seq, Detail: detail})
	}
}

// heldShare is the ratio of the documents that may be remembered to those that
// may be held while they are made and compared. It keeps one stream from
// filling a part by itself.
const heldShare = 8

// unjudged excludes the documents of a stream from the comparison and from the
// search for strays.
func (c *round) unjudged(f *fold) {
	if f.documents != nil {
		c.held -= len(f.documents.documents)
		f.documents = nil
	}
	c.remember(maphash.Comparable(seed, f.stream))
}

// The bounds of one read of streams. The number of events is bounded too,
// because a database reads up to that number before it counts their bytes: that
// many messages of the greatest length must fit into one answer.
const (
	someStreams = 16
	someEvents  = 100
	someBytes   = 256 << 10
	someRows    = 256 // records or documents of one read
	someRecords = 64  // the records whose commits are looked up in one read
)

func (f *fold) rest() store.EventRange {
	return store.EventRange{Stream: f.stream, From: f.at.Seq, To: math.MaxInt64, Limit: someEvents, MaxBytes: someBytes}
}

// read reads some streams to their heads, one piece of each at a time.
func (c *round) read(ctx context.Context, folds []*fold) error {
	for open := folds; len(open) > 0; {
		if _, err := c.piece(ctx, open, store.Need{}, nil); err != nil {
			return err
		}
		var left []*fold
		for _, f := range open {
			if !f.broken && f.at.Seq < f.head.Seq {
				left = append(left, f)
			}
		}
		open = left
		if err := c.lookUp(ctx, folds); err != nil {
			return err
		}
	}
	return nil
}

// piece reads the next events of some streams, and whatever else need names, in
// one snapshot. It returns false if an event is damaged; it has then read each
// stream by itself.
func (c *round) piece(ctx context.Context, folds []*fold, need store.Need, also func(*store.Snapshot)) (bool, error) {
	for _, f := range folds {
		need.Heads, need.Events = append(need.Heads, f.stream), append(need.Events, f.rest())
	}
	snap, err := c.load(ctx, need)
	switch {
	case err == nil:
		for i, f := range folds {
			if err := c.advance(ctx, f, &snap, snap.Events[i]); err != nil {
				return false, err
			}
		}
		if also != nil {
			also(&snap)
		}
		return true, nil
	case !errors.Is(err, store.ErrCorrupt):
		return false, err
	case len(folds) == 1:
		f := folds[0]
		detail := "is missing"
		if _, ok := errors.AsType[*store.Damaged](err); ok {
			detail = "does not match its commitments"
		}
		c.broken(f, Event, f.at.Seq+1, detail)
		return false, nil
	}
	for _, f := range folds {
		if _, err := c.piece(ctx, []*fold{f}, store.Need{}, nil); err != nil {
			return false, err
		}
	}
	return false, nil
}

// lookUp compares the records of the commits that were read.
func (c *round) lookUp(ctx context.Context, folds []*fold) error {
	var wanted []store.Record
	for _, f := range folds {
		wanted = append(wanted, f.records...)
		f.records = nil
	}
	for len(wanted) > 0 {
		some := wanted[:min(someRows, len(wanted))]
		wanted = wanted[len(some):]
		need := store.Need{}
		for i := range some {
			need.Records = append(need.Records, some[i].Request)
		}
		snap, err := c.load(ctx, need)
		if err != nil {
			return err
		}
		for i := range some {
			want, got := &some[i], snap.Records[some[i].Request]
			if got.Partition != want.Partition || got.Position != want.Position || got.First != want.First || got.Last != want.Last {
				c.o.Fault(&Fault{
					Sort: Record, Stream: want.Request.Stream, Seq: want.First, Key: want.Request.RequestID,
					Detail: "is missing or does not match the commit",
				})
			}
		}
	}
	return nil
}

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
