package e2e_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fault is what a proxy does to one connection.
type fault struct {
	after int64         // bytes from the server until it is cut; 0 never
	reset bool          // cut with RST instead of FIN
	delay time.Duration // before each piece from the server
}

// proxy stands between clients and a server that may change its address, and
// breaks connections.
type proxy struct {
	listener net.Listener
	plan     func() fault
	target   atomic.Pointer[string]
	cuts     atomic.Int64
	lag      atomic.Int64 // before each piece from the server, of all connections

	mu     sync.Mutex
	stall  chan struct{} // nothing passes until it is closed; nil where all does
	conns  map[*net.TCPConn]struct{}
	closed bool
	group  sync.WaitGroup
}

// startProxy listens for clients; plan is asked for each connection, and may
// be nil.
func startProxy(tb testing.TB, target string, plan func() fault) *proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	if plan == nil {
		plan = func() fault { return fault{} }
	}
	p := &proxy{listener: l, plan: plan, conns: map[*net.TCPConn]struct{}{}}
	p.aim(target)
	p.group.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// url is where clients find it.
func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

// aim sets host:port of the server for connections to come.
func (p *proxy) aim(target string) { p.target.Store(&target) }

// cutAll resets every connection.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

// hold lets nothing pass, without closing anything, until let.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stall == nil {
		p.stall = make(chan struct{})
	}
}

func (p *proxy) let() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stall != nil {
		close(p.stall)
		p.stall = nil
	}
}

// wait is what every piece does on its way to a client.
func (p *proxy) wait(f fault) {
	if d := f.delay + time.Duration(p.lag.Load()); d > 0 {
		<-time.After(d)
	}
	p.mu.Lock()
	stall := p.stall
	p.mu.Unlock()
	if stall != nil {
		<-stall
	}
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.let()
	_ = p.listener.Close()
	p.cutAll()
	p.group.Wait()
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.group.Go(func() { p.carry(c.(*net.TCPConn)) })
	}
}

// keep notes a connection; false where the proxy is closed.
func (p *proxy) keep(c *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
	return !p.closed
}

// end closes a connection, with RST where reset is set.
func (p *proxy) end(c *net.TCPConn, reset bool) {
	if reset {
		_ = c.SetLinger(0)
	}
	_ = c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// carry joins a client with the server until either is gone or the plan says
// so.
func (p *proxy) carry(down *net.TCPConn) {
	f := p.plan()
	up, err := net.DialTimeout("tcp", *p.target.Load(), time.Second)
	if err != nil {
		p.keep(down)
		p.end(down, true)
		return
	}
	upstream := up.(*net.TCPConn)
	if p.keep(down) && p.keep(upstream) {
		var toServer sync.WaitGroup
		toServer.Go(func() {
			_, _ = io.Copy(upstream, held{down, p})
			_ = upstream.CloseWrite()
		})
		p.fromServer(down, upstream, f)
		p.end(down, f.reset)
		p.end(upstream, f.reset)
		toServer.Wait()
		return
	}
	p.end(down, true)
	p.end(upstream, true)
}

// held reads what a client says, unless nothing may pass.
type held struct {
	*net.TCPConn
	proxy *proxy
}

func (h held) Read(b []byte) (int, error) {
	n, err := h.TCPConn.Read(b)
	h.proxy.wait(fault{})
	return n, err
}

// WriteTo keeps io.Copy from passing by Read.
func (h held) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{h})
}

// fromServer carries what the server says, as far as the plan lets it. The
// last piece is cut anywhere, in the middle of a frame too.
func (p *proxy) fromServer(down, up *net.TCPConn, f fault) {
	buf := make([]byte, 16<<10)
	for left := f.after; ; {
		n, err := up.Read(buf)
		p.wait(f)
		if f.after > 0 && int64(n) >= left {
			_, _ = down.Write(buf[:left])
			p.cuts.Add(1)
			return
		}
		left -= int64(n)
		if _, werr := down.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}
