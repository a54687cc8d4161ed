package check

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

type round struct {
	s    Store
	o    Options
	eras store.Eras
	mark Mark

	expected map[uint64]struct{} // hashes of the keys of this part's documents
	over     bool                // there are more documents than may be remembered
	held     int                 // documents of the streams that are read together
	damaged  map[store.Damaged]bool
	holes    int // found in the partition
	streams  uint64
}

// errParts reports that the streams must be divided into more parts.
var errParts = errors.New("check: more documents than are remembered at once")

// Run runs one round. It returns an error if the round could not finish; faults
// of the log are passed to Options.Fault.
func Run(ctx context.Context, s Store, o Options) error {
	c := &round{s: s, o: o, mark: o.Begin, damaged: map[store.Damaged]bool{}}
	c.mark.Parts = max(c.mark.Parts, 1)
	for c.mark.Phase < phaseEnd {
		state, err := s.State(ctx)
		if err != nil {
			return err
		}
		c.eras = state.Eras
		at := c.mark.Phase
		err = c.phase(ctx)
		if errors.Is(err, store.ErrCorrupt) { // an unreadable row; the other phases still run
			c.o.Fault(&Fault{Sort: sorts[at], Key: "some row", Detail: err.Error()})
			c.mark, err = Mark{Phase: at + 1, Parts: c.mark.Parts}, nil
		}
		if err != nil {
			return err
		}
		if c.o.Reached != nil {
			if err := c.o.Reached(c.mark); err != nil {
				return err
			}
		}
	}
	return nil
}

// sorts is the sort of row that each phase mostly reads.
var sorts = [phaseEnd]Sort{phasePartitions: Event, phaseStreams: Head, phaseRecords: Record, phaseClaims: Claim,
	phaseReaders: Document}

// phase runs the next piece of the round and moves the mark.
func (c *round) phase(ctx context.Context) error {
	switch c.mark.Phase {
	case phasePartitions:
		return c.partition(ctx)
	case phaseStreams:
		err := c.part(ctx)
		if errors.Is(err, errParts) {
			c.mark.Part, c.mark.Parts = 0, c.mark.Parts*8
			return nil
		}
		if c.mark.Part++; err == nil && c.mark.Part >= c.mark.Parts {
			c.mark.Phase, c.mark.Part = phaseRecords, 0
		}
		return err
	case phaseRecords:
		c.mark.Phase = phaseClaims
		return c.each(ctx, store.AllRecords, func(rows *store.Rows) error {
			return c.records(ctx, slices.DeleteFunc(rows.Records, func(r store.Record) bool { return r.Position == 0 }))
		})
	case phaseClaims:
		c.mark.Phase = phaseReaders
		return c.each(ctx, store.AllClaims, func(rows *store.Rows) error { return c.claims(ctx, rows.Claims) })
	default:
		if int(c.mark.Part) >= len(c.o.Readers) {
			c.mark.Phase, c.mark.Part = phaseEnd, 0
			return nil
		}
		r := &c.o.Readers[c.mark.Part]
		c.mark.Part++
		return c.reader(ctx, r)
	}
}

// reader compares the documents of a reader, and checks its indexes of words.
func (c *round) reader(ctx context.Context, r *reader.Reader) error {
	checker, checks := c.s.(interface { // only SQLite can check its index
		CheckTexts(ctx context.Context, collection string) error
	})
	for _, name := range r.Collections {
		if !checks || !store.OfTexts(name) {
			continue
		}
		err := checker.CheckTexts(ctx, name)
		if errors.Is(err, store.ErrCorrupt) {
			c.o.Fault(&Fault{
				Sort: Document, Key: "of reader " + r.Name,
				Detail: "its index of words is damaged; gotong reader rebuild " + r.Name + " makes it again",
			})
			err = nil
		}
		if err := c.paced(ctx, err); err != nil {
			return err
		}
	}
	return reader.Compare(ctx, paced{c.s, c}, r, c.o.MaxBytes, func(d reader.Difference) {
		fault := &Fault{Sort: Document, Key: "of reader " + r.Name + ", " + nameOf(d.Key), Detail: d.Detail}
		switch {
		case d.Unknown:
			fault.Sort, fault.Key = Unknown, "of reader "+r.Name
		case d.Job != "":
			fault.Sort, fault.Stream, fault.Key = Job, d.Stream, d.Job
		case d.Key.Collection == "":
			fault.Key = "of reader " + r.Name
		}
		c.o.Fault(fault)
	})
}

