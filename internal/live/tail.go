package live

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

var errGap = errors.New("live: the store does not show a commit that there must be")

// tailRead is how many events the tail reads from the store at once.
const tailRead = 500

func (p *partition) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for wait := time.Duration(0); ; {
			err := store.Guard(func() error { return p.step(ctx) })
			if err == nil {
				break
			}
			p.hub.observer.Fault(err)
			wait = min(max(2*wait, 50*time.Millisecond), time.Second)
			if !clock.Pause(ctx, wait) {
				return
			}
		}
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
			p.takeOffers(offers[:n])
			offers = offers[n:]
		case offers[0].rows[0].Position < next: // found by the poll before it was offered
			p.taken(offers[:1])
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

// takeOffers publishes commits of this node.
func (p *partition) takeOffers(offers []offer) {
	var rows []*store.Event
	for _, o := range offers {
		rows = appendRows(rows, o.rows)
	}
	if !p.skip(rows[len(rows)-1].Position) {
		p.publish(rows)
	}
	p.taken(offers)
}

func appendRows(list []*store.Event, rows []store.Event) []*store.Event {
	for i := range rows {
		list = append(list, &rows[i])
	}
	return list
}

// taken notes that commits of this node are published.
func (p *partition) taken(offers []offer) {
	for _, o := range offers {
		e := &o.rows[len(o.rows)-1]
		p.hub.observer.Published(o.ctx, e.Stream, e.Seq, e.At)
	}
}

// read publishes from the store up to a position. A commit of which something
// is missing or damaged is passed: nobody knows whom it concerned.
func (p *partition) read(ctx context.Context, to uint64) error {
	for hole := false; p.processed.Load() < to; {
		if p.skip(to) {
			return nil
		}
		from := p.processed.Load()
		rows, err := p.fetch(ctx, from, to)
		switch {
		case errors.Is(err, store.ErrCorrupt):
			if !hole { // however wide it is
				p.hub.observer.Fault(err)
			}
			hole = true
			p.loseAll(from + 1)
			continue
		case err != nil:
			return err
		case len(rows) == 0:
			return p.doubt(from)
		}
		hole = false
		p.publish(appendRows(nil, rows))
	}
	return nil
}

// doubt is called where the store has nothing after a position. If only another
// node announced more, it was wrong. If this node's own store or engine did,
// the store has lost it or lags, and nothing is complete until it is there.
func (p *partition) doubt(from uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known > from {
		return errGap
	}
	p.target = from
	return nil
}

func (p *partition) fetch(ctx context.Context, from, to uint64) ([]store.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return p.hub.opt.Store.ReadPartition(ctx, p.id, from, to, tailRead)
}

// publish processes whole commits in order. Decoding and encoding come first,
// because they need no lock; what follows is one step of the partition.
func (p *partition) publish(rows []*store.Event) {
	arrivals := make([]arrival, len(rows))
	for i, row := range rows {
		arrivals[i].row = row
		if t := p.hub.lookup(row.Stream); t != nil {
			arrivals[i] = p.hub.open(t, row, t.followed())
		}
	}
	p.order.Lock()
	defer p.order.Unlock()
	p.spread(arrivals)
	p.reach(rows[len(rows)-1].Position)
}

// open decodes a row for a flow, and encodes it if somebody follows and the names
// in it are in memory. Without a frame, followers read it in a page, which asks for
// names.
func (h *Hub) open(t *flow, row *store.Event, followed bool) (a arrival) {
	a = arrival{entry: entry{audience: row.Audience}, row: row, flow: t}
	if !followed && t.kind.Affects == nil {
		return a
	}
	if a.event, a.err = h.opt.Codec.Event(row); a.err != nil {
		return a
	}
	a.keeps = t.kind.Amends != nil && !t.kind.Amends(a.event)
	if !followed || row.Erased || !h.knows(&a.event) { // of an erased one, the page shows what is left
		return a
	}
	data, err := rawData(row)
	if a.err = err; err != nil {
		return a
	}
	a.about = t.kind.AboutOf(a.event)
	b := appendEventsHead(startFrame(len(data)+len(row.Stream)+512), row.Stream, row.Seq-1, row.Seq)
	b = appendEvent(b, &a.event, row.Chain, data, h.remembered, row.Erased)
	a.frame = endFrame(append(b, `]}`...), Events, row.At)
	return a
}

// spread hands rows to the flows that there are now: first everything that may
// have changed somebody's access, then the frames. So a removed user cannot
// take a frame at or beyond the removal. p.order is held.
func (p *partition) spread(arrivals []arrival) {
	var touched []*flow
	for i := range arrivals {
		a := &arrivals[i]
		t := p.hub.lookup(a.row.Stream)
		if t == nil {
			continue
		}
		if a.flow == nil { // it came since: its followers read the event in a page
			*a = p.hub.open(t, a.row, false)
		}
		if a.err != nil {
			p.hub.observer.Fault(a.err)
			t.batch = nil
			t.lose(p, a.row.Position)
			continue
		}
		if t.kind.Affects != nil {
			t.affect(p, a.row.Position, t.kind.Affects(a.event))
		}
		if len(t.batch) == 0 {
			touched = append(touched, t)
		}
		t.batch = append(t.batch, a)
	}
	now := p.hub.opt.Clock.Mono()
	for _, t := range touched {
		t.flush(now)
	}
}
