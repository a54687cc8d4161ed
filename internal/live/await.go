package live

import (
	"context"
	"slices"

	"gotong.dev/gotong"
)

// Await returns once this node's tail has processed the position, every
// subscription whose access that may have changed was authorised anew or
// ended, and no write of older frames of an ended one is under way. A removal
// waits for it before it answers (contract D13). The error is ctx's.
func (h *Hub) Await(ctx context.Context, id gotong.Partition, position uint64) error {
	p := h.parts[id]
	for {
		p.order.Lock()
		if p.processed.Load() >= position && p.settled(position) {
			p.order.Unlock()
			return nil
		}
		step := p.next()
		p.order.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-step:
		}
	}
}

// settled reports whether no subscription is stale since this position or an
// earlier one. p.order is held.
func (p *partition) settled(position uint64) bool {
	for _, since := range p.pending {
		if since <= position {
			return false
		}
	}
	return true
}

// next is closed at the partition's next step. p.order is held.
func (p *partition) next() <-chan struct{} {
	if p.progress == nil {
		p.progress = make(chan struct{})
	}
	return p.progress
}

// Arrival returns a channel that is closed once this node's tail has passed the
// event seq of a stream, and a function that ends the wait; in is the partition
// of the stream.
func (h *Hub) Arrival(stream gotong.Stream, in gotong.Partition, seq uint64) (arrived <-chan struct{}, stop func()) {
	kind, err := h.views.Kind(stream)
	if err != nil { // it will never have an event
		return nil, func() {}
	}
	t := h.acquire(stream, kind)
	p := h.parts[in]
	p.order.Lock()
	p.bind(t)
	p.order.Unlock()
	w := t.await(seq)
	return w.done, func() {
		t.forgo(w)
		h.release(t)
	}
}

// await has the tail signal when the stream's head is at seq.
func (t *flow) await(seq uint64) *readWait {
	w := &readWait{seq, make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads = append(t.reads, w)
	t.endReads()
	return w
}

func (t *flow) forgo(w *readWait) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads = slices.DeleteFunc(t.reads, func(o *readWait) bool { return o == w })
}

// Stats is what the hub holds now.
type Stats struct {
	Sessions      int
	Subscriptions int // accepted
	Flows         int // streams that are followed or watched
	RingBytes     int
	Silent        int // partitions without a fresh complete read
	Stale         int // subscriptions that are being authorised anew
}

// Stats counts.
func (h *Hub) Stats() Stats {
	now := h.opt.Clock.Mono()
	st := Stats{Subscriptions: int(h.subscriptions.Load()), RingBytes: int(h.ringBytes.Load())}
	h.mu.Lock()
	st.Sessions = len(h.sessions)
	h.mu.Unlock()
	for _, p := range h.parts {
		p.order.Lock()
		st.Flows += len(p.flows)
		st.Stale += len(p.pending)
		p.order.Unlock()
		if !p.fresh(now) {
			st.Silent++
		}
	}
	return st
}
