package realtime

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
)

// The close codes of the protocol.
const (
	closeGoingAway    = 1001
	closeProtocol     = 1002
	closeBinary       = 1003
	closeBadText      = 1007
	closeTooBig       = 1009
	closeInternal     = 1011
	closeRestart      = 1012
	closeOverloaded   = 1013
	closeBadFrames    = 4400
	CloseUnauthorized = 4401 // not, or no longer, authenticated
	closeRateLimited  = 4429
)

// endings are the metric's labels for why a connection ended.
var endings = map[int]string{
	closeGoingAway: "silent", closeProtocol: "protocol", closeBinary: "protocol", closeInternal: "fault",
	closeRestart: "restart", closeOverloaded: "overloaded", closeBadFrames: "bad_frames",
	CloseUnauthorized: "unauthorized", closeRateLimited: "rate_limited",
}

// batchBytes is the approximate size of one write in bytes.
const batchBytes = 64 << 10

type conn struct {
	server      *Server
	wire        wire
	opened      clock.Moment
	correlation string
	trace       string // of the request that opened it; errors quote it
	pending     *httpapi.Pending

	session   atomic.Pointer[live.Session]
	principal atomic.Pointer[httpapi.Principal]
	expires   atomic.Int64 // the moment at which the principal's token ends; set before it
	since     atomic.Int64 // the moment of the client's last frame
	pinged    atomic.Int64 // the moment of the last ping
	closing   atomic.Bool  // nothing more is read, handled or written; set under mu
	pumping   atomic.Int32 // 0 idle, 1 at work, 2 at work and called again, or queued
	reading   atomic.Int32 // the same of the reader
	shed      atomic.Bool  // closed because of what it held unfinished
	hungUp    atomic.Bool  // the poller reported the end of the client's stream

	// Used by the reader alone, as are counted and pings.
	partial *inbound // what has not arrived completely
	holds   bool     // and counts as unfinished
	watched bool     // by the poller; set once
	fd      int      // if watched

	counted clock.Moment // when the second of pings began
	pings   int

	bad, refused int          // used by the worker alone
	asked        clock.Moment // when the hub's request to close was first seen; used by the sweep alone

	mu       sync.Mutex // guards what follows
	room     room       // signalled when there may be room for frames or answers, or the connection ends
	inbox    fifo[[]byte]
	queued   int // bytes in the inbox
	working  bool
	inflight int  // commands without an answer
	draining bool // the hub asked to close: nothing more is handled
	ending   string
}

func (s *Server) newConn(call *httpapi.Call) *conn {
	c := &conn{server: s, correlation: call.CorrelationID, trace: call.TraceID}
	c.wire.times = &s.times
	c.wire.onCut = c.rouse
	c.reading.Store(1) // until it is watched or read
	c.opened = s.opts.Clock.Mono()
	c.since.Store(int64(c.opened))
	return c
}

// know records the principal of the connection, and when the token expires.
func (c *conn) know(p *httpapi.Principal) {
	c.expires.Store(int64(c.server.opts.Clock.Mono().Add(c.server.lasts(p.Expires))))
	c.principal.Store(p)
}

// begin opens the session of an authenticated connection.
func (c *conn) begin(p *httpapi.Principal) {
	hub := c.server.opts.Hub
	session, err := hub.Open(p.Viewer(), live.SessionOptions{Welcome: c.server.welcome, Wake: c.wake, Kill: c.wire.cut})
	switch {
	case errors.Is(err, live.ErrDraining):
		c.close(closeRestart, "the server restarts")
		return
	case gotong.CodeOf(err) == gotong.CodeRateLimited:
		c.close(closeRateLimited, "too many connections of this user")
		return
	case err != nil:
		c.close(closeOverloaded, "no room for another session")
		return
	}
	c.session.Store(session)
	c.verify(p)
	if c.closing.Load() { // closed while the session was opened
		session.Close()
		return
	}
	c.wake()
}

// verify checks the principal once more. Only then is the token dropped, and
// with it the headers that contain it.
func (c *conn) verify(p *httpapi.Principal) {
	if !c.server.stillGood(c.server.opts.Context, p) {
		c.close(CloseUnauthorized, "the token is no longer valid")
		return
	}
	known := *p
	known.Token = ""
	c.principal.CompareAndSwap(p, &known)
}

// wake queues the connection for a write, now or after its delay, unless a
// write is under way. It never blocks.
func (c *conn) wake() {
	if c.pumping.Swap(2) == 0 {
		c.server.pumps.add(c)
	}
}

// batch holds what one pump needs while it works. It is not on the goroutine's
// stack, which therefore stays small.
type batch struct {
	frames []live.Frame
	bytes  []byte
	try    attempt
}

var batches = sync.Pool{New: func() any {
	return &batch{frames: make([]live.Frame, 0, 64), bytes: make([]byte, 0, batchBytes+4<<10)}
}}

// give returns the batch to the pool without keeping its contents alive.
func (b *batch) give() {
	clear(b.frames[:cap(b.frames)])
	if cap(b.bytes) <= 2*batchBytes && cap(b.frames) <= 4096 {
		batches.Put(b)
	}
}

