package live

import (
	"context"
	"fmt"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// pages is one stretch of a stream as each of its readers may see it: encoded
// once for all who may see all of it, and once per reader for the rest.
type pages struct {
	job    *job
	snap   *snapshot
	chunks [][]byte // the events, encoded
	whole  *Frame   // all of them
	public bool     // no event is for some readers only
	own    map[int]Frame
}

func newPages(j *job, snap *snapshot) *pages { return &pages{job: j, snap: snap} }

// encode renders the events, after checking that they are the ones after from.
func (p *pages) encode(ctx context.Context, h *Hub) error {
	p.public = true
	for i := range p.snap.rows {
		row := &p.snap.rows[i]
		if row.Seq != p.job.from+uint64(i)+1 {
			return fmt.Errorf("live: %s has a gap before %d: %w", row.Stream, row.Seq, store.ErrCorrupt)
		}
		p.public = p.public && row.Audience == ""
	}
	work, err := p.snap.readings(ctx, h)
	if err != nil {
		return err
	}
	p.chunks = make([][]byte, len(work))
	for i, r := range work {
		p.chunks[i] = r.append(make([]byte, 0, len(r.data)+384))
	}
	return nil
}

// of is the page of one reader; nil where the job is none.
func (p *pages) of(reader int, g *grant) *page {
	if !p.job.page || !g.Readable {
		return nil
	}
	rows := p.snap.rows
	pg := &page{from: p.job.from, to: p.job.from, position: p.snap.position(p.snap.home())}
	if len(rows) == 0 {
		return pg
	}
	pg.to = rows[len(rows)-1].Seq
	if p.public && g.SeesAll(rows[0].Position, rows[len(rows)-1].Position) {
		if p.whole == nil {
			f := p.frame(func(*store.Event) bool { return true })
			p.whole = &f
		}
		pg.frame = *p.whole
		return pg
	}
	if f, ok := p.own[reader]; ok {
		pg.frame = f
		return pg
	}
	pg.frame = p.frame(func(e *store.Event) bool { return g.Sees(e.Position, e.Audience) })
	if p.own == nil {
		p.own = map[int]Frame{}
	}
	p.own[reader] = pg.frame
	return pg
}

// frame joins the events that sees lets through; the others are covered.
func (p *pages) frame(sees func(*store.Event) bool) Frame {
	rows := p.snap.rows
	size := 0
	for i := range rows {
		size += len(p.chunks[i]) + 1
	}
	last := &rows[len(rows)-1]
	b := appendEventsHead(startFrame(size+128+len(last.Stream)), last.Stream, p.job.from, last.Seq)
	var at gotong.Instant
	n := len(b)
	for i := range rows {
		if !sees(&rows[i]) {
			continue
		}
		if len(b) > n {
			b = append(b, ',')
		}
		b = append(b, p.chunks[i]...)
		at = rows[i].At
	}
	return endFrame(append(b, `]}`...), Events, at)
}

// keptPage is a page that all who may see all of it get, kept for those who
// come back next: after a restart thousands ask for the same one.
type keptPage struct {
	page        page
	first, last uint64 // positions of its first and last event
	made        gotong.Instant
}

const (
	maxKept  = 8                // of one stream
	keptLife = 10 * time.Second // display names in it are of then
)

// kept is the page of a job where it was encoded before; nil where it must be
// read.
func (t *topic) kept(j *job, now gotong.Instant) *keptPage {
	if !j.page {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.pages[j.from]
	if k == nil || now < k.made || now > k.made.Add(keptLife) {
		return nil
	}
	return k
}

// holds reports whether a fresh read would show what the page does, to all who
// ask: nothing up to the snapshot changed what it says, as far as the tail
// knows, and the tail knows all of it.
func (t *topic) holds(k *keptPage, snap *snapshot) bool {
	p := t.part.Load()
	if p == nil || p.processed.Load() < snap.position(p.id) {
		return false
	}
	for _, g := range snap.grants {
		if !g.Readable || !g.SeesAll(k.first, k.last) {
			return false
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return k.page.position >= t.amended
}

// keep keeps the page that whoever sees all of it got, if it is not the first
// time that it is asked for: a lone reader who is slow has no use for it. Of
// what was amended before the topic was bound, nobody told the topic: a page
// from before that is not kept.
func (t *topic) keep(p *pages, together bool, now gotong.Instant) {
	if p.whole == nil {
		return
	}
	rows := p.snap.rows
	k := &keptPage{
		page:  page{frame: *p.whole, from: p.job.from, to: rows[len(rows)-1].Seq, position: p.snap.position(p.snap.home())},
		first: rows[0].Position, last: rows[len(rows)-1].Position, made: now,
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	again := together || t.asked == k.page.from+1
	t.asked = k.page.from + 1
	heard := t.part.Load() != nil && k.page.position >= max(t.amended, t.boundAt.Load())
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
func (t *topic) expire(now gotong.Instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for from, k := range t.pages {
		if now > k.made.Add(keptLife) {
			t.weigh(func() { t.pageBytes -= len(k.page.frame.buf) })
			delete(t.pages, from)
		}
	}
}

// dropPages forgets the kept pages. t.mu is held.
func (t *topic) dropPages() { t.pages, t.pageBytes = nil, 0 }
