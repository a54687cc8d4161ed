package live

import (
	"time"

	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/view"
)

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