// pump writes the waiting frames of the session, many in one write, and ends
// when there are none. New frames that arrive meanwhile may be gathered.
func (c *conn) pump() {
	defer c.fence()
	b := batches.Get().(*batch) //nolint:forcetypeassert // the pool holds nothing else
	defer b.give()
	c.pumping.Store(1)
	session := c.session.Load()
	for more := session != nil; more && !c.closing.Load(); {
		b.frames, more = session.Take(b.frames[:0], batchBytes)
		if len(b.frames) == 0 {
			continue
		}
		err := c.write(b)
		session.Written()
		c.signalRoom()
		if err != nil {
			c.broken(err)
			return
		}
	}
	if session != nil {
		c.closeWhenAsked(session)
	}
	if !c.pumping.CompareAndSwap(1, 0) {
		c.server.pumps.add(c)
	}
}

func (c *conn) write(b *batch) error {
	out := b.frames[0].WebSocket()
	if len(b.frames) > 1 {
		b.bytes = b.bytes[:0]
		for _, f := range b.frames {
			b.bytes = append(b.bytes, f.WebSocket()...)
		}
		out = b.bytes
	}
	n, err := c.wire.send(out, &b.try, &c.server.pumps)
	c.server.wrote("ws", b.frames, n)
	return err
}

// closeWhenAsked closes the connection on the hub's request, after every
// command in flight was answered and the answers were written.
func (c *conn) closeWhenAsked(session *live.Session) {
	asked, ok := session.Closing()
	if !ok {
		return
	}
	c.mu.Lock()
	c.draining = true
	busy := c.inflight > 0 || c.working
	c.room.broadcast()
	c.mu.Unlock()
	// If wake was called again, something may have been put since the last
	// Take.
	if !busy && c.pumping.Load() == 1 {
		c.close(asked.Code, asked.Reason)
	}
}

// stop ends everything except the connection itself. Only the first reason
// counts; later calls return false.
func (c *conn) stop(word string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.Swap(true) {
		return false
	}
	c.ending = word
	c.room.broadcast()
	return true
}

// broken ends a connection that cannot be written to; no close frame would
// reach the client.
func (c *conn) broken(err error) {
	word := "cut"
	if errors.Is(err, errStalled) {
		word = "stalled"
	}
	c.stop(word)
	if !errors.Is(err, errShut) { // otherwise its close frame was written
		c.wire.cut()
	}
}

// close sends a close frame and ends the connection. Only the first call
// counts; it never blocks.
func (c *conn) close(code int, reason string) {
	word := endings[code]
	if word == "" {
		word = "closed"
	}
	if c.stop(word) && !c.server.running.start(func() { c.writeClose(code, reason) }) {
		c.wire.cut()
	}
}

func (c *conn) writeClose(code int, reason string) {
	defer c.fence()
	c.sayClose(code, reason)
	c.finish()
}

// sayClose writes a close frame and ends writing. A client that does not accept
// it in time, or the bytes before it, is disconnected.
func (c *conn) sayClose(code int, reason string) {
	late := time.AfterFunc(c.server.times.closing, c.wire.cut)
	if _, err := c.wire.Write(closeFrame(code, reason)); err == nil { // otherwise the client has left
		late.Stop()
	}
	_ = c.wire.Close() // an error means that the connection has ended already
}

// over ends the connection, from which nothing more is read, for this cause.
func (c *conn) over(cause error) {
	if end, ok := errors.AsType[*ending](cause); !ok {
		c.stop("cut")
	} else if c.stop(end.word) {
		c.sayClose(end.code, end.reason)
	}
	defer c.pending.Leave()
	c.release()
	c.server.poller.forget(c)
	sealed := c.wire.seal()
	if !sealed {
		c.wire.cut() // a write is under way, to a client that left
	}
	if session := c.session.Load(); session != nil {
		session.Close()
	}
	if sealed {
		c.wire.linger()
		c.wire.cut()
	}
	c.server.mu.Lock()
	delete(c.server.conns, c)
	c.server.mu.Unlock()
	c.server.closed("ws", c.ending)
	c.server.opts.Log.Info("session ended", slog.String("transport", "ws"), slog.String("reason", c.ending),
		slog.String("user_id", c.userID()), slog.Int64("took_ms", c.server.opts.Clock.Mono().Sub(c.opened).Milliseconds()))
}

// userID returns the user of the connection; "" before it has authenticated.
func (c *conn) userID() string {
	if p := c.principal.Load(); p != nil {
		return p.UserID
	}
	return ""
}

// fence keeps a panic from ending more than this connection.
func (c *conn) fence() {
	if fault := recover(); fault != nil {
		c.fault(fault)
		c.stop("fault")
		c.wire.cut()
	}
}

func (c *conn) fault(cause any) {
	c.server.opts.Log.Error("an internal error ended a connection",
		slog.Any("fault", cause), slog.String("user_id", c.userID()), slog.String("stack", string(debug.Stack())))
}
