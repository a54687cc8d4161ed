package live

import (
	"context"
	"fmt"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// pages is one stretch of a stream as each of its readers may see it: encoded
// once for all who may see all of it, and once per reader for the rest.
type pages struct {
	from        uint64
	snap        *view.Snapshot
	work        []*view.Row
	names       map[string]string
	chunks      [][]byte // the events, encoded with all that is laid over them
	whole       *Frame   // all of them
	public      bool     // no event is for some readers only
	first, last uint64   // of all events whose effect the chunks show
	own         map[int]Frame
}

// encode renders the events, after checking that they are the ones after from.
func (p *pages) encode(ctx context.Context, h *Hub) error {
	p.public = true
	if len(p.snap.Rows) == 0 && p.from < p.snap.State.Head.Seq {
		return fmt.Errorf("live: %s ends at %d, before its head: %w", p.snap.State.Stream, p.from, store.ErrCorrupt)
	}
	for i := range p.snap.Rows {
		row := &p.snap.Rows[i]
		if row.Seq != p.from+uint64(i)+1 {
			return fmt.Errorf("live: %s has a gap before %d: %w", row.Stream, row.Seq, store.ErrCorrupt)
		}
		r, err := p.snap.Row(i)
		if err != nil {
			return err
		}
		p.public = p.public && r.Public()
		first, last := r.Extent()
		if p.last == 0 {
			p.first = first
		}
		p.first, p.last = min(p.first, first), max(p.last, last)
		p.work = append(p.work, r)
	}
	p.names = h.named(ctx, p.work)
	p.chunks = make([][]byte, len(p.work))
	for i, r := range p.work {
		var err error
		if p.chunks[i], err = p.chunk(r, view.All, ""); err != nil {
			return err
		}
	}
	return nil
}

// chunk is the event as a viewer gets it, as the wire has it.
func (p *pages) chunk(r *view.Row, sees view.Sight, userID string) ([]byte, error) {
	shown, erased := r.Shown(sees, userID)
	data, err := rawData(r.Stored)
	if r.Overlaid() {
		data, err = overlaidData(&shown)
	}
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(data)+384)
	return appendEvent(b, &shown, r.Stored.Chain, data, func(id string) string { return p.names[id] }, erased), nil
}

// of is the page of one reader; nil where the stream is not theirs.
func (p *pages) of(reader int, g *view.Grant) (*page, error) {
	if !g.Readable {
		return nil, nil
	}
	rows := p.snap.Rows
	pg := &page{from: p.from, to: p.from, position: p.snap.Position(p.snap.Home())}
	if len(rows) == 0 {
		return pg, nil
	}
	pg.to = rows[len(rows)-1].Seq
	if p.public && g.SeesAll(p.first, p.last) {
		if p.whole == nil {
			f := p.frame(p.chunks)
			p.whole = &f
		}
		pg.frame = *p.whole
		return pg, nil
	}
	if f, ok := p.own[reader]; ok {
		pg.frame = f
		return pg, nil
	}
	chunks, err := p.seen(g)
	if err != nil {
		return nil, err
	}
	pg.frame = p.frame(chunks)
	if p.own == nil {
		p.own = map[int]Frame{}
	}
	p.own[reader] = pg.frame
	return pg, nil
}

// seen is the chunks of one reader; nil where an event is not for them.
func (p *pages) seen(g *view.Grant) ([][]byte, error) {
	chunks := make([][]byte, len(p.work))
	for i, r := range p.work {
		if !g.Sees(r.Stored.Seq, r.Stored.Audience, r.About...) {
			continue
		}
		if chunks[i] = p.chunks[i]; r.Whole(&g.Access) {
			continue
		}
		var err error
		if chunks[i], err = p.chunk(r, g.Sees, g.Viewer.UserID); err != nil {
			return nil, err
		}
	}
	return chunks, nil
}

// frame joins chunks; an event without one is covered.
func (p *pages) frame(chunks [][]byte) Frame {
	rows := p.snap.Rows
	size := 0
	for i := range chunks {
		size += len(chunks[i]) + 1
	}
	last := &rows[len(rows)-1]
	b := appendEventsHead(startFrame(size+128+len(last.Stream)), last.Stream, p.from, last.Seq)
	var at gotong.Instant
	n := len(b)
	for i := range chunks {
		if chunks[i] == nil {
			continue
		}
		if len(b) > n {
			b = append(b, ',')
		}
		b = append(b, chunks[i]...)
		at = rows[i].At
	}
	return endFrame(append(b, `]}`...), Events, at)
}

const (
	maxKept  = 8                // of one stream
	keptLife = 10 * time.Second // display names in it are of then
)

// kept returns the page after a seq if it was encoded before; nil if it must be
// read.
func (t *flow) kept(from uint64, now clock.Moment) *keptPage {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.pages[from]
	if k == nil || now > k.made.Add(keptLife) {
		return nil
	}
	return k
}

// holds reports whether a fresh read would show what the page does, to all who
// ask: nothing up to the snapshot changed its events, as far as the tail
// knows, and the tail knows all of it.
func (t *flow) holds(k *keptPage, snap *view.Snapshot) bool {
	p := t.part.Load()
	if p == nil || p.processed.Load() < snap.Position(p.id) {
		return false
	}
	for _, g := range snap.Grants {
		if !g.Readable || !g.SeesAll(k.first, k.last) {
			return false
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return k.page.position >= t.amended
}

// keep keeps the page for viewers who see all of it, unless this is the first
// request for it: a lone slow viewer has no use for it. A page from before the
// flow was bound is not kept, because the flow has missed what was amended then.
func (t *flow) keep(p *pages, together bool, now clock.Moment) {
	if p.whole == nil {
		return
	}
	rows := p.snap.Rows
	k := &keptPage{
		page:  page{frame: *p.whole, from: p.from, to: rows[len(rows)-1].Seq, position: p.snap.Position(p.snap.Home())},
		first: p.first, last: p.last, made: now,
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	again := together || t.asked == k.page.from+1
	t.asked = k.page.from + 1
	heard := t.part.Load() != nil && k.page.position >= max(t.amended, t.boundAt)
	if !again || !heard || len(t.followers) == 0 {
		return
	}
	t.weigh(func() {
		if len(t.pages) >= maxKept || t.pages == nil {
			t.dropPages()
			t.pages = map[uint64]*keptPage{}
		}
		if old := t.pages[k.page.from]; old != nil {
			t.pageBytes -= len(old.page.frame.buf)
		}
		t.pages[k.page.from] = k
		t.pageBytes += len(k.page.frame.buf)
	})
}

// expire forgets the pages that are too old to be handed out.
func (t *flow) expire(now clock.Moment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for from, k := range t.pages {
		if now > k.made.Add(keptLife) {
			t.weigh(func() { t.pageBytes -= len(k.page.frame.buf) })
			delete(t.pages, from)
		}
	}
}
