package live

import (
	"context"
	"fmt"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// pages is one stretch of a stream as each of its readers may see it: encoded
// once for all who may see all of it, and once per reader for the rest.
type pages struct {
	job         *job
	snap        *snapshot
	work        []*reading
	chunks      [][]byte // the events, encoded with all that is laid over them
	whole       *Frame   // all of them
	public      bool     // no event is for some readers only
	first, last uint64   // of all events whose effect the chunks show
	own         map[int]Frame
}

func newPages(j *job, snap *snapshot) *pages { return &pages{job: j, snap: snap} }

// encode renders the events, after checking that they are the ones after from.
func (p *pages) encode(ctx context.Context, h *Hub) error {
	p.public = true
	if len(p.snap.rows) == 0 && p.job.from < p.snap.state.Head.Seq {
		return fmt.Errorf("live: %s ends at %d, before its head: %w", p.job.stream, p.job.from, store.ErrCorrupt)
	}
	for i := range p.snap.rows {
		row := &p.snap.rows[i]
		if row.Seq != p.job.from+uint64(i)+1 {
			return fmt.Errorf("live: %s has a gap before %d: %w", row.Stream, row.Seq, store.ErrCorrupt)
		}
		r, err := p.snap.reading(h, i)
		if err != nil {
			return err
		}
		p.public = p.public && row.Audience == "" && (r.over == nil || r.over.row == nil || r.over.row.Audience == "")
		p.reach(r)
		p.work = append(p.work, r)
	}
	h.nameAll(ctx, p.work)
	p.chunks = make([][]byte, len(p.work))
	for i, r := range p.work {
		var err error
		if p.chunks[i], err = r.chunk(p.snap.kind, all); err != nil {
			return err
		}
	}
	return nil
}

// reach widens the stretch that a viewer must see by what an event shows.
func (p *pages) reach(r *reading) {
	if p.last == 0 {
		p.first = r.row.Seq
	}
	p.last = max(p.last, r.row.Seq)
	for _, seq := range r.about {
		p.first, p.last = min(p.first, seq), max(p.last, seq)
	}
	if r.over != nil && r.over.laid != (gotong.Laid{}) {
		p.first, p.last = min(p.first, r.over.laid.First), max(p.last, r.over.laid.Last)
	}
}

// chunk is the event as a viewer gets it, as the wire has it.
func (r *reading) chunk(kind *gotong.Kind, sees sight) ([]byte, error) {
	shown := *r
	var err error
	if shown.event, shown.gone = r.shown(kind, sees); r.over != nil {
		shown.data, err = overlaidData(&shown.event)
	} else {
		shown.data, err = rawData(r.row)
	}
	if err != nil {
		return nil, err
	}
	return shown.append(make([]byte, 0, len(shown.data)+384)), nil
}

// of is the page of one reader; nil where the job is none.
func (p *pages) of(reader int, g *grant) (*page, error) {
	if !p.job.page || !g.Readable {
		return nil, nil
	}
	rows := p.snap.rows
	pg := &page{from: p.job.from, to: p.job.from, position: p.snap.position(p.snap.home())}
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
func (p *pages) seen(g *grant) ([][]byte, error) {
	chunks := make([][]byte, len(p.work))
	for i, r := range p.work {
		if !g.Sees(r.row.Seq, r.row.Audience, r.about...) {
			continue
		}
		if chunks[i] = p.chunks[i]; r.shownWhole(g) {
			continue
		}
		var err error
		if chunks[i], err = r.chunk(p.snap.kind, g.Sees); err != nil {
			return nil, err
		}
	}
	return chunks, nil
}

// shownWhole reports whether a reader sees all that is laid over the event.
func (r *reading) shownWhole(g *grant) bool {
	if r.over == nil || r.over.laid == (gotong.Laid{}) {
		return true
	}
	text := r.over.row
	return g.SeesAll(r.over.laid.First, r.over.laid.Last) && (text == nil || g.Sees(text.Seq, text.Audience, r.over.about...))
}

// frame joins chunks; an event without one is covered.
func (p *pages) frame(chunks [][]byte) Frame {
	rows := p.snap.rows
	size := 0
	for i := range chunks {
		size += len(chunks[i]) + 1
	}
	last := &rows[len(rows)-1]
	b := appendEventsHead(startFrame(size+128+len(last.Stream)), last.Stream, p.job.from, last.Seq)
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

// keptPage is a page that all who may see all of it get, kept for those who
// come back next: after a restart thousands ask for the same one.
type keptPage struct {
	page        page
	first, last uint64 // of all events whose effect it shows
	made        clock.Moment
}

const (
	maxKept  = 8                // of one stream
	keptLife = 10 * time.Second // display names in it are of then
)

// kept is the page of a job where it was encoded before; nil where it must be
// read.
func (t *topic) kept(j *job, now clock.Moment) *keptPage {
	if !j.page {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.pages[j.from]
	if k == nil || now > k.made.Add(keptLife) {
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
func (t *topic) keep(p *pages, together bool, now clock.Moment) {
	if p.whole == nil {
		return
	}
	rows := p.snap.rows
	k := &keptPage{
		page:  page{frame: *p.whole, from: p.job.from, to: rows[len(rows)-1].Seq, position: p.snap.position(p.snap.home())},
		first: p.first, last: p.last, made: now,
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
func (t *topic) expire(now clock.Moment) {
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