// paced is the store of a round for its readers: it waits after each read.
type paced struct {
	Store
	c *round
}

// Load implements [store.Loader].
func (p paced) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	return p.c.load(ctx, need)
}

// Rows implements [Store].
func (p paced) Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error) {
	rows, err := p.Store.Rows(ctx, section, after, limit)
	return rows, p.c.paced(ctx, err)
}

// ReadPartition implements [Store].
func (p paced) ReadPartition(ctx context.Context, id gotong.Partition, from, to uint64, limit int) ([]store.Event, error) {
	rows, err := p.Store.ReadPartition(ctx, id, from, to, limit)
	return rows, p.c.paced(ctx, err)
}

func (c *round) paced(ctx context.Context, err error) error {
	if err == nil && c.o.Pace != nil {
		err = c.o.Pace(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

func (c *round) load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := c.s.Load(ctx, need)
	return snap, c.paced(ctx, err)
}

// each reads a section page by page.
func (c *round) each(ctx context.Context, section store.Section, do func(*store.Rows) error) error {
	for after := ""; ; {
		rows, err := c.s.Rows(ctx, section, after, store.MaxRead)
		if err := c.paced(ctx, err); err != nil {
			return err
		}
		if err := do(&rows); err != nil {
			return err
		}
		if after = rows.Next; after == "" {
			return nil
		}
	}
}

// partition reads the next page of a partition in order of position.
func (c *round) partition(ctx context.Context) error {
	p, from := c.mark.Partition, c.mark.Position
	order := Order{Eras: c.eras, Partial: true}
	events, err := c.s.ReadPartition(ctx, p, from, maxPosition, store.MaxRead)
	if err = c.paced(ctx, err); err != nil && !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	switch {
	case err != nil: // a page ends before a fault, so the fault is at the next position
		c.hole(p, from+1, err)
		c.mark.Position = from + 1
		if c.holes++; c.holes < maxHoles {
			return nil
		}
		c.position(p, from+1, "is one of too many missing positions; the round skips the rest of the partition")
		fallthrough
	case len(events) == 0:
		c.mark.Partition, c.mark.Position, c.holes = p+1, 0, 0
		if c.mark.Partition == gotong.Partitions {
			c.mark = Mark{Phase: phaseStreams, Parts: c.mark.Parts}
		}
		return nil
	}
	c.mark.Position = events[len(events)-1].Position
	for i := range events {
		if err := order.Check(&events[i]); err != nil {
			c.position(events[i].Partition, events[i].Position, err.Error())
			order = Order{Eras: c.eras, Partial: true}
		}
	}
	return c.headed(ctx, events)
}

const (
	maxPosition = 1<<62 - 1
	// maxHoles bounds the damaged positions that are reported of one partition.
	// If a partition's last position was changed, any number may seem to be
	// missing.
	maxHoles = 100
)

// headed reports events that lie beyond the head of their stream.
func (c *round) headed(ctx context.Context, events []store.Event) error {
	last := map[gotong.Stream]uint64{}
	var need store.Need
	for i := range events {
		if last[events[i].Stream] == 0 {
			need.Heads = append(need.Heads, events[i].Stream)
		}
		last[events[i].Stream] = events[i].Seq
	}
	snap, err := c.load(ctx, need)
	if err != nil {
		return err
	}
	for _, stream := range need.Heads {
		if snap.Heads[stream].Seq < last[stream] {
			c.o.Fault(&Fault{Sort: Head, Stream: stream, Detail: fmt.Sprintf("is before event %d", last[stream])})
		}
	}
	return nil
}

// hole reports the fault at a position. A damaged event is not reported again
// with its stream.
func (c *round) hole(p gotong.Partition, position uint64, err error) {
	event, ok := errors.AsType[*store.Damaged](err)
	if !ok {
		c.position(p, position, err.Error())
		return
	}
	c.damaged[*event] = true
	c.o.Fault(&Fault{Sort: Event, Stream: event.Stream, Seq: event.Seq, Detail: "does not match its commitments"})
}

func (c *round) position(p gotong.Partition, position uint64, detail string) {
	c.o.Fault(&Fault{Sort: Event, Key: fmt.Sprintf("position %d of partition %d", position, p), Detail: detail})
}

// mine reports whether a stream belongs to the part that is being read.
func (c *round) mine(stream gotong.Stream) bool {
	if c.mark.Parts == 1 {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(stream))
	return h.Sum32()/gotong.Partitions%c.mark.Parts == c.mark.Part
}

// part reads the streams of one part, then looks for documents that no event
// made.
func (c *round) part(ctx context.Context) error {
	c.expected, c.over = map[uint64]struct{}{}, false
	err := c.each(ctx, store.AllStreams, func(rows *store.Rows) error {
		var some []*fold
		for _, row := range rows.Streams {
			if c.mine(row.Stream) {
				some = append(some, c.fold(row))
			}
		}
		for len(some) > 0 {
			n := min(someStreams, len(some))
			if err := c.some(ctx, some[:n]); err != nil {
				return err
			}
			some = some[n:]
		}
		return nil
	})
	if err == nil {
		err = c.strays(ctx)
	}
	return err
}

func (c *round) some(ctx context.Context, folds []*fold) error {
	c.held = 0
	if err := c.read(ctx, folds); err != nil {
		return err
	}
	if err := c.documents(ctx, folds); err != nil {
		return err
	}
	if c.streams += uint64(len(folds)); c.o.Progress != nil {
		c.o.Progress(c.streams)
	}
	var aside []gotong.Stream
	for i, f := range folds {
		if f.aside {
			aside = append(aside, f.stream)
		}
		folds[i] = nil // its documents are no longer needed
	}
	for _, stream := range aside {
		if err := c.alone(ctx, stream, nil); err != nil {
			return err
		}
	}
	if c.over {
		return errParts
	}
	return nil
}

// records looks for records without a commit. The record of each commit was
// already compared when its stream was read.
func (c *round) records(ctx context.Context, rows []store.Record) error {
	for len(rows) > 0 {
		some := rows[:min(someRecords, len(rows))]
		rows = rows[len(some):]
		err := c.ofCommits(ctx, some)
		if errors.Is(err, store.ErrCorrupt) && len(some) > 1 {
			for i := range some {
				if err := c.records(ctx, some[i:i+1]); err != nil {
					return err
				}
			}
			continue
		}
		if err != nil && !errors.Is(err, store.ErrCorrupt) { // a damaged event was reported with its stream
			return err
		}
	}
	return nil
}

func (c *round) ofCommits(ctx context.Context, some []store.Record) error {
	var need store.Need
	for i := range some {
		first := max(some[i].First, 1)
		need.Events = append(need.Events, store.EventRange{Stream: some[i].Request.Stream, From: first - 1, To: first})
	}
	snap, err := c.load(ctx, need)
	if err != nil {
		return err
	}
	for i := range some {
		r, found := &some[i], false
		for j := range snap.Events[i] {
			request, err := snap.Events[i][j].Request()
			found = err == nil && request == r.Request && snap.Events[i][j].Position == r.Position
		}
		if !found {
			c.o.Fault(&Fault{Sort: Record, Stream: r.Request.Stream, Seq: r.First, Key: r.Request.RequestID, Detail: "has no commit"})
		}
	}
	return nil
}

// claims looks for claims of streams that do not exist.
func (c *round) claims(ctx context.Context, rows []store.ClaimRow) error {
	need := store.Need{}
	for i := range rows {
		need.Heads = append(need.Heads, rows[i].Stream)
	}
	snap, err := c.load(ctx, need)
	if err != nil {
		return err
	}
	for i := range rows {
		if !snap.Heads[rows[i].Stream].Exists() {
			c.o.Fault(&Fault{Sort: Claim, Stream: rows[i].Stream, Key: rows[i].Claim.Space, Detail: "names a stream that does not exist"})
		}
	}
	return nil
}
