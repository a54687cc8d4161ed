package netfault

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is the fault of one connection.
type Fault struct {
	After int64         // bytes from the server until the connection is cut, in the middle of a piece too; 0: never
	Reset bool          // cut with RST instead of FIN
	Delay time.Duration // before each piece from the server
}

// Proxy listens on a loopback port and passes every connection on to a server.
// All methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   atomic.Pointer[func(n int) string]
	plan     atomic.Pointer[func() Fault]
	lag      atomic.Int64 // before each piece from the server, in nanoseconds
	refusing atomic.Bool
	requests countdown
	answers  countdown
	kept     countdown // requests until the one that is kept
	cuts     atomic.Int64

	ctx   context.Context //nolint:containedctx // ends the dials under way
	end   context.CancelFunc
	group sync.WaitGroup

	mu     sync.Mutex
	stall  chan struct{} // nothing passes until it is closed; nil: everything does
	conns  map[*net.TCPConn]*net.TCPConn
	late   *late // nil: no request is kept
	closed bool
}

// late is a kept request with the connection to its server.
type late struct {
	server *net.TCPConn
	piece  []byte
	ready  chan struct{} // closed when nothing else uses the connection
}

// Start starts a proxy to a server, given by host and port. After ctx ends, new
// connections are not passed on.
func Start(ctx context.Context, target string) (*Proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, conns: map[*net.TCPConn]*net.TCPConn{}}
	p.ctx, p.end = context.WithCancel(ctx)
	p.Aim(target)
	p.Plan(func() Fault { return Fault{} })
	p.group.Go(p.accept)
	return p, nil
}

// T is what [For] needs of a test; *testing.T satisfies it.
type T interface {
	Helper()
	Fatal(args ...any)
	Context() context.Context
	Cleanup(f func())
}

// For returns a proxy that is closed at the end of a test.
func For(t T, target string) *Proxy {
	t.Helper()
	p, err := Start(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// URL returns the proxy's address for clients of HTTP.
func (p *Proxy) URL() string { return "http://" + p.Addr() }

// Addr returns the proxy's host and port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Aim sends all further connections to this host and port.
func (p *Proxy) Aim(target string) { p.Route(func(int) string { return target }) }

// Route sets the function that returns the target of each further connection; n
// is 1 for the first.
func (p *Proxy) Route(target func(n int) string) { p.target.Store(&target) }

// Plan sets the function that returns the fault of each further connection.
func (p *Proxy) Plan(plan func() Fault) { p.plan.Store(&plan) }

// Lag delays each piece from the server, on all connections.
func (p *Proxy) Lag(d time.Duration) { p.lag.Store(int64(d)) }

// Refuse resets every connection, and every further one until Accept.
func (p *Proxy) Refuse() {
	p.refusing.Store(true)
	p.Cut()
}

// Accept ends Refuse.
func (p *Proxy) Accept() { p.refusing.Store(false) }

// LoseRequest drops one piece from a client, the one after this many others,
// and cuts its connection; -1 drops none.
func (p *Proxy) LoseRequest(after int) { p.requests.set(after) }

// LoseAnswer does the same with a piece from the server.
func (p *Proxy) LoseAnswer(after int) { p.answers.set(after) }

// KeepRequest keeps one piece from a client, the one after this many others,
// and cuts the client's connection. Deliver sends the piece.
func (p *Proxy) KeepRequest(after int) { p.kept.set(after) }

// Deliver sends the piece that KeepRequest kept, on the connection on which it
// came, and returns when the server has answered.
func (p *Proxy) Deliver() error {
	p.mu.Lock()
	l := p.late
	p.mu.Unlock()
	if l == nil {
		return errors.New("netfault: no request was kept")
	}
	<-l.ready
	p.mu.Lock()
	p.late = nil
	p.mu.Unlock()
	defer func() { _ = l.server.Close() }()
	if err := l.server.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	defer time.AfterFunc(deliverLimit, func() { _ = l.server.Close() }).Stop()
	if _, err := l.server.Write(l.piece); err != nil {
		return err
	}
	_, err := l.server.Read(make([]byte, 1))
	return err
}

// deliverLimit bounds the wait for the answer to a kept request.
const deliverLimit = 20 * time.Second

// Cuts returns the number of connections that [Fault], LoseRequest, LoseAnswer,
// KeepRequest and CutSome have cut.
func (p *Proxy) Cuts() int64 { return p.cuts.Load() }

// Cut resets every connection.
func (p *Proxy) Cut() { p.CutSome(func() bool { return true }) }

// CutSome resets each connection for which choose returns true.
func (p *Proxy) CutSome(choose func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for down, up := range p.conns {
		if choose() {
			p.cuts.Add(1)
			reset(down)
			reset(up)
			delete(p.conns, down)
		}
	}
}

// Hold stops all traffic in both directions, without closing a connection,
// until Let.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stall == nil {
		p.stall = make(chan struct{})
	}
}

