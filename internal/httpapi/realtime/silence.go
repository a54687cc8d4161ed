package realtime

import (
	"errors"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// tick is called about once a second.
func (c *conn) tick(now clock.Moment) {
	t := &c.server.times
	principal := c.principal.Load()
	if c.wire.waited.Swap(false) && principal != nil {
		c.since.Store(int64(now))
	}
	since := clock.Moment(c.since.Load())
	switch {
	case c.overdue(now):
		c.broken(errStalled)
	case principal == nil && now > since.Add(t.authWithin):
		c.close(CloseUnauthorized, "no auth frame arrived in time")
	case principal != nil && now >= clock.Moment(c.expires.Load()):
		c.close(CloseUnauthorized, "the token expired")
	case now > since.Add(t.silence):
		c.close(closeGoingAway, "nothing was received for a minute")
	case now > since.Add(t.heartbeat) && now > clock.Moment(c.pinged.Load()).Add(t.heartbeat):
		c.pinged.Store(int64(now))
		c.server.running.start(c.ping)
	}
}

// overdue reports whether the hub asked to close so long ago that commands in
// flight are no longer waited for.
func (c *conn) overdue(now clock.Moment) bool {
	session := c.session.Load()
	if session == nil {
		return false
	}
	if _, asked := session.Closing(); !asked {
		return false
	}
	if c.asked == 0 {
		c.asked = now
	}
	return now > c.asked.Add(c.server.times.asked)
}

func (c *conn) ping() {
	defer c.fence()
	_, err := c.wire.Write([]byte{finalBit | opPing, 0})
	c.wrote(err)
}

// mayPing counts a ping or pong; no allowance covers them, and they are never
// delayed. A client that sends too many is disconnected, and its frames are no
// longer processed, because a flood would be processed until the connection is
// closed.
func (c *conn) mayPing() bool {
	if now := c.server.opts.Clock.Mono(); now > c.counted.Add(time.Second) {
		c.counted, c.pings = now, 0
	}
	if c.pings++; c.pings > c.server.times.pings {
		c.close(closeRateLimited, "too many pings")
		c.worker().leave()
		defer c.worker().rejoin()
		t := time.NewTimer(c.server.times.lingering) // for the close frame to arrive
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.server.opts.Context.Done():
		}
		c.wire.cut()
		return false
	}
	return true
}

// wrote ends the connection if a control frame waited for a client that accepts
// no bytes. The reader notices other errors.
func (c *conn) wrote(err error) {
	if errors.Is(err, errStalled) {
		c.broken(err)
	}
}

func (c *conn) received() {
	if c.principal.Load() != nil { // before authentication, only an auth frame counts
		c.since.Store(int64(c.server.opts.Clock.Mono()))
	}
}
