package live

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// partition is one part of the log and the tail that follows it.
type partition struct {
	hub  *Hub
	id   gotong.Partition
	wake chan struct{} // holds at most one wake-up

	// order makes publishing and watching one step each, which is what the proof
	// of removal in DESIGN.md rests on.
	order    sync.Mutex // guards what follows; see Hub
	flows    map[*flow]struct{}
	pending  map[*sub]uint64 // made stale, not authorised anew: since which position
	progress chan struct{}   // closed at the next step, for those who wait

	processed  atomic.Uint64 // every event up to here is in its flow; raised under order
	completeAt atomic.Int64  // when a complete read was last begun; 0 never
	held       atomic.Bool   // a session found the partition silent since

	mu      sync.Mutex // a leaf; guards what follows
	offered []offer
	target  uint64 // there are commits up to here, as far as any node reported
	known   uint64 // and as far as this node's store or engine reported
	proofs  []proof
}

type offer struct {
	ctx  context.Context //nolint:containedctx // carries trace values across the queue, nothing else
	rows []store.Event
}

// proof is a position that the store returned at a moment: once it is processed,
// the read was complete as of then.
type proof struct {
	position uint64
	at       clock.Moment
}

func newPartition(h *Hub, id gotong.Partition) *partition {
	return &partition{
		hub: h, id: id, wake: make(chan struct{}, 1),
		flows: map[*flow]struct{}{}, pending: map[*sub]uint64{},
	}
}

func (p *partition) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// offer queues one commit of this node; without room the store is read. It
// wakes the other nodes here, whatever the tail does with the commit.
func (p *partition) offer(ctx context.Context, rows []store.Event) {
	p.mu.Lock()
	room := len(p.offered) < p.hub.limits.Offered
	if room {
		p.offered = append(p.offered, offer{ctx, rows})
	}
	p.known = max(p.known, rows[0].Position)
	p.target = max(p.target, p.known)
	p.mu.Unlock()
	p.poke()
	newest := &rows[len(rows)-1]
	p.hub.publish(bus.Message{Wake: &bus.Wake{
		Partition: p.id, Position: newest.Position, Stream: newest.Stream, Seq: newest.Seq,
	}})
	if !room {
		p.hub.observer.Dropped("offer", 1)
	}
}

// hear notes that there are commits up to a position. The sender is not
// trusted: the message only makes the tail look.
func (p *partition) hear(position uint64) {
	p.mu.Lock()
	p.target = max(p.target, position)
	p.mu.Unlock()
	p.poke()
}

// prove notes a position that the store returned at a moment. The oldest open proof stays, so
// that a tail that lags but moves is never called silent for lack of one.
func (p *partition) prove(position uint64, at clock.Moment) {
	p.mu.Lock()
	p.known = max(p.known, position)
	p.target = max(p.target, p.known)
	if len(p.proofs) == 2 {
		p.proofs = p.proofs[:1]
	}
	p.proofs = append(p.proofs, proof{position, at})
	p.mu.Unlock()
	p.poke()
}

// start begins after what is there already.
func (p *partition) start(position uint64) {
	p.order.Lock()
	defer p.order.Unlock()
	p.reach(position)
}

// watch is the step in which a subscription that was read at a position enters
// for what governs its access. True means that the tail has passed more than
// that read saw, at a time when an event would not have marked the subscription
// or would not have come into its flow: read again.
//
// For its own stream, the subscription is among the followers since before the
// read, so that only what came before the flow was bound can be missing.
func (p *partition) watch(s *sub, governing []*flow, seen uint64) (passed bool) {
	p.order.Lock()
	defer p.order.Unlock()
	p.bind(s.flow)
	passed = s.flow.boundAt > seen
	for _, t := range governing {
		p.bind(t)
		if t.watch(s) && p.processed.Load() > seen {
			passed = true
		}
	}
	return passed
}

// bind notes that a stream is in the partition: from now on the tail skips no
// event of it. What it passed before was perhaps not pushed. p.order is held.
func (p *partition) bind(t *flow) {
	if t.part.Load() == nil {
		t.boundAt = p.processed.Load()
		t.part.Store(p)
		p.flows[t] = struct{}{}
	}
}

// forget drops a flow that nobody needs any more.
func (p *partition) forget(t *flow) {
	p.order.Lock()
	defer p.order.Unlock()
	delete(p.flows, t)
}

// loseAll passes the commit at a position, of which nobody knows whom it
// concerns: every ring is forgotten and every subscription authorised anew. It
// goes on from its documents, and its cursor is compared with the stream's
// head: what it lacks it reads, and comes to what is not there.
func (p *partition) loseAll(position uint64) {
	p.order.Lock()
	defer p.order.Unlock()
	for t := range p.flows {
		t.lose(p, position)
	}
	p.reach(position)
}

// fresh reports whether events may be handed out live: neither the last
// complete read nor the last look at ended logins is older than the limit.
func (p *partition) fresh(now clock.Moment) bool {
	at := clock.Moment(p.completeAt.Load())
	if seen := p.hub.opt.LoginsSeen; seen != nil {
		at = min(at, seen())
	}
	return at != 0 && now <= at.Add(p.hub.limits.Fresh)
}

// skip jumps to a position where nobody needs anything of the partition.
func (p *partition) skip(to uint64) bool {
	p.order.Lock()
	defer p.order.Unlock()
	if len(p.flows) > 0 {
		return false
	}
	p.mu.Lock()
	p.target = min(p.target, p.known) // no other node's word moves the tail
	to = min(to, p.known)
	p.mu.Unlock()
	p.reach(max(to, p.processed.Load()))
	return true
}

// reach notes that everything up to a position is in its flow. p.order is
// held.
func (p *partition) reach(position uint64) {
	p.processed.Store(position)
	p.tick()
}

// tick wakes all who wait for the partition. p.order is held.
func (p *partition) tick() {
	if p.progress != nil {
		close(p.progress)
		p.progress = nil
	}
}

// complete settles the proofs that were reached, and wakes the sessions that waited for
// one.
func (p *partition) complete() {
	p.mu.Lock()
	done := false
	for len(p.proofs) > 0 && p.proofs[0].position <= p.processed.Load() {
		p.completeAt.Store(int64(p.proofs[0].at))
		p.proofs = p.proofs[1:]
		done = true
	}
	p.mu.Unlock()
	if done && p.held.Swap(false) {
		p.each((*flow).wakeAll)
	}
}

// trim drops the frames of flows that were quiet since then.
func (p *partition) trim(since clock.Moment) {
	n := 0
	p.each(func(t *flow) {
		if t.trim(since) {
			n++
		}
	})
	p.hub.observer.Dropped("ring", n)
}

// each calls f for every flow of the partition, without a lock.
func (p *partition) each(f func(*flow)) {
	p.order.Lock()
	flows := slices.Collect(maps.Keys(p.flows))
	p.order.Unlock()
	for _, t := range flows {
		f(t)
	}
}
