package live

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/store"
)

var errGap = errors.New("live: the store does not show a commit that there must be")

// tailRead is how many events the tail reads from the store at once.
const tailRead = 500

// partition is one part of the log and the tail that follows it.
type partition struct {
	hub  *Hub
	id   gotong.Partition
	wake chan struct{} // holds at most one wake-up

	processed  atomic.Uint64 // every event up to here is in its topic
	completeAt atomic.Int64  // when a complete read was last begun; 0 never
	held       atomic.Bool   // a session found the partition silent since

	mu       sync.Mutex // a leaf; see Hub
	offered  []offer
	target   uint64 // there are commits up to here, as far as anybody said
	known    uint64 // and as far as this node's store or engine said
	proofs   []proof
	topics   map[*topic]struct{}
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
	at       gotong.Instant
}

func newPartition(h *Hub, id gotong.Partition) *partition {
	return &partition{
		hub: h, id: id, wake: make(chan struct{}, 1),
		topics: map[*topic]struct{}{}, pending: map[*sub]uint64{},
	}
}

func (p *partition) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// offer queues one commit of this node; without room the store is read.
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
func (p *partition) prove(position uint64, at gotong.Instant) {
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
func (p *partition) start(position uint64) { p.reach(position) }

// fresh reports whether events may be handed out live: the last complete read
// is not older than the limit, nor of the future.
func (p *partition) fresh(now gotong.Instant) bool {
	at := gotong.Instant(p.completeAt.Load())
	return at != 0 && now >= at && now <= at.Add(p.hub.limits.Fresh)
}

// run follows the partition until ctx ends.
func (p *partition) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for wait := time.Duration(0); ; {
			err := p.step(ctx)
			if err == nil {
				break
			}
			p.hub.observer.Fault(err)
			wait = min(max(2*wait, 50*time.Millisecond), time.Second)
			if !pause(ctx, wait) {
				return
			}
		}
	}
}

// pause waits; false where ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// step processes what was offered, and from the store what was not.
func (p *partition) step(ctx context.Context) error {
	for {
		offers := p.queued()
		err := p.advance(ctx, offers)
		p.complete()
		if err != nil || !p.more() {
			return err
		}
	}
}

func (p *partition) queued() []offer {
	p.mu.Lock()
	defer p.mu.Unlock()
	offers := p.offered
	p.offered = nil
	inOrder := func(a, b offer) int { return cmp.Compare(a.rows[0].Position, b.rows[0].Position) }
	if !slices.IsSortedFunc(offers, inOrder) {
		slices.SortFunc(offers, inOrder)
	}
	return offers
}

func (p *partition) more() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.offered) > 0 || p.target > p.processed.Load()
}

// advance takes runs of offers that follow and fills the gaps from the store.
func (p *partition) advance(ctx context.Context, offers []offer) error {
	for len(offers) > 0 {
		next := p.processed.Load() + 1
		n := 0
		for n < len(offers) && offers[n].rows[0].Position == next+uint64(n) {
			n++
		}
		switch {
		case n > 0:
			p.takeOffers(ctx, offers[:n])
			offers = offers[n:]
		case offers[0].rows[0].Position < next:
			offers = offers[1:]
		default:
			if err := p.read(ctx, offers[0].rows[0].Position-1); err != nil {
				p.putBack(offers)
				return err
			}
			if p.processed.Load() < next {
				p.putBack(offers)
				return errGap
			}
		}
	}
	p.mu.Lock()
	target := p.target
	if len(p.offered) > 0 {
		target = min(target, p.offered[0].rows[0].Position-1)
	}
	p.mu.Unlock()
	return p.read(ctx, target)
}

func (p *partition) putBack(offers []offer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offered = append(slices.Clone(offers), p.offered...)
}

// takeOffers publishes commits of this node, and tells the other nodes.
func (p *partition) takeOffers(ctx context.Context, offers []offer) {
	last := &offers[len(offers)-1]
	newest := &last.rows[len(last.rows)-1]
	if !p.skip(newest.Position) {
		p.publish(ctx, func(yield func(*store.Event) bool) {
			for _, o := range offers {
				for i := range o.rows {
					if !yield(&o.rows[i]) {
						return
					}
				}
			}
		}, newest.Position)
	}
	for _, o := range offers {
		e := &o.rows[len(o.rows)-1]
		p.hub.observer.Published(o.ctx, e.Stream, e.Seq, e.At)
	}
	p.hub.tell(bus.Message{Wake: &bus.Wake{
		Partition: p.id, Position: newest.Position, Stream: newest.Stream, Seq: newest.Seq,
	}})
}

