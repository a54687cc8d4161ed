package live

import (
	"context"
	"slices"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// loader reads for subscriptions: pages for those that are behind, documents
// for those whose access may have changed. Requests for the same stretch of a
// stream that wait together are one read, and while a page is being read, the
// requests that come for it wait for the next read: of many viewers who return
// to one stream, each takes no slot. A slot is held for the read alone, not for
// the pause before it is tried again.
type loader struct {
	hub *Hub

	mu    sync.Mutex // see Hub
	pages queue      // of new subscriptions and of those behind; first come, first served
	auths queue      // of stale ones: they do not wait behind pages
}

// queue is jobs in order, each found by what it reads.
type queue struct {
	jobs    []*job
	byKey   map[jobKey]*job
	reading map[jobKey]bool // now; nil: the same may be read several times at once
	workers int
	most    int
}

type jobKey struct {
	stream gotong.Stream
	from   uint64
	page   bool
}

type job struct {
	jobKey
	subs  []*sub
	auth  bool // of the queue auths
	tries int  // that failed
}

// request is one subscription of a job under way.
type request struct {
	sub    *sub
	marks  uint32 // before the snapshot
	reader gotong.Viewer
	first  bool // asks for its first visible event
}

const (
	authWorkers = 8    // authorisations at once: small reads, wanted soon
	maxTogether = 1024 // readers in one read
	maxTries    = 8    // of one read whose fault may pass
)

func newLoader(h *Hub) *loader {
	return &loader{
		hub:   h,
		pages: queue{byKey: map[jobKey]*job{}, reading: map[jobKey]bool{}, most: h.limits.CatchUps},
		auths: queue{byKey: map[jobKey]*job{}, most: authWorkers},
	}
}

// enter asks for the first read of a new subscription.
func (l *loader) enter(s *sub) {
	k := jobKey{stream: s.flow.stream}
	if s.start.mode == fromCursor {
		k.from, k.page = s.start.cursor.Seq, true
	}
	l.add(&l.pages, k, s)
}

// page asks for the next page of a subscription that is behind.
func (l *loader) page(s *sub) {
	l.add(&l.pages, jobKey{s.flow.stream, s.cursor, true}, s)
}

// authorise asks for the documents that decide access.
func (l *loader) authorise(s *sub) {
	l.add(&l.auths, jobKey{stream: s.flow.stream}, s)
}

// again repeats the read that was just found wanting.
func (l *loader) again(s *sub) {
	switch {
	case s.grant == nil:
		l.enter(s)
	case s.paging && s.page == nil:
		l.page(s)
	default:
		l.authorise(s)
	}
}

func (l *loader) add(q *queue, k jobKey, s *sub) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queued := s.queued(q == &l.auths)
	if *queued {
		return
	}
	*queued = true
	j := q.byKey[k]
	if j == nil || len(j.subs) >= maxTogether {
		j = &job{jobKey: k, auth: q == &l.auths}
		q.byKey[k] = j
		l.append(q, j)
	}
	j.subs = append(j.subs, s)
	l.employ(q)
}

// employ starts a worker where there is work for one. l.mu is held.
func (l *loader) employ(q *queue) {
	if q.workers < q.most && q.first() >= 0 && l.hub.start(func() { l.work(q) }) {
		q.workers++
	}
}

// first is the place of the oldest job that may be served now; -1 if there is
// none. One that may not is served by the worker that reads for its key.
func (q *queue) first() int {
	return slices.IndexFunc(q.jobs, func(j *job) bool { return !q.reading[j.jobKey] })
}

// start begins to serve what was asked for already.
func (l *loader) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range []*queue{&l.pages, &l.auths} {
		for range q.jobs {
			l.employ(q)
		}
	}
}

func (l *loader) work(q *queue) {
	for {
		j, requests := l.next(q)
		if j == nil {
			return
		}
		if !j.auth {
			l.hub.observer.CatchUpRunning(1)
		}
		l.serve(q, j, requests)
		l.done(q, j)
		if !j.auth {
			l.hub.observer.CatchUpRunning(-1)
		}
	}
}

func (l *loader) done(q *queue, j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(q.reading, j.jobKey)
}

// next takes the oldest job that may be served. Marks are read after the subscription left the
// queue: a later mark asks again.
func (l *loader) next(q *queue) (*job, []request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := q.first()
	if i < 0 || l.hub.ctx.Err() != nil {
		q.workers--
		return nil, nil
	}
	j := q.jobs[i]
	copy(q.jobs[1:], q.jobs[:i])
	q.jobs[0] = nil
	q.jobs = q.jobs[1:]
	if q.reading != nil {
		q.reading[j.jobKey] = true
	}
	if q.byKey[j.jobKey] == j {
		delete(q.byKey, j.jobKey)
	}
	if !j.auth {
		l.hub.observer.CatchUpWaiting(-1)
	}
	requests := make([]request, len(j.subs))
	for i, s := range j.subs {
		*s.queued(j.auth) = false
		requests[i] = request{
			sub: s, marks: s.marks.Load(), reader: s.session.reader, first: s.start.mode == fromFirst,
		}
	}
	return j, requests
}

