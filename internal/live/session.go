package live

import (
	"sync"
	"sync/atomic"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/signal"
)

// SessionOptions are a transport's side of a session.
type SessionOptions struct {
	// Welcome returns the session's first frame, from its id: nothing goes before
	// it, not even the sign of a restart. It is called with a lock of the hub
	// held, before any Wake. Nil: there is none.
	Welcome func(id string) Frame

	// Wake is called at least once after something became takeable since the
	// last Take that returned more == false, from any goroutine and with locks
	// of the hub held: it must not block and must not call the hub or the
	// session; it notes that there is work and returns. Nil where the transport
	// uses Next only.
	Wake func()

	// Kill cuts the connection at once, whatever a write is doing. It is called
	// at most once, with no lock of the hub held. Nil: nothing is cut.
	Kill func()
}

// Closing is a request to close the connection.
type Closing struct {
	Code   int // a WebSocket close code of the protocol page
	Reason string
}

// Start is where a subscription begins; the zero Start is [Now].
type Start struct {
	cursor gotong.Cursor
	mode   startMode
}

type startMode uint8

const (
	fromNow startMode = iota
	fromFirst
	fromCursor
)

// Now begins after the newest event.
func Now() Start { return Start{} }

// First begins at the first event that the reader may see.
func First() Start { return Start{mode: fromFirst} }

// At begins after a cursor.
func At(c gotong.Cursor) Start { return Start{cursor: c, mode: fromCursor} }

// Subscription is a wish to follow a stream.
type Subscription struct {
	ID     string // of the frame that asks; echoed in its answer, may be empty
	Trace  string // what an error quotes
	Stream gotong.Stream
	Start  Start

	// Resumed makes a refusal an access_revoked frame instead of an error
	// frame: for the entries of a cursor over several streams (contract D9).
	Resumed bool
}

// Session is one client connection with its subscriptions. An idle one costs
// no goroutine.
type Session struct {
	hub    *Hub
	id     string
	reader gotong.Viewer
	opt    SessionOptions
	note   chan struct{} // of Next; nil where the transport has a Wake

	// dirty has a bit for each subscription that may have something to take,
	// and those below. Setting the first one wakes the transport.
	dirty atomic.Uint64

	mu        sync.Mutex // the first of the hub's locks; see Hub
	subs      []*sub     // by slot; nil where free
	turn      uint8      // the slot that is served first
	pages     uint8      // subscriptions with a page asked for or waiting
	starved   uint64     // those that found no allowance for a page
	control   []Frame
	refusals  map[gotong.Stream]error
	unwritten []*sub // ended while frames of theirs are being written
	bracket   uint32 // counts the writes: each from its first Take to Written
	writing   bool   // during such a write
	killed    bool
	closing   *Closing
	closed    bool

	presence atomic.Uint32       // the slots whose stream's presence the session is owed
	signals  signal.Queue[Frame] // has a lock of its own
}

// The bits of Session.dirty beside those of the subscriptions.
const (
	controlBit = 1 << (maxSubscriptions + iota)
	signalBit
	closingBit
)

// maxPages is how many pages of one session may be asked for or wait.
const maxPages = 4

// ID names the session: random, no secret.
func (s *Session) ID() string { return s.id }

// Viewer returns the user whose streams the session shows.
func (s *Session) Viewer() gotong.Viewer { return s.reader }

// raise notes that there is something to take.
func (s *Session) raise(bit uint64) {
	if s.dirty.Load()&bit != 0 {
		return // the transport has yet to look
	}
	if s.dirty.Or(bit) == 0 {
		s.wake()
	}
}

func (s *Session) wake() {
	if s.opt.Wake != nil {
		s.opt.Wake()
		return
	}
	select {
	case s.note <- struct{}{}:
	default:
	}
}

// Put queues a control frame of the transport: acks, errors, pong, welcome.
// They go before events. It returns false if enough wait: the transport must read
// no more from its client until a Take. The frame is queued even then; at four
// times the limit the session is asked to close with 1013.
func (s *Session) Put(f Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(f)
	return len(s.control) < maxControl
}

func (s *Session) put(f Frame) {
	if s.closed {
		return
	}
	if len(s.control) >= 4*maxControl {
		s.askToClose(Closing{closeOverloaded, "too many answers wait"})
		return
	}
	s.control = append(s.control, f)
	s.raise(controlBit)
}

// Room reports whether Put would still return true.
func (s *Session) Room() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.control) < maxControl
}

// Cursors are the cursors of the accepted subscriptions after the frames taken
// so far.
func (s *Session) Cursors() []gotong.StreamCursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]gotong.StreamCursor, 0, len(s.subs))
	for _, sub := range s.subs {
		if sub != nil && sub.grant != nil {
			at := gotong.Cursor{Epoch: s.hub.epoch, Seq: sub.cursor}
			list = append(list, gotong.StreamCursor{Stream: sub.flow.stream, Cursor: at})
		}
	}
	return list
}

// The close codes that the hub asks for.
const (
	closeGoingAway  = 1001
	closeRestart    = 1012
	closeOverloaded = 1013
)

// refused remembers why, for Outcome.
func (s *Session) refused(stream gotong.Stream, err error) {
	if s.refusals == nil || len(s.refusals) >= maxSubscriptions {
		s.refusals = map[gotong.Stream]error{}
	}
	s.refusals[stream] = err
}

func (s *Session) find(stream gotong.Stream) *sub {
	for _, sub := range s.subs {
		if sub != nil && sub.flow.stream == stream {
			return sub
		}
	}
	return nil
}
