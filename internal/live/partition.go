package live

import (
	"context"
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

	// order makes publishing and watching one step each. Why nobody who was
	// removed at position R keeps receiving:
	//
	//  1. A subscription s is authorised on a snapshot of position P. R <= P: the
	//     snapshot knows of the removal. So let P < R, and let G be the stream with
	//     the event at R. s is marked if it is among G's followers or watchers when
	//     publish looks G up for R.
	//  2. G is the followed stream: s became a follower before its snapshot was
	//     read, so before R was committed, so before publish could look for it.
	//  3. G governs the followed stream: watch enters s and looks at processed in
	//     one step of order; publish looks up, marks and raises processed in one
	//     step of order. Watch first: publish finds s and marks it. Publish first:
	//     watch finds processed >= R > P, and s is read again, on a snapshot that
	//     knows of R; until then it has no grant by this one.
	//  4. A mark stays until a read that began after it is applied, and before the
	//     mark is gone the subscription takes nothing.
	//
	// The same holds where a commit cannot be read (loseAll), with everybody in
	// the place of G's followers and watchers. bind is a step of order, so that a
	// flow is either among those that loseAll marks or bound after processed was
	// raised.
	//
	// What publish prepares before the lock decides nothing: flows are looked up
	// again under it. Order comes after Session.mu and before a shard of the index
	// and flow.mu; the store is never read under it.
	order sync.Mutex

	processed  atomic.Uint64 // every event up to here is in its flow; raised under order
	completeAt atomic.Int64  // when a complete read was last begun; 0 never
	held       atomic.Bool   // a session found the partition silent since

	mu       sync.Mutex // a leaf; see Hub
	offered  []offer
	target   uint64 // there are commits up to here, as far as anybody said
	known    uint64 // and as far as this node's store or engine said
	proofs   []proof
	flows   map[*flow]struct{}
	pending  map[*sub]uint64 // made stale, not authorised anew: since which position
	progress chan struct{}   // closed at the next step, for who waits
}

type offer struct {
	ctx  context.Context //nolint:containedctx // carries trace values across the queue, nothing else
	rows []store.Event
}

// proof is a position that the store told at a moment: once it is processed,
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

// hear notes that there are commits up to a position. Who says so is not
// trusted: it only makes the tail look.
func (p *partition) hear(position uint64) {
	p.mu.Lock()
	p.target = max(p.target, position)
	p.mu.Unlock()
	p.poke()
}

// prove notes what the store said at a moment. The oldest open proof stays, so
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

// watch has the events of a stream that governs a subscription's access mark
// it. True means that the tail has passed more than the snapshot of that access
// saw: marks were perhaps missed.
func (p *partition) watch(t *flow, s *sub, seen uint64) (passed bool) {
	p.order.Lock()
	defer p.order.Unlock()
	t.watch(s)
	t.bind(p)
	return p.processed.Load() > seen
}

// bind does the same for the stream that is followed. Its subscription is
// registered since before the snapshot, so that only what the tail passed
// before the flow was known to be here can be missing.
func (p *partition) bind(t *flow, seen uint64) (passed bool) {
	p.order.Lock()
	defer p.order.Unlock()
	t.bind(p)
	return t.boundAt.Load() > seen
}

// loseAll passes the commit at a position, of which nobody knows whom it
// concerns: every ring is forgotten and every subscription authorised anew. It
// goes on from its documents, and its cursor is compared with the stream's
// head: what it lacks it reads, and comes to what is not there.
func (p *partition) loseAll(position uint64) {
	p.order.Lock()
	defer p.order.Unlock()
	p.each(func(t *flow) { t.lose(p, position) })
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
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.flows) > 0 {
		return false
	}
	p.target = min(p.target, p.known) // no other node's word moves the tail
	p.processed.Store(max(min(to, p.known), p.processed.Load()))
	p.tick()
	return true
}

// reach notes that everything up to a position is in its flow. p.order is
// held.
func (p *partition) reach(position uint64) {
	p.processed.Store(position)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tick()
}

// tick lets everyone look who waits. p.mu is held.
func (p *partition) tick() {
	if p.progress != nil {
		close(p.progress)
		p.progress = nil
	}
}

// complete settles the proofs that were reached, and wakes whoever waited for
// one.
func (p *partition) complete() {
	p.mu.Lock()
	done := false
	for len(p.proofs) > 0 && p.proofs[0].position <= p.processed.Load() {
		p.completeAt.Store(int64(p.proofs[0].at))
		p.proofs = p.proofs[1:]
		done = true
	}
	var flows []*flow
	if done && p.held.Swap(false) {
		for t := range p.flows {
			flows = append(flows, t)
		}
	}
	p.mu.Unlock()
	for _, t := range flows {
		t.wakeAll()
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
	p.mu.Lock()
	flows := make([]*flow, 0, len(p.flows))
	for t := range p.flows {
		flows = append(flows, t)
	}
	p.mu.Unlock()
	for _, t := range flows {
		f(t)
	}
}
