package live

import (
	"context"
	"crypto/rand"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/signal"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Hub is the one place of a node where commits become frames. All methods are
// safe for concurrent use.
//
// Locks are taken in this order, and none is held while the store is read:
// Session.mu, then partition.order (one at a time), then flow.mu, then one of the
// leaves partition.mu, loader.mu, Hub.mu and those of package signal.
type Hub struct {
	opt      Options
	limits   Limits
	observer Observer
	epoch    gotong.Epoch
	node     string // names this node on the bus

	parts   [gotong.Partitions]*partition
	loader  *loader
	signals *signal.Exchange
	views   *view.Views

	ringBytes     atomic.Int64
	subscriptions atomic.Int64

	mu       sync.RWMutex // guards what follows
	flows    map[gotong.Stream]*flow
	sessions map[*Session]struct{}
	users    map[string]int // open sessions of each user
	draining bool
	empty    chan struct{} // closed when the last session of a drain is gone
	runs     bool          // Run is running

	background sync.WaitGroup  // what start has started; Run waits for it
	ctx        context.Context //nolint:containedctx // ends with Run, for the reads that nobody waits for
	cancel     context.CancelFunc
}

// New makes a hub; Run sets it going.
func New(opt Options) *Hub {
	if opt.Clock == nil {
		opt.Clock = clock.System()
	}
	h := &Hub{
		opt: opt, limits: opt.Limits, observer: opt.Observer, epoch: opt.Store.Epoch(), node: rand.Text(), views: opt.Views,
		flows: map[gotong.Stream]*flow{}, sessions: map[*Session]struct{}{}, users: map[string]int{},
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.limits.fill()
	h.observer.fill()
	signals := signal.Options{Clock: opt.Clock, Kind: opt.Views.Kind, Show: h.show}
	if opt.Bus != nil {
		signals.Publish = h.publish
	}
	h.signals = signal.New(signals)
	h.loader = newLoader(h)
	for p := range h.parts {
		h.parts[p] = newPartition(h, gotong.Partition(p))
	}
	return h
}

// Run follows the log until ctx ends, then waits for everything that the hub
// has started, asks every session to close with 1001 and returns nil.
// Subscriptions made before Run wait for it.
func (h *Hub) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, h.cancel)()
	if !h.begin(ctx) {
		return nil
	}
	h.running(true)
	for _, p := range h.parts {
		h.start(func() { p.run(ctx) })
	}
	h.start(func() { h.signals.Run(ctx) })
	if h.opt.Bus != nil {
		h.start(func() { h.listen(ctx) })
	}
	h.loader.start()
	h.poll(ctx)
	h.running(false)
	h.background.Wait()
	for _, s := range h.refuseNew() {
		s.mu.Lock()
		s.askToClose(Closing{closeGoingAway, "the server stops"})
		s.mu.Unlock()
	}
	return nil
}

// start calls f in a goroutine that Run waits for; all that the hub runs is
// started here. It returns false, and does not call f, unless Run is running.
func (h *Hub) start(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.runs {
		h.background.Go(f)
	}
	return h.runs
}

func (h *Hub) running(runs bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runs = runs
}

