package live

import (
	"context"
	"slices"
	"time"

	"gotong.dev/gotong"
)

// Await returns once this node's tail has processed the position, every
// subscription whose access that may have changed was authorised anew or
// ended, and no write of older frames of an ended one is under way. A removal
// waits for it before it answers (contract D13). The error is ctx's.
func (h *Hub) Await(ctx context.Context, id gotong.Partition, position uint64) error {
	p := h.parts[id]
	for {
		p.mu.Lock()
		if p.processed.Load() >= position && p.settled(position) {
			p.mu.Unlock()
			return nil
		}
		step := p.next()
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-step:
		}
	}
}

// settled reports whether no subscription is stale since this position or an
// earlier one. p.mu is held.
func (p *partition) settled(position uint64) bool {
	for _, since := range p.pending {
		if since <= position {
			return false
		}
	}
	return true
}

// next is closed at the partition's next step. p.mu is held.
func (p *partition) next() <-chan struct{} {
	if p.progress == nil {
		p.progress = make(chan struct{})
	}
	return p.progress
}

const (
	// notYetAfter is how long a read waits for an event (contract D21).
	notYetAfter = 5 * time.Second
	// maxReadWaits is how many reads of one user wait at once.
	maxReadWaits = 8
	// maxReadAhead is how far beyond the head a read may wait for: a client
	// that knows of an event knows of one that is there, or nearly.
	maxReadAhead = 1000
)

// readWait is a read that waits until its stream has an event.
type readWait struct {
	seq  uint64
	done chan struct{} // closed when it has
}

// readLater waits until the stream has the event seq of the query, and reads
// once more. However busy the stream and its partition are, that is two reads:
// the tail signals when the head is there.
func (h *Hub) readLater(ctx context.Context, reader gotong.Reader, q Query, head gotong.Head) (Page, error) {
	if q.MinSeq-head.Seq > maxReadAhead {
		return Page{}, gotong.NewError(gotong.CodeCursorAhead, "The position is far ahead of the stream.")
	}
	if !h.mayWait(reader.UserID) {
		return Page{}, gotong.NewError(gotong.CodeRateLimited, "Too many of your reads are waiting already; try again later.")
	}
	defer h.waited(reader.UserID)
	kind, err := h.kind(q.Stream)
	if err != nil {
		return Page{}, err
	}
	late := time.NewTimer(notYetAfter)
	defer late.Stop()
	t := h.topics.acquire(h, q.Stream, kind)
	defer h.topics.release(t)
	p := h.parts[gotong.PartitionOf(head.Home)]
	p.order.Lock()
	t.bind(p)
	p.order.Unlock()
	w := t.await(q.MinSeq)
	defer t.forgo(w)
	page, err := h.readOnce(ctx, reader, q) // it may have come before it was waited for
	if err != nil || page.Head.Seq >= q.MinSeq {
		return page, err
	}
	select {
	case <-ctx.Done():
		return Page{}, ctx.Err()
	case <-w.done:
	case <-late.C: // the tail may be late itself
	}
	if page, err = h.readOnce(ctx, reader, q); err != nil || page.Head.Seq >= q.MinSeq {
		return page, err
	}
	return Page{}, gotong.NewError(gotong.CodeNotYet, "The stream has not reached that position yet.")
}

// mayWait counts one more read of a user that waits, where there may be one.
func (h *Hub) mayWait(userID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reads[userID] >= maxReadWaits {
		return false
	}
	h.reads[userID]++
	return true
}

func (h *Hub) waited(userID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reads[userID]--; h.reads[userID] == 0 {
		delete(h.reads, userID)
	}
}

// await has the tail signal when the stream's head is at seq.
func (t *topic) await(seq uint64) *readWait {
	w := &readWait{seq, make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads = append(t.reads, w)
	t.tellReads()
	return w
}

// forgo ends such a wait.
func (t *topic) forgo(w *readWait) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads = slices.DeleteFunc(t.reads, func(o *readWait) bool { return o == w })
}

// tellReads ends the waits for what is there. t.mu is held.
func (t *topic) tellReads() {
	t.reads = slices.DeleteFunc(t.reads, func(w *readWait) bool {
		there := t.ring.known && t.ring.head >= w.seq
		if there {
			close(w.done)
		}
		return there
	})
}

// Stats is what the hub holds now.
type Stats struct {
	Sessions      int
	Subscriptions int // accepted
	Topics        int // streams that are followed or watched
	RingBytes     int
	Silent        int // partitions without a fresh complete read
	Stale         int // subscriptions that are being authorised anew
	Reads         int // that wait for an event
}

// Stats counts.
func (h *Hub) Stats() Stats {
	now := h.opt.Clock.Mono()
	st := Stats{Subscriptions: int(h.subscriptions.Load()), RingBytes: int(h.ringBytes.Load())}
	h.mu.Lock()
	st.Sessions = len(h.sessions)
	for _, n := range h.reads {
		st.Reads += n
	}
	h.mu.Unlock()
	for _, p := range h.parts {
		p.mu.Lock()
		st.Topics += len(p.topics)
		st.Stale += len(p.pending)
		p.mu.Unlock()
		if !p.fresh(now) {
			st.Silent++
		}
	}
	return st
}
