package live

import (
	"context"
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

// awaitProgress waits for a step of the partition, or some time.
func (h *Hub) awaitProgress(ctx context.Context, id gotong.Partition, most time.Duration) error {
	p := h.parts[id]
	p.mu.Lock()
	step := p.next()
	p.mu.Unlock()
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-step:
	case <-t.C:
	}
	return nil
}

// Stats is what the hub holds now.
type Stats struct {
	Sessions      int
	Subscriptions int // accepted
	Topics        int // streams that are followed or watched
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
