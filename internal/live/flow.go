package live

import (
	"slices"
	"sync"
	"sync/atomic"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// flow is what a node keeps of one stream that somebody follows, or whose events
// govern the access of somebody: its recent frames and its subscriptions.
type flow struct {
	hub    *Hub
	stream gotong.Stream
	kind   *gotong.Kind
	part   atomic.Pointer[partition] // nil until the stream's home is known

	docs    store.Kept // that decide access; decoded once, however many groups of viewers are read for
	boundAt uint64     // where the tail was when part became known; guarded by its order
	refs    int        // guarded by Hub.mu

	// batch is what the tail is about to push. Only one goroutine touches it:
	// the tail of the partition that the stream's events are in.
	batch []*arrival

	mu        sync.Mutex // guards what follows
	gone      bool       // released: nothing is kept any more
	ring      ring
	amended   uint64               // position of the newest event that may have changed what older ones say
	count     uint64               // the stream's Count at the ring's head
	pages     map[uint64]*keptPage // by from
	pageBytes int
	asked     uint64 // first seq of the page that was read last
	pushedAt  clock.Moment
	followers []follower
	watchers  map[*sub]struct{}
	reads     []*readWait
}

// follower is what the pass over a flow needs of a subscription, side by side.
type follower struct {
	session *Session
	bit     uint64
	sub     *sub
}

// arrival is one row of the log on its way into a flow.
type arrival struct {
	entry // without a frame where nobody follows, or the actor's name is not known
	row   *store.Event
	flow  *flow // nil where nobody needed the stream when the row was decoded
	event gotong.Event
	keeps bool // the kind says that it changes no older event
	err   error
}

// follow adds a subscription; its slot must be set.
func (t *flow) follow(s *sub) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.index = len(t.followers)
	t.followers = append(t.followers, follower{s.session, s.bit(), s})
}

func (t *flow) unfollow(s *sub) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := len(t.followers) - 1
	moved := t.followers[last]
	t.followers[s.index] = moved
	moved.sub.index = s.index
	t.followers[last] = follower{}
	t.followers = t.followers[:last]
	if cap(t.followers) > 64 && last < cap(t.followers)/4 {
		t.followers = slices.Clone(t.followers)
	}
}

// watch has the events of the stream mark a subscription, whose access it
// governs. It returns false if they do already.
func (t *flow) watch(s *sub) (entered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, watching := t.watchers[s]; watching {
		return false
	}
	if t.watchers == nil {
		t.watchers = map[*sub]struct{}{}
	}
	t.watchers[s] = struct{}{}
	return true
}

func (t *flow) unwatch(s *sub) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.watchers, s)
}

func (t *flow) followed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.followers) > 0
}

// affect makes stale, as of the position, every subscription whose access the
// event may have changed.
func (t *flow) affect(p *partition, position uint64, who gotong.Affected) {
	if !who.Everyone && len(who.Users) == 0 {
		return
	}
	hit := func(s *sub) {
		if who.Everyone || slices.Contains(who.Users, s.session.reader.UserID) {
			s.mark(p, position)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.followers {
		hit(f.sub)
	}
	for s := range t.watchers {
		hit(s)
	}
}

// lose forgets the ring and makes every subscription stale, whatever snapshot
// authorised it: something of the stream could not be read, and only a new read
// makes the stream's head known again.
func (t *flow) lose(p *partition, position uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.weigh(t.forget)
	t.amended = position
	for _, f := range t.followers {
		f.sub.stain(p, position)
	}
	for s := range t.watchers {
		s.stain(p, position)
	}
}

// begin sets the head, as read at a position, of a stream whose flow does not
// know it yet. A read from before something was lost does not set it: nobody would
// look for what is missing.
func (t *flow) begin(head gotong.Head, position uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ring.known && position >= t.amended {
		t.ring.begin(head.Seq)
		t.count = head.Count
		t.endReads()
	}
}

// flush moves the batch into the ring and wakes the followers.
func (t *flow) flush(now clock.Moment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.weigh(func() {
		for i := range t.batch {
			t.push(t.batch[i])
		}
	})
	t.endReads()
	t.pushedAt = now
	clear(t.batch)
	t.batch = t.batch[:0]
	if cap(t.batch) > 256 {
		t.batch = nil
	}
	for i := range t.followers {
		t.followers[i].session.raise(t.followers[i].bit)
	}
}

// push appends one event. Where it may have changed what older ones say, those
// leave the ring: subscriptions that are still before it read them through the
// overlay.
func (t *flow) push(e *arrival) {
	seq := e.row.Seq
	if t.ring.known && seq <= t.ring.head {
		if !e.keeps { // as far as anybody can tell now
			t.amended = max(t.amended, e.row.Position)
			t.dropPages()
		}
		return
	}
	if !e.keeps && (!t.ring.known || e.row.Count == t.count || t.kind.Amends != nil) {
		t.ring.cut(seq - 1)
		t.amended = e.row.Position
		t.dropPages()
	}
	t.count = e.row.Count
	if e.frame.buf == nil {
		t.ring.skip(seq)
		return
	}
	t.ring.push(seq, e.entry, t.hub.limits.RingFrames, t.hub.limits.RingBytes)
}

// weigh runs f, which adds or drops frames, and keeps the hub's sum. A flow
// that was released in the meantime has none and gets none. t.mu is held.
func (t *flow) weigh(f func()) {
	if t.gone {
		return
	}
	before := t.ring.bytes + t.pageBytes
	f()
	t.hub.ringBytes.Add(int64(t.ring.bytes + t.pageBytes - before))
}

// forget drops all frames. t.mu is held.
func (t *flow) forget() {
	t.ring.forget()
	t.dropPages()
}

// trim drops the frames of a flow that was quiet since then.
func (t *flow) trim(since clock.Moment) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pushedAt > since || t.ring.len() == 0 && t.pages == nil {
		return false
	}
	t.weigh(func() {
		t.ring.cut(t.ring.head)
		t.dropPages()
	})
	return true
}

// wakeAll raises every follower, after its partition was silent.
func (t *flow) wakeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.followers {
		t.followers[i].session.raise(t.followers[i].bit)
		t.followers[i].session.wakeSignals()
	}
}

// close drops everything: nobody needs the flow any more.
func (t *flow) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.weigh(t.forget)
	t.gone = true
}

// readWait is a read that waits until its stream has an event.
type readWait struct {
	seq  uint64
	done chan struct{} // closed when it has
}

// endReads ends the waits for what is there. t.mu is held.
func (t *flow) endReads() {
	t.reads = slices.DeleteFunc(t.reads, func(w *readWait) bool {
		there := t.ring.known && t.ring.head >= w.seq
		if there {
			close(w.done)
		}
		return there
	})
}

// keptPage is a page for all viewers who may see all of it, kept for the next
// clients that return: after a restart thousands ask for the same one.
type keptPage struct {
	page        page
	first, last uint64 // of all events whose effect it shows
	made        clock.Moment
}

// dropPages forgets the kept pages. t.mu is held.
func (t *flow) dropPages() { t.pages, t.pageBytes = nil, 0 }