// Let ends Hold.
func (p *Proxy) Let() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stall != nil {
		close(p.stall)
		p.stall = nil
	}
}

// Close resets every connection, stops listening, and waits until all
// goroutines of the proxy have ended.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end()
	_ = p.listener.Close()
	p.Let()
	p.Cut()
	p.group.Wait()
	if p.late != nil { // nothing runs any more
		reset(p.late.server)
	}
}

func (p *Proxy) accept() {
	for n := 1; ; n++ {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		down, target := c.(*net.TCPConn), (*p.target.Load())(n) //nolint:forcetypeassert // a TCP listener
		p.group.Go(func() { p.join(down, target) })
	}
}

// join passes on what two sides send until one of them has closed.
func (p *Proxy) join(down *net.TCPConn, target string) {
	fault := (*p.plan.Load())()
	up, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(p.ctx, "tcp", target)
	if err != nil {
		reset(down)
		return
	}
	upstream := up.(*net.TCPConn) //nolint:forcetypeassert // dialled as TCP
	if !p.keep(down, upstream) {
		reset(down)
		reset(upstream)
		return
	}
	var requests sync.WaitGroup
	requests.Go(func() {
		cut := p.pass(down, upstream, &p.requests, Fault{}, 0)
		switch {
		case p.keeps(upstream):
			reset(down)
			_ = upstream.SetReadDeadline(time.Unix(1, 0)) // ends the other direction
			return
		case cut:
			reset(down)
			reset(upstream)
		}
		_ = upstream.CloseWrite()
	})
	if p.pass(upstream, down, &p.answers, fault, fault.After) && fault.Reset {
		_ = down.SetLinger(0)
	}
	_ = down.Close()
	if !p.keeps(upstream) {
		_ = upstream.Close()
	}
	requests.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, down)
	if p.late != nil && p.late.server == upstream {
		close(p.late.ready)
	}
}

// keeps reports whether a request is kept for a connection.
func (p *Proxy) keeps(upstream *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.late != nil && p.late.server == upstream
}

// keep records a connection. It returns false if connections are refused.
func (p *Proxy) keep(down, up *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.refusing.Load() {
		return false
	}
	p.conns[down] = up
	return true
}

// pass copies one direction. It returns true if the proxy itself cut the
// connection. left is the number of bytes that may pass; 0 is no bound.
func (p *Proxy) pass(from, to *net.TCPConn, lose *countdown, fault Fault, left int64) (cut bool) {
	delay := func() time.Duration { return 0 }
	if lose == &p.answers {
		delay = func() time.Duration { return fault.Delay + time.Duration(p.lag.Load()) }
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.wait(delay())
		piece := buffer[:n]
		switch {
		case n > 0 && lose == &p.requests && p.kept.down():
			p.cuts.Add(1)
			p.mu.Lock()
			p.late = &late{server: to, piece: bytes.Clone(piece), ready: make(chan struct{})}
			delete(p.conns, from)
			p.mu.Unlock()
			return true
		case n > 0 && lose.down():
			p.cuts.Add(1)
			return true
		case left > 0 && int64(n) >= left:
			_, _ = to.Write(piece[:left])
			p.cuts.Add(1)
			return true
		case left > 0:
			left -= int64(n)
		}
		if _, werr := to.Write(piece); err != nil || werr != nil {
			return false
		}
	}
}

// wait delays one piece.
func (p *Proxy) wait(delay time.Duration) {
	if delay > 0 {
		<-time.After(delay)
	}
	p.mu.Lock()
	stall := p.stall
	p.mu.Unlock()
	if stall != nil {
		<-stall
	}
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// countdown is the number of pieces that pass before one is lost.
type countdown struct {
	mu     sync.Mutex
	armed  bool
	passes int
}

func (c *countdown) set(passes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed, c.passes = passes >= 0, passes
}

// down counts one piece. It returns true for the piece to be lost.
func (c *countdown) down() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.armed {
		return false
	}
	c.passes--
	c.armed = c.passes >= 0
	return !c.armed
}
