package store

import (
	"fmt"
	"math"

	"gotong.dev/gotong"
)

// StreamPage builds a page of an [EventRange] from the rows that an adapter reads
// in the range's order. The head says where the stream ends, so a missing row is
// never mistaken for the end: a page begins where its range does, has no hole,
// and ends at the range's end or the head unless a bound ends it. It also ends
// before an event that is missing or does not match its commitments; if that is
// the first one, the page is an error.
type StreamPage struct {
	of     EventRange
	eras   Eras
	next   uint64 // the seq that must come next
	left   uint64 // how many events must follow
	size   int
	events []Event
	fault  error
}

// NewStreamPage returns the empty page of a range of a stream that ends at head.
func NewStreamPage(of EventRange, head uint64, eras Eras) *StreamPage {
	p := &StreamPage{of: of, eras: eras, next: of.From + 1}
	end := min(of.To, head)
	if of.Descending {
		p.next = end
	}
	if of.From < end {
		p.left = min(end-of.From, uint64(Bound(of.Limit))) //nolint:gosec // 1 to 1,000
	}
	return p
}

// Wants reports whether another event belongs to the page.
func (p *StreamPage) Wants() bool { return p.left > 0 && p.fault == nil }

// Add adds the next event that exists, and reports whether another one belongs to
// the page.
func (p *StreamPage) Add(e *Event) bool {
	switch p.size += e.Size(); {
	case !p.Wants():
		return false
	case e.Seq != p.next:
		p.fault = p.missing()
		return false
	case len(p.events) > 0 && p.size > ByteBound(p.of.MaxBytes):
		p.left = 0
		return false
	}
	if p.fault = e.check(p.eras); p.fault != nil {
		return false
	}
	p.events = append(p.events, *e)
	p.left--
	p.next++
	if p.of.Descending {
		p.next -= 2
	}
	return p.left > 0
}

// Events returns the page, after every event that exists was added. Its
// [ErrCorrupt] names the event with which the page cannot begin.
func (p *StreamPage) Events() ([]Event, error) {
	if p.Wants() {
		p.fault = p.missing()
	}
	if len(p.events) == 0 {
		return nil, p.fault
	}
	return p.events, nil
}

func (p *StreamPage) missing() error {
	return fmt.Errorf("%w: %s has no event %d", ErrCorrupt, p.of.Stream, p.next)
}

// LastEvent returns the range of the newest event of a stream.
func LastEvent(s gotong.Stream) EventRange {
	return EventRange{Stream: s, To: math.MaxInt64, Descending: true, Limit: 1}
}

// CheckHead compares a stream's head with what was read as [LastEvent] in the
// same snapshot. It returns [ErrCorrupt] if the head is not that of this event.
func CheckHead(s gotong.Stream, head gotong.Head, last []Event) error {
	if len(last) == 0 && !head.Exists() {
		return nil
	}
	if len(last) == 1 {
		e := &last[0]
		left := gotong.Head{Seq: e.Seq, Chain: e.Chain, At: e.At, Count: e.Count, Home: head.Home}
		if left == head && gotong.PartitionOf(head.Home) == e.Partition {
			return nil
		}
	}
	return fmt.Errorf("%w: the head of %s is not that of its last event", ErrCorrupt, s)
}

// Damaged is the [ErrCorrupt] of an event that does not match its commitments.
type Damaged struct { //nolint:errname // the word of the docs
	Stream gotong.Stream
	Seq    uint64
}

func (d *Damaged) Error() string {
	return fmt.Sprintf("%v: event %d of %s does not match its commitments", ErrCorrupt, d.Seq, d.Stream)
}

// Unwrap returns [ErrCorrupt].
func (*Damaged) Unwrap() error { return ErrCorrupt }

// check is [Event.Verify] with an error that names the event.
func (e *Event) check(eras Eras) error {
	if e.Verify(eras.At(e.Partition, e.Position)) != nil {
		return &Damaged{e.Stream, e.Seq}
	}
	return nil
}

// PartitionPage builds what [Log.ReadPartition] returns from the commits that an
// adapter reads in order. Positions follow each other up to the last one of the
// partition, and each commit has exactly the events that its record names. So a
// commit that is missing as a whole or in part is not mistaken for the end
// either: the page ends before it, or is an error if it would begin there.
type PartitionPage struct {
	partition gotong.Partition
	eras      Eras
	at, to    uint64 // the last position added, and the last one of the page
	most      int
	events    []Event
	fault     error
}

// NewPartitionPage returns the empty page of the positions after from, up to to,
// of a partition that ends at head.
func NewPartitionPage(p gotong.Partition, from, to, head uint64, limit int, eras Eras) *PartitionPage {
	return &PartitionPage{partition: p, eras: eras, at: from, to: min(to, head), most: Bound(limit)}
}

// Wants reports whether another commit belongs to the page.
func (p *PartitionPage) Wants() bool { return p.at < p.to && len(p.events) < p.most && p.fault == nil }

// Add adds the events that exist at the next position, with the record of their
// commit as far as the adapter knows it: stream, partition, position and seqs. It
// reports whether another commit belongs to the page.
func (p *PartitionPage) Add(events []Event, r Record) bool {
	if !p.Wants() || len(events) == 0 {
		return p.Wants()
	}
	switch position := events[0].Position; {
	case position != p.at+1:
		p.fault = p.missing()
	case r.Partition != p.partition || r.Position != position || r.Last-r.First+1 != uint64(len(events)):
		p.fault = fmt.Errorf("%w: commit %d of partition %d does not match its record", ErrCorrupt, position, p.partition)
	}
	for i := range events {
		e := &events[i]
		if p.fault == nil && (e.Stream != r.Request.Stream || e.Seq != r.First+uint64(i) ||
			e.Position != r.Position || e.Partition != r.Partition) {
			p.fault = fmt.Errorf("%w: event %d of %s is not at the position of its record", ErrCorrupt, e.Seq, e.Stream)
		}
		if p.fault == nil {
			p.fault = e.check(p.eras)
		}
	}
	if p.fault == nil {
		p.events = append(p.events, events...)
		p.at++
	}
	return p.Wants()
}

// Events returns the page, after every commit that exists was added. Its
// [ErrCorrupt] names the commit with which the page cannot begin.
func (p *PartitionPage) Events() ([]Event, error) {
	if p.Wants() {
		p.fault = p.missing()
	}
	if len(p.events) == 0 {
		return nil, p.fault
	}
	return p.events, nil
}

func (p *PartitionPage) missing() error {
	return fmt.Errorf("%w: partition %d has no commit %d", ErrCorrupt, p.partition, p.at+1)
}
