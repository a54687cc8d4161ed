package live

import (
	"context"
	"sync"
	"sync/atomic"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/signal"
	"gotong.dev/gotong/internal/view"
)

// Hub is the one place of a node where commits become frames. All methods are
// safe for concurrent use.
//
// Locks are taken in this order, and none is held while the store is read:
// Session.mu, then partition.order (one at a time), then flow.mu, then one of the
// leaves partition.mu, loader.mu, Hub.mu, concerns.mu and those of package signal.
type Hub struct {
	opt      Options
	limits   Limits
	observer Observer
	epoch    gotong.Epoch
	node     string // names this node on the bus

	parts   [gotong.Partitions]*partition
	loader  *loader
	signals *signal.Exchange

	concerns concerns // whose members are to be signalled

	views *view.Views

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
	ctx        context.Context //nolint:containedctx // of Run, for what start has started
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
