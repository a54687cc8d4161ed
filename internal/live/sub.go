package live

import (
	"sync/atomic"

	"gotong.dev/gotong/internal/view"
)

// sub is one subscription of a session. What has no comment of its own is
// guarded by the session's mu.
type sub struct {
	session *Session
	flow    *flow
	slot    uint8 // its bit in Session.dirty; set once
	index   int   // in flow.followers; guarded by the flow's mu

	// marks is raised whenever an event may have changed the reader's access;
	// checked is what it was before the snapshot that grant is from. Where they
	// differ the subscription is stale: it writes nothing.
	marks    atomic.Uint32
	accessAt atomic.Uint64 // position, in the stream's partition, of that snapshot
	checked  uint32
	pending  atomic.Pointer[partition] // in whose pending it is; changed under its order
	grant    *view.Grant               // nil until accepted

	inPages, inAuths bool // waits in the loader; guarded by its mu

	id       string // of the frame that asked, until it is answered
	trace    string // what an error quotes
	start    Start
	resumed  bool
	ended    bool
	paging   bool // a page is asked for, or waits to be taken
	writing  bool // ended while a write of its frames is under way
	cursor   uint64
	lacks    uint64 // the ring's head when a page was asked for last
	page     *page
	watching []*flow
	decided  chan struct{} // made when somebody waits for the outcome
}

// page is the next stretch of a subscription that is behind.
type page struct {
	frame    Frame
	from, to uint64
	position uint64 // of its snapshot
	marks    uint32 // of the subscription before its snapshot
}

// Why a subscription ended.
const (
	endLeft    = "left"    // the client's wish, or the connection is gone
	endRevoked = "revoked" // the reader may not read it
	endClosed  = "closed"  // the user's session is over
	endRestart = "restart"
	endResync  = "resync"
	endCorrupt = "corrupt"
	endUnread  = "unreadable" // by this version
)

func (s *sub) bit() uint64 { return 1 << s.slot }

// mark makes the subscription stale as of a position, and has it authorised
// anew. The tail calls it before any event at or beyond the position can be
// taken, with its partition's order held.
func (s *sub) mark(p *partition, position uint64) {
	if position > s.accessAt.Load() { // else the snapshot that authorised it saw the event
		s.stain(p, position)
	}
}

// stain is mark for an event that no snapshot shows.
func (s *sub) stain(p *partition, position uint64) {
	s.marks.Add(1)
	if s.pending.Swap(p) == nil {
		p.pending[s] = position
	}
	s.session.hub.loader.authorise(s)
}

// stale reports whether access may have changed since grant. Where it is false
// under the flow's mu, no frame in the ring is beyond an unseen change.
func (s *sub) stale() bool { return s.marks.Load() != s.checked }

// settle notes that nothing of the subscription goes out on an old permission
// any more, for those who wait for that. The session's mu is held.
func (s *sub) settle() {
	p := s.pending.Load()
	if p == nil {
		return
	}
	p.order.Lock()
	defer p.order.Unlock()
	if s.ended || !s.stale() { // a mark may have come in between
		s.pending.Store(nil)
		delete(p.pending, s)
		p.tick()
	}
}
