package realtime

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/lxzan/gws"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
)

// Close codes of the protocol.
const (
	closeNormal       = 1000
	closeGoingAway    = 1001
	closeBinary       = 1003
	closeInternal     = 1011
	closeOverloaded   = 1013
	closeBadFrames    = 4400
	CloseUnauthorized = 4401 // not, or no longer, authenticated
	closeStalled      = 4408
	closeRateLimited  = 4429
)

// Bounds of one connection.
const (
	maxInbox    = 32  // frames read and not yet handled
	maxInflight = 128 // commands without an answer
	maxBad      = 16  // frames that cannot be understood
	maxRefused  = 64  // commands beyond the allowance
	batchBytes  = 64 << 10
	readBuffer  = 1 << 10 // one per connection: it decides what an idle one costs
)

func newUpgrader() *gws.Upgrader {
	return gws.NewUpgrader(callbacks{}, &gws.ServerOption{
		ReadMaxPayloadSize: maxFrame,
		ReadBufferSize:     readBuffer,
		CheckUtf8Enabled:   true,
		Recovery:           gws.Recovery,
		SubProtocols:       []string{subprotocol},
		NewSession:         func() gws.SessionStorage { return new(holder) },
	})
}

// webSocket refuses with a problem what cannot be upgraded, and else hands the
// connection to its reader.
func (s *Server) webSocket(w http.ResponseWriter, r *http.Request) {
	principal, err := s.admit(w, r)
	if err != nil {
		httpapi.WriteProblem(w, r, err)
		return
	}
	netConn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		httpapi.WriteProblem(w, r, err)
		return
	}
	pipe := &wire{Conn: netConn}
	if n := buffered.Reader.Buffered(); n > 0 {
		early, _ := buffered.Reader.Peek(n)
		pipe.early = bytes.Clone(early)
	}
	c := &conn{server: s, wire: pipe, correlation: httpapi.CallOf(r.Context()).CorrelationID}
	c.room.L = &c.mu
	c.since.Store(int64(s.opts.Now()))
	if principal != nil {
		c.principal.Store(principal)
	}
	if err := c.upgrade(r); err != nil {
		pipe.cut()
		return
	}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.opened("ws")
	if principal != nil {
		c.begin(principal)
	}
	// Not on this goroutine: it holds the buffers of the HTTP request.
	go c.socket.ReadLoop()
}

// admit checks everything that can still be answered with a status.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (*httpapi.Principal, error) {
	offered := false
	for _, p := range strings.Split(r.Header.Get("Sec-WebSocket-Protocol"), ",") {
		offered = offered || strings.TrimSpace(p) == subprotocol
	}
	switch {
	case !headerHas(r, "Connection", "upgrade") || !headerHas(r, "Upgrade", "websocket"),
		r.Header.Get("Sec-WebSocket-Version") != "13", r.Header.Get("Sec-WebSocket-Key") == "":
		w.Header().Set("Upgrade", "websocket")
		return nil, gotong.NewError(httpapi.CodeUpgrade, "This address speaks WebSocket (RFC 6455), version 13.")
	case !offered:
		return nil, gotong.NewError(httpapi.CodeBadRequest, "Offer the subprotocol "+subprotocol+".")
	case !s.originAllowed(r):
		return nil, gotong.NewError(gotong.CodeForbidden, "Pages of this origin may not connect.")
	}
	return s.authenticate(r, true)
}

