package client

import (
	"time"

	"gotong.dev/gotong"
)

// receive takes one frame, of any transport. ws says that it came over a
// WebSocket, where streams are stopped and begun one by one; elsewhere an
// error ends the request and the next one asks from the right place.
func (c *Conn) receive(f *frame, size int, ws bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subs[f.Stream]
	switch f.Op {
	case "ack", "error":
		return c.answered(f, s)
	case "pong":
		c.tries = 0
		return nil
	}
	if s == nil || s.gone {
		return nil
	}
	switch f.Op {
	case "subscribed":
		return c.subscribed(s, f, ws)
	case "events":
		return c.events(s, f, size, ws)
	case "access_revoked":
		c.end(s, &Ended{Stream: s.stream, Reason: f.Reason, Err: ErrAccessRevoked})
	case "resync_required":
		if f.Reason == readFailed {
			return c.unread(s, ws)
		}
		c.end(s, &Ended{Stream: s.stream, Reason: f.Reason, Err: ErrResyncRequired})
	case "signal":
		if !c.inbox.full() {
			c.inbox.push(item{signal: &Signal{Stream: s.stream, Type: f.Type, Actor: f.Actor, Data: f.Data}, size: size})
		}
	}
	return nil
}

// subscribed says where a subscription begins.
func (c *Conn) subscribed(s *sub, f *frame, ws bool) error {
	if ws && f.ID != s.id {
		return nil
	}
	cursor, err := gotong.ParseCursor(f.Cursor)
	switch {
	case err != nil:
		return protocolError("a subscription without a cursor")
	case !s.placed:
		s.place(cursor)
	case cursor.Epoch != s.epoch || cursor.Seq > s.got:
		return protocolError("a subscription begins elsewhere than asked")
	}
	s.live = ws
	return nil
}

// events puts what is new of a frame into the inbox. A frame that begins
// beyond what was received leaves a gap: the stream is asked for again from
// where it was.
func (c *Conn) events(s *sub, f *frame, size int, ws bool) error {
	switch {
	case ws && !s.live, s.placed && f.To <= s.got:
		return nil // of an earlier subscription, or again
	case !s.placed:
		return protocolError("events before it is known where they begin")
	case f.From > s.got:
		return c.gap(s, ws)
	case ws && c.inbox.full():
		// The handler is slow. To stop reading would keep acks from commands
		// that it may be waiting for, so the stream stops instead.
		s.lagging = s.queued > 0
		c.stop(s)
		if !s.lagging {
			c.later(s, lagWait)
		}
		return nil
	}
	fresh := f.Events
	for len(fresh) > 0 && fresh[0].Seq <= s.got {
		fresh = fresh[1:]
	}
	for i := range fresh {
		fresh[i].Epoch = s.epoch
	}
	s.got, s.faults, c.tries = f.To, 0, 0
	s.queued++
	c.inbox.push(item{sub: s, events: fresh, to: f.To, size: size})
	return nil
}

// lagWait is how long a stream waits that is stopped though nothing of it is
// in the inbox: others have filled it.
const lagWait = time.Second

// gap asks again; where that does not help, over a new connection.
func (c *Conn) gap(s *sub, ws bool) error {
	if s.faults++; !ws || s.faults > 2 {
		return protocolError("a gap between frames")
	}
	c.subscribe(s)
	return nil
}

// readFailed is the reason of a stream that ended though its cursor is good:
// the server could not read its log for now.
const readFailed = "read_failed"

// unread asks for such a stream again, after a while: over a WebSocket for it
// alone, else for all by a new request.
func (c *Conn) unread(s *sub, ws bool) error {
	switch {
	case !ws:
		return errUnread
	case !s.live:
		return nil // of an earlier subscription
	}
	s.id, s.live = "", false // the server has ended it already
	s.faults++
	c.later(s, c.wait(s.faults-1, nil))
	return nil
}

// answered takes an answer to a command or a subscription.
func (c *Conn) answered(f *frame, s *sub) error {
	if call := c.calls[f.ID]; call != nil {
		return c.settle(call, f)
	}
	if f.Problem == nil {
		return nil
	}
	p := f.Problem.problem()
	if s == nil {
		s = c.byID(f.ID)
	}
	switch {
	case s == nil || s.id != f.ID && f.ID != "":
		c.client.opts.Log.Debug("the server refused a frame", "problem", p.Error())
		return nil
	case p.Status == 401:
		return p
	case p.passes():
		s.faults++
		c.later(s, c.wait(s.faults-1, p))
		return nil
	default:
		c.end(s, refused(s.stream, p))
		return nil
	}
}

func (c *Conn) byID(id string) *sub {
	for _, s := range c.subs {
		if id != "" && s.id == id {
			return s
		}
	}
	return nil
}

// wait is what the server said, or the backoff of try n.
func (c *Conn) wait(n int, p *Problem) time.Duration {
	if p != nil && p.RetryAfter > 0 {
		return p.RetryAfter
	}
	return c.client.opts.Backoff(n)
}
