package httpapi

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"gotong.dev/gotong"
)

// ConnLimits bound the connections that have not authenticated and, by the same
// numbers, those that wait for their next request. Authenticated connections
// are bounded per user.
type ConnLimits struct {
	PerAddress int    // of one IPv4 address or IPv6 /64; 0 is 256
	Total      int    // of all together; 0 is 4,096
	Refused    func() // called for each connection that was refused; may be nil
}

// conns counts the connections that have not authenticated. A connection from a
// trusted proxy carries many clients: each of its requests counts as a
// connection of its client, until it has authenticated or ended.
type conns struct {
	limits  ConnLimits
	proxies *proxies
	pending places
	idle    places // of those that have authenticated and wait for their next request
}

// places bounds the connections of each address and of all.
type places struct {
	perAddress, most int

	mu    sync.Mutex
	total int
	by    map[string]int
}

func newPlaces(l ConnLimits) places {
	return places{perAddress: l.PerAddress, most: l.Total, by: map[string]int{}}
}

func newConns(limits ConnLimits, p *proxies) *conns {
	limits.PerAddress, limits.Total = cmp.Or(limits.PerAddress, 256), cmp.Or(limits.Total, 4096)
	if limits.Refused == nil {
		limits.Refused = func() {}
	}
	return &conns{limits: limits, proxies: p, pending: newPlaces(limits), idle: newPlaces(limits)}
}

// Pending is the place of a connection that has not authenticated. Nil is no
// place.
type Pending struct {
	left atomic.Bool
	of   *places
	key  string
}

// enter takes a place. It returns false if there is none.
func (p *places) enter(key string) (*Pending, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total >= p.most || p.by[key] >= p.perAddress {
		return nil, false
	}
	p.total++
	p.by[key]++
	return &Pending{of: p, key: key}, true
}

// Leave frees the place: the connection has authenticated or ended. Only the
// first call counts.
func (p *Pending) Leave() {
	if p == nil || p.left.Swap(true) {
		return
	}
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.of.total--
	if p.of.by[p.key]--; p.of.by[p.key] == 0 {
		delete(p.of.by, p.key)
	}
}

// Listener returns a listener that closes new connections at once while too
// many have not authenticated. The server that accepts from it must be one of
// [HTTPServer].
func (s *Server) Listener(l net.Listener) net.Listener { return &listener{l, s.conns} }

type listener struct {
	net.Listener
	conns *conns
}

// Accept returns the next connection for which there is room.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return conn, nil // not a network connection
		}
		peer := plainAddr(tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()) //nolint:forcetypeassert // that of a TCP connection
		if l.conns.proxies.trusts(peer) {
			return conn, nil
		}
		key := addressKey(peer)
		if pending, ok := l.conns.pending.enter(key); ok {
			return &counted{TCPConn: tcp, pending: pending, key: key, idlers: &l.conns.idle}, nil
		}
		l.conns.limits.Refused()
		_ = tcp.SetLinger(0) // nothing is left behind here either
		_ = tcp.Close()
	}
}

// counted is a connection with its place. It has all methods of a TCP
// connection, for writers that need more than net.Conn.
type counted struct {
	*net.TCPConn
	pending *Pending
	key     string
	idlers  *places
	idle    atomic.Pointer[Pending]
}

// Close also frees the places.
func (c *counted) Close() error {
	c.pending.Leave()
	c.idle.Swap(nil).Leave()
	return c.TCPConn.Close()
}

// connState closes an authenticated connection that becomes idle while too many
// are idle. Its client can open another one. Otherwise one account could leave
// behind any number of connections.
func connState(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*counted)
	if !ok {
		return
	}
	c.idle.Swap(nil).Leave()
	if state != http.StateIdle || !c.pending.left.Load() { // or it counts already
		return
	}
	place, ok := c.idlers.enter(c.key)
	if !ok {
		_ = c.Close()
		return
	}
	c.idle.Store(place)
}

type pendingKey struct{}

// connContext makes the place of a connection available to its requests.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*counted); ok {
		return context.WithValue(ctx, pendingKey{}, c.pending)
	}
	return ctx
}

// Authenticated records that the client of a request has authenticated, so that
// its connection no longer counts.
func (c *Call) Authenticated() { c.pending.Leave() }

// Pending returns the place of a connection that outlives its request. The
// caller must free it.
func (c *Call) Pending() *Pending {
	c.kept = true
	return c.pending
}

// Crowded returns an error if the client of an unauthenticated request has too
// many of them open, and otherwise nil.
func (c *Call) Crowded() error {
	if !c.crowded {
		return nil
	}
	return gotong.NewError(gotong.CodeRateLimited, "Too many open requests from this address have not authenticated.")
}

// count finds the place of the request's connection or, behind a trusted proxy,
// takes one. A request without a place may still authenticate.
func (e *edge) count(r *http.Request, call *Call) {
	if pending, ok := r.Context().Value(pendingKey{}).(*Pending); ok {
		call.pending, call.kept = pending, true
		return
	}
	if e.proxies.trusts(PeerOf(r)) { // otherwise it came through another listener
		pending, ok := e.conns.pending.enter(call.Address)
		call.pending, call.crowded = pending, !ok
	}
}