func headerHas(r *http.Request, name, token string) bool {
	for _, line := range r.Header.Values(name) {
		for _, part := range strings.Split(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// conn is one WebSocket connection.
type conn struct {
	server      *Server
	wire        *wire
	socket      *gws.Conn
	correlation string

	session   atomic.Pointer[live.Session]
	principal atomic.Pointer[httpapi.Principal]
	since     atomic.Int64 // when the client was last heard of
	pinged    atomic.Int64
	closing   atomic.Bool
	pumping   atomic.Int32 // 0 idle, 1 at work, 2 at work and called again

	bad, refused int // touched by the worker alone

	mu       sync.Mutex // guards what follows
	room     sync.Cond  // there may be room: in the inbox, among the answers
	inbox    [][]byte
	working  bool
	inflight int
	gone     bool
}

func (c *conn) upgrade(r *http.Request) error {
	socket, err := c.server.upgrader.UpgradeFromConn(c.wire, bufio.NewReaderSize(c.wire, readBuffer), r)
	if err != nil {
		return err
	}
	socket.Session().Store("", c)
	c.socket = socket
	return nil
}

// begin opens the session once it is known who connects.
func (c *conn) begin(p *httpapi.Principal) {
	session, err := c.server.opts.Hub.Open(p.Reader(), live.SessionOptions{Wake: c.wake, Kill: c.wire.cut})
	if err != nil {
		c.close(closeOverloaded, "no room for another session")
		return
	}
	session.Put(welcomeFrame(session.ID(), c.server.opts.Hub.Epoch()))
	c.session.Store(session)
	c.mu.Lock()
	gone := c.gone
	c.mu.Unlock()
	if gone { // closed while the session was opened
		session.Close()
		return
	}
	c.wake()
}

// wake starts the pump unless it is at work already. It never blocks.
func (c *conn) wake() {
	if c.pumping.Swap(2) == 0 {
		go c.pump()
	}
}

// batch is what one pump needs while it is at work: kept off its stack, which
// stays small that way.
type batch struct {
	frames []live.Frame
	bytes  []byte
}

var batches = sync.Pool{New: func() any {
	return &batch{frames: make([]live.Frame, 0, 64), bytes: make([]byte, 0, batchBytes+4<<10)}
}}

// give returns the batch without holding on to what it carried.
func (b *batch) give() {
	clear(b.frames[:cap(b.frames)])
	if cap(b.bytes) <= 2*batchBytes && cap(b.frames) <= 4096 {
		batches.Put(b)
	}
}

// pump writes what the session has, many frames in one write, and ends when
// there is nothing left.
func (c *conn) pump() {
	b := batches.Get().(*batch)
	defer b.give()
	for {
		c.pumping.Store(1)
		session := c.session.Load()
		for more := session != nil; more; {
			b.frames, more = session.Take(b.frames[:0], batchBytes)
			if len(b.frames) == 0 {
				continue
			}
			err := c.write(b)
			session.Written()
			c.signalRoom()
			if err != nil {
				c.broken()
				return
			}
		}
		c.closeWhenAsked(session)
		if c.pumping.CompareAndSwap(1, 0) {
			return
		}
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
	n, err := c.wire.Write(out)
	c.server.wrote("ws", b.frames, n)
	return err
}

// broken ends a connection that cannot be written to; no close frame would
// reach the client.
func (c *conn) broken() {
	c.closing.Store(true)
	c.wire.cut()
}

// closeWhenAsked carries out the hub's request to close, once every command in
// flight has its answer.
func (c *conn) closeWhenAsked(session *live.Session) {
	if session == nil {
		return
	}
	asked, ok := session.Closing()
	if !ok {
		return
	}
	c.mu.Lock()
	busy := c.inflight > 0
	c.mu.Unlock()
	if !busy {
		c.close(asked.Code, asked.Reason)
	}
}

// close sends a close frame and ends the connection. Only the first call
// counts; it never blocks.
func (c *conn) close(code int, reason string) {
	if c.closing.Swap(true) {
		return
	}
	go func() {
		// The error says that the client was faster.
		_ = c.socket.WriteClose(uint16(code), []byte(reason)) //nolint:gosec // close codes fit
	}()
}

// tick is called about once a second.
func (c *conn) tick(now gotong.Instant) {
	principal := c.principal.Load()
	heard := gotong.Instant(c.since.Load())
	switch {
	case principal == nil && now > heard.Add(authWithin):
		c.close(CloseUnauthorized, "no auth frame came")
	case principal != nil && now > gotong.InstantOf(principal.Expires):
		c.close(CloseUnauthorized, "the token expired")
	case now > heard.Add(silence):
		c.close(closeGoingAway, "nothing was heard for a minute")
	case now > heard.Add(heartbeat) && now > gotong.Instant(c.pinged.Load()).Add(heartbeat) && c.pumping.Load() == 0:
		c.pinged.Store(int64(now))
		go func() { _ = c.socket.WritePing(nil) }() // a failing ping shows as silence
	}
}

func (c *conn) signalRoom() {
	c.mu.Lock()
	c.room.Broadcast()
	c.mu.Unlock()
}

// push hands a frame to the worker, and blocks the reader while too many wait.
func (c *conn) push(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.inbox) >= maxInbox && !c.gone {
		c.room.Wait()
	}
	if c.gone {
		return
	}
	c.inbox = append(c.inbox, b)
	if !c.working {
		c.working = true
		go c.work()
	}
}

// work handles the frames that wait, in order.
func (c *conn) work() {
	for {
		c.mu.Lock()
		for !c.gone && len(c.inbox) > 0 && !c.roomForAnswers() {
			c.room.Wait()
		}
		if c.gone || len(c.inbox) == 0 {
			c.working, c.inbox = false, nil
			c.mu.Unlock()
			return
		}
		b := c.inbox[0]
		c.inbox = c.inbox[1:]
		c.room.Broadcast()
		c.mu.Unlock()
		c.handle(b)
	}
}

// roomForAnswers holds a client back who sends more than he reads.
func (c *conn) roomForAnswers() bool {
	session := c.session.Load()
	return c.inflight < maxInflight && (session == nil || session.Room())
}

// callbacks is what the WebSocket library calls.
type callbacks struct{}

func (callbacks) OnOpen(*gws.Conn) {}

func (callbacks) OnClose(socket *gws.Conn, err error) {
	c := connOf(socket)
	s := c.server
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	c.closing.Store(true)
	c.mu.Lock()
	c.gone = true
	c.room.Broadcast()
	c.mu.Unlock()
	c.wire.cut()
	if session := c.session.Load(); session != nil {
		session.Close()
	}
	s.closed("ws", reasonOf(err))
}

func (callbacks) OnPing(socket *gws.Conn, payload []byte) {
	connOf(socket).heard()
	_ = socket.WritePong(payload) // a failing pong is the reader's to notice
}

func (callbacks) OnPong(socket *gws.Conn, _ []byte) { connOf(socket).heard() }

func (callbacks) OnMessage(socket *gws.Conn, m *gws.Message) {
	c := connOf(socket)
	c.heard()
	if c.closing.Load() {
		_ = m.Close()
		return
	}
	if m.Opcode != gws.OpcodeText {
		_ = m.Close()
		c.close(closeBinary, "frames are JSON text")
		return
	}
	b := bytes.Clone(m.Bytes())
	_ = m.Close() // gives the library's buffer back
	c.push(b)
}

func (c *conn) heard() {
	if c.principal.Load() != nil { // before, only an auth frame counts
		c.since.Store(int64(c.server.opts.Now()))
	}
}

// holder is the one value that the library keeps for a connection: ours.
type holder struct{ conn *conn }

func (h *holder) Len() int                     { return 1 }
func (h *holder) Load(string) (any, bool)      { return h.conn, h.conn != nil }
func (h *holder) Delete(string)                { h.conn = nil }
func (h *holder) Store(_ string, value any)    { h.conn, _ = value.(*conn) }
func (h *holder) Range(func(string, any) bool) {}

func connOf(socket *gws.Conn) *conn {
	v, _ := socket.Session().Load("")
	return v.(*conn) //nolint:forcetypeassert,errcheck // the holder keeps nothing else
}

// reasonOf is a bounded word for a metric.
func reasonOf(err error) string {
	var closed *gws.CloseError
	if !errors.As(err, &closed) {
		return "cut"
	}
	if closed.Code == closeNormal || closed.Code == closeGoingAway {
		return "left"
	}
	return "closed"
}
