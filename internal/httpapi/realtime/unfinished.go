package realtime

import "sync"

// One connection holds at most two frames' worth of what has not arrived
// completely, and for a minute. These bounds are for all of them together.
const (
	uncounted     = 4 << 10  // bytes of a connection
	maxUnfinished = 32 << 20 // bytes of those that hold more
)

// unfinished is the connections that hold more than uncounted.
type unfinished struct {
	most int

	mu    sync.Mutex // a leaf
	bytes int
	began uint64 // by how many connections so far
	conns map[*conn]holding
}

type holding struct {
	bytes int
	since uint64 // of began
}

// hold notes how much a connection holds now. Where that is too much in all, it
// drops and returns the one to be closed: the one that has held for longest, of
// those that have not authenticated if there are any.
func (u *unfinished) hold(c *conn, bytes int) (drop *conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	h, known := u.conns[c]
	u.bytes += bytes - h.bytes
	switch {
	case bytes == 0:
		delete(u.conns, c)
	case !known:
		u.began++
		h.since = u.began
		fallthrough
	default:
		h.bytes = bytes
		u.conns[c] = h
	}
	if u.bytes <= u.most {
		return nil
	}
	for o, h := range u.conns {
		stranger := o.principal.Load() == nil
		if drop == nil || stranger && drop.principal.Load() != nil ||
			stranger == (drop.principal.Load() == nil) && h.since < u.conns[drop].since {
			drop = o
		}
	}
	u.bytes -= u.conns[drop].bytes
	delete(u.conns, drop)
	return drop
}

// keep keeps what has not arrived completely. It returns an error if that ends
// the connection.
func (c *conn) keep(in inbound) error {
	if !in.empty() {
		kept := in // which is on the heap; in is not
		c.partial = &kept
	}
	n := cap(in.part) + cap(in.text)
	if n <= uncounted {
		n = 0
	}
	if n == 0 && !c.holds {
		return nil
	}
	c.holds = n > 0
	const reason = "too much has not arrived completely"
	switch drop := c.server.unfinished.hold(c, n); drop {
	case nil:
	case c:
		return &ending{closeOverloaded, reason, endings[closeOverloaded]}
	default:
		drop.shed.Store(true)
		drop.close(closeOverloaded, reason)
	}
	return nil
}

// release gives up what the connection holds; nothing more is read of it.
func (c *conn) release() {
	if c.partial = nil; c.holds {
		c.server.unfinished.hold(c, 0)
	}
}
