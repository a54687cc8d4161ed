package gates

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"gotong.dev/gotong/internal/surreal"
)

// proxy stands between a client of the gates and the server, and cuts
// connections.
type proxy struct {
	listener net.Listener
	target   string
	group    sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]net.Conn // the client's side → the server's
	armed bool
	cuts  int
	shut  bool
}

// proxyDial is how long the proxy waits for the server.
const proxyDial = 5 * time.Second

// requestSize tells a request of a probe from pings: a WebSocket's control
// frame has at most 131 bytes, masked.
const requestSize = 300

// startProxy listens on a loopback port of its own, and gives the config and
// options with which a client goes through it.
func startProxy(ctx context.Context, cfg surreal.Config) (*proxy, surreal.Config, surreal.Options, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, cfg, surreal.Options{}, err
	}
	p := &proxy{listener: l, target: cfg.Address, conns: map[net.Conn]net.Conn{}}
	o := clientOptions()
	if cfg.TLS { // the certificate is the server's, not the proxy's
		host, _, err := net.SplitHostPort(cfg.Address)
		if err != nil {
			_ = l.Close()
			return nil, cfg, o, err
		}
		o.TLS = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	}
	cfg.Address = l.Addr().String()
	p.group.Go(func() { p.accept(ctx) })
	return p, cfg, o, nil
}

func (p *proxy) accept(ctx context.Context) {
	for {
		down, err := p.listener.Accept()
		if err != nil {
			return
		}
		up, err := (&net.Dialer{Timeout: proxyDial}).DialContext(ctx, "tcp", p.target)
		if err != nil {
			_ = down.Close()
			continue
		}
		if !p.keep(down, up) {
			return
		}
		p.group.Go(func() { p.carry(down, up, true) })
		p.group.Go(func() { p.carry(up, down, false) })
	}
}

func (p *proxy) keep(down, up net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		_ = down.Close()
		_ = up.Close()
		return false
	}
	p.conns[down] = up
	return true
}

// carry passes on what comes, until either side is gone. After an armed proxy
// has passed on a request it cuts, so that no answer comes back.
func (p *proxy) carry(from, to net.Conn, request bool) {
	defer p.drop(from, to)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			fire := request && n >= requestSize && p.disarm()
			if fire {
				_ = from.Close() // what the server answers finds nobody
				if randomNumber()%4 == 0 {
					n /= 2 // and now and then the request was lost on its way
				}
			}
			if _, err := to.Write(buffer[:n]); err != nil || fire {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) drop(from, to net.Conn) {
	_ = from.Close()
	_ = to.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, from)
	delete(p.conns, to)
}

// arm makes the proxy cut the connection of the next request, right after that
// was passed on.
func (p *proxy) arm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = true
}

func (p *proxy) disarm() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.armed
	p.armed = false
	if was {
		p.cuts++
	}
	return was
}

// cutSome resets connections for which choose is true.
func (p *proxy) cutSome(choose func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for down, up := range p.conns {
		if !choose() {
			continue
		}
		p.cuts++
		for _, c := range []net.Conn{down, up} {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // a reset, not an end
			}
			_ = c.Close()
		}
		delete(p.conns, down)
	}
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// close ends all connections.
func (p *proxy) close() {
	p.mu.Lock()
	p.shut = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.cutSome(func() bool { return true })
	p.group.Wait()
}