// serve reads once for a job. Before what cannot be served, what is there is
// good: the page is made shorter. A fault that may pass is tried again later,
// any other ends the subscriptions.
func (l *loader) serve(q *queue, j *job, requests []request) {
	ctx := l.hub.ctx
	read := func(limit int) error {
		return store.Guard(func() error { return l.read(ctx, j, requests, limit) })
	}
	limit := l.hub.limits.PageEvents
	err := read(limit)
	for j.page && limit > 1 && view.Spoilt(err) {
		limit /= 2
		err = read(limit)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	coded := store.Coded(err)
	if coded == nil {
		l.hub.observer.Fault(err)
		if j.tries++; j.tries < maxTries {
			l.later(q, j)
			return
		}
		coded = err
	}
	for _, r := range requests {
		r.sub.fail(coded)
	}
}

// later puts a job back after a pause, in which it holds no slot. A
// subscription that asked anew in the meantime is served by the job that it
// has.
func (l *loader) later(q *queue, j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j.subs = slices.DeleteFunc(j.subs, func(s *sub) bool { return *s.queued(j.auth) })
	for _, s := range j.subs {
		*s.queued(j.auth) = true
	}
	if len(j.subs) == 0 {
		return
	}
	l.hub.start(func() {
		clock.Pause(l.hub.ctx, min(25*time.Millisecond<<j.tries, 2*time.Second))
		l.mu.Lock()
		defer l.mu.Unlock()
		l.append(q, j)
		l.employ(q)
	})
}

// append puts a job at the end of its queue. l.mu is held.
func (l *loader) append(q *queue, j *job) {
	q.jobs = append(q.jobs, j)
	if !j.auth {
		l.hub.observer.CatchUpWaiting(1)
	}
}

// queued is the mark that a subscription waits in a queue. The loader's mu is
// held.
func (s *sub) queued(auth bool) *bool {
	if auth {
		return &s.inAuths
	}
	return &s.inPages
}

// read makes one consistent read for everyone who waits for it and hands it
// out. A page that was encoded before is not read again.
func (l *loader) read(ctx context.Context, j *job, requests []request, limit int) error {
	viewers := make([]gotong.Viewer, len(requests))
	for i := range requests {
		viewers[i] = requests[i].reader
	}
	viewers, place := tidy(viewers)
	docs := &requests[0].sub.flow.docs
	if !j.page {
		snap, err := l.hub.views.Load(ctx, j.stream, viewers, view.Span{}, store.Need{}, docs)
		if err != nil {
			return err
		}
		return l.hand(requests, place, snap, func(int, *view.Grant) (*page, error) { return nil, nil })
	}
	t := requests[0].sub.flow
	if kept := t.kept(j.from, l.hub.opt.Clock.Mono()); kept != nil {
		snap, err := l.hub.views.Load(ctx, j.stream, viewers, view.Span{}, store.Need{}, docs)
		if err != nil {
			return err
		}
		if t.holds(kept, snap) {
			return l.hand(requests, place, snap, func(int, *view.Grant) (*page, error) {
				pg := kept.page
				return &pg, nil
			})
		}
	}
	span := view.Span{From: j.from, Limit: limit, Bytes: l.hub.limits.PageBytes}
	snap, err := l.hub.views.Load(ctx, j.stream, viewers, span, store.Need{}, docs)
	if err != nil {
		return err
	}
	pages := &pages{from: j.from, snap: snap}
	if err := pages.encode(ctx, l.hub); err != nil {
		return err
	}
	l.hub.observer.Replayed(len(snap.Rows))
	err = l.hand(requests, place, snap, pages.of)
	t.keep(pages, len(viewers) > 1, l.hub.opt.Clock.Mono())
	return err
}

// hand applies what was read to each request.
func (l *loader) hand(
	requests []request, place []int, snap *view.Snapshot, pageOf func(reader int, g *view.Grant) (*page, error),
) error {
	for i := range requests {
		r, g := &requests[i], snap.Grants[place[i]]
		var first uint64
		if r.first && g.Readable {
			first = firstOf(g, snap.State.Head.Seq)
		}
		page, err := pageOf(place[i], g)
		if err != nil {
			return err
		}
		r.sub.apply(snap, g, r.marks, first, page)
	}
	return nil
}

// firstOf is the cursor before the first event that a reader may see.
func firstOf(g *view.Grant, head uint64) uint64 {
	first := head
	for _, v := range g.Visible {
		first = min(first, max(1, v.From)-1)
	}
	return first
}

// tidy drops doubles, and returns where each viewer went.
func tidy(viewers []gotong.Viewer) (unique []gotong.Viewer, place []int) {
	at := map[gotong.Viewer]int{}
	place = make([]int, len(viewers))
	for i, r := range viewers {
		n, ok := at[r]
		if !ok {
			n = len(unique)
			at[r] = n
			unique = append(unique, r)
		}
		place[i] = n
	}
	return unique, place
}
