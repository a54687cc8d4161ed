package live

import "gotong.dev/gotong"

// entry is one event of a stream, encoded once for everyone who may see it.
type entry struct {
	frame    Frame
	audience gotong.Audience
	about    []uint64 // seqs of the events that it speaks of
}

// ring is the recent events of a stream: those with base < seq <= head, no
// more than its limits allow. Before the stream's head is known it is empty
// and known is false.
type ring struct {
	slots      []entry // circular; its length is a power of two
	start      int
	base, head uint64
	bytes      int
	restricted uint64 // seq of the newest entry that is not for all, or is about another event
	known      bool
}

const firstSlots = 8

func (r *ring) len() int { return int(r.head - r.base) } //nolint:gosec // bounded by the limits

// at is the entry of a seq with base < seq <= head.
func (r *ring) at(seq uint64) *entry {
	return &r.slots[(r.start+int(seq-r.base-1))&(len(r.slots)-1)] //nolint:gosec // bounded by len
}

// begin makes head known where it is not.
func (r *ring) begin(head uint64) {
	if !r.known {
		r.known, r.base, r.head = true, head, head
	}
}

// forget empties the ring and forgets where the stream is.
func (r *ring) forget() {
	*r = ring{}
}

// push appends an event newer than head and drops the oldest beyond the limits.
// One that does not follow starts the ring anew, so that nobody takes it for
// the next.
func (r *ring) push(seq uint64, e entry, frames, bytes int) {
	if !r.known || seq != r.head+1 {
		r.cut(r.head)
		r.known, r.base, r.head = true, seq-1, seq-1
	}
	if r.len() == len(r.slots) {
		r.grow()
	}
	r.head = seq
	*r.at(seq) = e
	r.bytes += len(e.frame.buf)
	if e.audience != "" || len(e.about) > 0 {
		r.restricted = seq
	}
	for r.len() > frames || r.bytes > bytes && r.len() > 1 {
		r.drop()
	}
}

// skip notes an event newer than head that nobody here follows the stream for.
func (r *ring) skip(seq uint64) {
	r.cut(r.head)
	r.known, r.base, r.head = true, seq, seq
}

// cut drops what is older than the events after seq.
func (r *ring) cut(seq uint64) {
	for r.base < seq && r.base < r.head {
		r.drop()
	}
	if r.len() == 0 {
		r.slots, r.start = nil, 0
	}
}

func (r *ring) drop() {
	e := &r.slots[r.start]
	r.bytes -= len(e.frame.buf)
	*e = entry{}
	r.start = (r.start + 1) & (len(r.slots) - 1)
	r.base++
}

func (r *ring) grow() {
	bigger := make([]entry, max(firstSlots, 2*len(r.slots)))
	for i := range r.len() {
		bigger[i] = *r.at(r.base + 1 + uint64(i))
	}
	r.slots, r.start = bigger, 0
}