// begin starts the tails at the end of the log; false where ctx ended first.
func (h *Hub) begin(ctx context.Context) bool {
	for {
		at := h.opt.Clock.Mono()
		positions, err := h.ask(ctx)
		if err == nil {
			for i, p := range h.parts {
				p.start(positions[i])
				p.prove(positions[i], at)
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		h.observer.Fault(err)
		if !pause(ctx, h.limits.Poll) {
			return false
		}
	}
}

func (h *Hub) ask(ctx context.Context) ([gotong.Partitions]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, h.limits.Read)
	defer cancel()
	return h.opt.Store.Positions(ctx)
}

// poll asks the store how far the log is: the backstop for lost wake-ups, and
// the proof that what was read is complete.
func (h *Hub) poll(ctx context.Context) {
	const trimEvery = 5
	for round := 1; pause(ctx, h.limits.Poll); round++ {
		at := h.opt.Clock.Mono()
		positions, err := h.ask(ctx)
		if err != nil {
			if ctx.Err() == nil {
				h.observer.Fault(err)
			}
			continue
		}
		for i, p := range h.parts {
			p.prove(positions[i], at)
		}
		if round%trimEvery == 0 {
			h.trim(at, trimEvery*h.limits.Poll)
		}
	}
}

// trim lets go of pages that are too old to be handed out and, where all
// frames together are too many, of those of streams that were quiet so long.
func (h *Hub) trim(now clock.Moment, quiet time.Duration) {
	for _, p := range h.parts {
		p.each(func(t *flow) { t.expire(now) })
		if h.ringBytes.Load() > int64(h.limits.RingTotal) {
			p.trim(now.Add(-quiet))
		}
	}
}

// Offer hands over the events of one commit of this node, right after it
// became durable. It never blocks; what finds no room is read from the store.
// Of ctx only the values are used, for traces. The rows must not be changed
// afterwards.
func (h *Hub) Offer(ctx context.Context, rows []store.Event) {
	if len(rows) > 0 {
		h.parts[rows[0].Partition].offer(ctx, rows)
	}
}

// Epoch names the history that is served.
func (h *Hub) Epoch() gotong.Epoch { return h.epoch }

// Signals returns the signals of this node.
func (h *Hub) Signals() *signal.Exchange { return h.signals }

// Open makes a session for a reader; ErrDraining or CodeBusy (too many) where
// there can be none.
func (h *Hub) Open(reader gotong.Viewer, opt SessionOptions) (*Session, error) {
	s := &Session{hub: h, id: rand.Text(), reader: reader, opt: opt}
	if opt.Wake == nil {
		s.note = make(chan struct{}, 1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.draining:
		return nil, ErrDraining
	case len(h.sessions) >= h.limits.Sessions:
		return nil, gotong.NewError(gotong.CodeBusy, "Too many connections; try again.")
	case h.users[reader.UserID] >= h.limits.UserSessions:
		return nil, gotong.NewError(gotong.CodeRateLimited, "You have too many connections; close some.")
	}
	h.sessions[s] = struct{}{}
	h.users[reader.UserID]++
	return s, nil
}

// gone forgets a closed session.
func (h *Hub) gone(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, open := h.sessions[s]; !open {
		return
	}
	delete(h.sessions, s)
	if h.users[s.reader.UserID]--; h.users[s.reader.UserID] == 0 {
		delete(h.users, s.reader.UserID)
	}
	if len(h.sessions) == 0 && h.empty != nil {
		close(h.empty)
		h.empty = nil
	}
}

// pick returns the sessions that match.
func (h *Hub) pick(match func(*Session) bool) []*Session {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var found []*Session
	for s := range h.sessions {
		if match(s) {
			found = append(found, s)
		}
	}
	return found
}

// EndUser asks every session of a user to close, with this code and reason:
// logout everywhere, a disabled account. Event frames stop at once.
func (h *Hub) EndUser(userID string, c Closing) {
	for _, s := range h.pick(func(s *Session) bool { return s.reader.UserID == userID }) {
		s.mu.Lock()
		s.askToClose(c)
		s.mu.Unlock()
	}
}

// EndSession does the same for one session, by its id; false where it is not
// of this node.
func (h *Hub) EndSession(id string, c Closing) bool {
	found := h.pick(func(s *Session) bool { return s.id == id })
	for _, s := range found {
		s.mu.Lock()
		s.askToClose(c)
		s.mu.Unlock()
	}
	return len(found) > 0
}

func (h *Hub) refuseNew() []*Session {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	return h.pick(func(*Session) bool { return true })
}

// Drain tells every session going_away with a retry_after_ms of full jitter,
// asks it to close with 1012, and waits until all are closed or ctx ends.
// Sessions that are open then are killed. Open answers ErrDraining from now on.
func (h *Hub) Drain(ctx context.Context) error {
	for _, s := range h.refuseNew() {
		s.mu.Lock()
		s.put(goingAwayFrame(jitter(h.limits.Retry)))
		s.askToClose(Closing{closeRestart, "the server restarts"})
		s.mu.Unlock()
	}
	h.mu.Lock()
	if len(h.sessions) == 0 {
		h.mu.Unlock()
		return nil
	}
	if h.empty == nil {
		h.empty = make(chan struct{})
	}
	empty := h.empty
	h.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	for _, s := range h.pick(func(*Session) bool { return true }) {
		s.kill()
	}
	return ctx.Err()
}

// kill cuts the connection, once.
func (s *Session) kill() {
	s.mu.Lock()
	first := !s.killed && s.opt.Kill != nil
	s.killed = true
	s.mu.Unlock()
	if first && !s.hub.start(s.opt.Kill) {
		s.opt.Kill()
	}
}

// jitter is a random share of the whole, in milliseconds.
func jitter(whole time.Duration) int64 {
	n, err := rand.Int(rand.Reader, big.NewInt(whole.Milliseconds()+1))
	if err != nil { // crypto/rand never fails
		return whole.Milliseconds()
	}
	return n.Int64()
}

// lookup returns the flow of a stream, nil where nobody needs it.
func (h *Hub) lookup(s gotong.Stream) *flow {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.flows[s]
}

// acquire returns the flow of a stream, and makes it where there is none;
// release gives it back.
func (h *Hub) acquire(s gotong.Stream, kind *gotong.Kind) *flow {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.flows[s]
	if t == nil {
		t = &flow{hub: h, stream: s, kind: kind}
		h.flows[s] = t
	}
	t.refs++
	return t
}

func (h *Hub) release(t *flow) {
	h.mu.Lock()
	t.refs--
	last := t.refs == 0
	if last {
		delete(h.flows, t.stream)
	}
	h.mu.Unlock()
	if !last {
		return
	}
	if p := t.part.Load(); p != nil {
		p.forget(t)
	}
	t.close()
}