// skip jumps to a position where nobody needs anything of the partition.
func (p *partition) skip(to uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.topics) > 0 {
		return false
	}
	p.target = min(p.target, p.known) // no other node's word moves the tail
	p.processed.Store(max(min(to, p.known), p.processed.Load()))
	p.tick()
	return true
}

// read publishes from the store up to a position.
func (p *partition) read(ctx context.Context, to uint64) error {
	for p.processed.Load() < to {
		if p.skip(to) {
			return nil
		}
		from := p.processed.Load()
		rows, err := p.fetch(ctx, from, to, tailRead)
		switch {
		case errors.Is(err, store.ErrCorrupt):
			if err := p.readAround(ctx, from); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case len(rows) == 0: // whoever told us was wrong
			p.mu.Lock()
			p.target = from
			p.mu.Unlock()
			return nil
		}
		p.publish(ctx, func(yield func(*store.Event) bool) {
			for i := range rows {
				if !yield(&rows[i]) {
					return
				}
			}
		}, rows[len(rows)-1].Position)
	}
	return nil
}

func (p *partition) fetch(ctx context.Context, from, to uint64, limit int) ([]store.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, p.hub.limits.Read)
	defer cancel()
	return p.hub.opt.Store.ReadPartition(ctx, p.id, from, to, limit)
}

// readAround passes one commit of which nothing can be read, if it is that one
// that is corrupt. Nobody knows whom it concerned: every subscription of the
// partition is authorised anew and goes on from its documents.
func (p *partition) readAround(ctx context.Context, from uint64) error {
	rows, err := p.fetch(ctx, from, from+1, 1)
	switch {
	case err == nil && len(rows) > 0:
		p.publish(ctx, func(yield func(*store.Event) bool) {
			for i := range rows {
				if !yield(&rows[i]) {
					return
				}
			}
		}, from+1)
		return nil
	case err == nil:
		return errGap
	case !errors.Is(err, store.ErrCorrupt):
		return err
	}
	p.hub.observer.Fault(err)
	p.each(func(t *topic) { t.lose(p, from+1) })
	p.reach(from + 1)
	return nil
}

// publish takes whole commits in order: first everything that may have changed
// somebody's access, then the frames. So no frame at or beyond a removal can be
// taken by whom it removed.
func (p *partition) publish(ctx context.Context, rows func(func(*store.Event) bool), last uint64) {
	var work []*reading
	for row := range rows {
		if t := p.hub.topics.lookup(row.Stream); t != nil {
			work = append(work, p.hub.open(t, row))
		}
	}
	p.hub.nameAll(ctx, work)
	var touched []*topic
	for _, r := range work {
		if r.err != nil {
			p.hub.observer.Fault(r.err)
			r.topic.batch = nil
			r.topic.lose(p, r.row.Position)
			continue
		}
		if affects := r.topic.kind.Affects; affects != nil {
			r.topic.affect(p, r.row.Position, affects(r.event))
		}
		if len(r.topic.batch) == 0 {
			touched = append(touched, r.topic)
		}
		r.topic.batch = append(r.topic.batch, p.hub.pushed(r))
	}
	now := p.hub.opt.Now()
	for _, t := range touched {
		t.flush(now)
	}
	p.reach(last)
}

// reach notes that everything up to a position is in its topic.
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
	var topics []*topic
	if done && p.held.Swap(false) {
		for t := range p.topics {
			topics = append(topics, t)
		}
	}
	p.mu.Unlock()
	for _, t := range topics {
		t.wakeAll()
	}
}

// trim drops the frames of topics that were quiet since then.
func (p *partition) trim(since gotong.Instant) {
	n := 0
	p.each(func(t *topic) {
		if t.trim(since) {
			n++
		}
	})
	p.hub.observer.Dropped("ring", n)
}
