package client

import (
	"encoding/json"
	"errors"
	"time"

	"gotong.dev/gotong"
)

// receive processes one frame of any transport. Over a WebSocket (ws), streams
// are stopped and subscribed one by one; elsewhere an error ends the request,
// and the next request asks from the right place.
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

// subscribed records the cursor at which a subscription begins.
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
		return protocolError("a subscription that begins at another cursor than requested")
	}
	s.live = ws
	return nil
}

// events puts the new events of a frame into the inbox. A frame that begins
// beyond what was received leaves a gap; the stream is then requested again
// from its cursor.
func (c *Conn) events(s *sub, f *frame, size int, ws bool) error {
	switch {
	case ws && !s.live, s.placed && f.To <= s.got:
		return nil // of an earlier subscription, or a repetition
	case !s.placed:
		return protocolError("events before the cursor of their subscription")
	case f.From > s.got:
		return c.gap(s, ws)
	case ws && c.inbox.full():
		// The handler is slow. If this stopped reading the connection, answers
		// to commands that the handler may be waiting for would not arrive. It
		// ends the subscription instead.
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

// lagWait is the wait before a stopped stream is subscribed again if other
// streams have filled the inbox.
const lagWait = time.Second

// gap subscribes again; if that does not close the gap, it asks for a new
// connection.
func (c *Conn) gap(s *sub, ws bool) error {
	if s.faults++; !ws || s.faults > 2 {
		return protocolError("a gap between frames")
	}
	c.subscribe(s)
	return nil
}

// readFailed is the reason of an end whose cursor stays valid: the server could
// not read its log at that moment.
const readFailed = "read_failed"

// unread requests such a stream again after a wait: over a WebSocket this
// stream alone, else all streams with a new request.
func (c *Conn) unread(s *sub, ws bool) error {
	switch {
	case !ws:
		return errUnread
	case !s.live:
		return nil // of an earlier subscription
	}
	s.id, s.live = "", false // the server has ended the subscription
	s.faults++
	c.later(s, c.wait(s.faults-1, nil))
	return nil
}

// answered processes the answer to a command or a subscription.
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
		c.client.opts.Log.Debug("the server rejected a frame", "problem", p.Error())
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

// wait returns the wait that the server named, or the backoff of try n.
func (c *Conn) wait(n int, p *Problem) time.Duration {
	if p != nil && p.RetryAfter > 0 {
		return p.RetryAfter
	}
	return c.client.backoff(n)
}

// sub is one followed stream. Its fields are guarded by the Conn's mu.
type sub struct {
	stream gotong.Stream
	start  bool // before it is placed: begin at the first visible event
	placed bool // the next fields are set
	epoch  gotong.Epoch
	got    uint64 // received up to here
	done   uint64 // handled up to here
	queued int    // frames in the inbox
	gone   bool   // ended, or replaced
	whole  bool   // ended, but the events before the end are handled

	// The fields below are for WebSocket only.
	id      string // of the current subscribe frame
	live    bool   // that frame was answered
	lagging bool   // stopped until the inbox holds none of its frames
	faults  int    // rejections and gaps since the last events
	timer   *time.Timer
}

func (s *sub) place(c gotong.Cursor) {
	s.placed, s.epoch, s.got, s.done = true, c.Epoch, c.Seq, c.Seq
}

// from returns the cursor of a subscribe frame.
func (s *sub) from() string {
	switch {
	case s.placed:
		return gotong.Cursor{Epoch: s.epoch, Seq: s.got}.String()
	case s.start:
		return string(Start)
	default:
		return ""
	}
}

// drop ends a subscription and, over WebSocket, unsubscribes. c.mu is held.
func (c *Conn) drop(s *sub) {
	s.gone = true
	c.stop(s)
	if c.subs[s.stream] == s {
		delete(c.subs, s.stream)
	}
}

// stop unsubscribes over WebSocket. c.mu is held.
func (c *Conn) stop(s *sub) {
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.id == "" || c.sender == nil {
		return
	}
	s.id, s.live = "", false
	c.sender.put(encodeFrame(outFrame{Op: "unsubscribe", ID: c.id(), Stream: string(s.stream)}))
}

// subscribe sends a subscribe frame if a WebSocket is up. Frames of an earlier
// subscription that are still in flight are ignored, because no frame counts
// before the answer to this one. c.mu is held.
func (c *Conn) subscribe(s *sub) {
	if c.sender == nil || s.gone || s.lagging {
		return
	}
	c.stop(s)
	s.id, s.live = c.id(), false
	c.sender.put(encodeFrame(outFrame{Op: "subscribe", ID: s.id, Stream: string(s.stream), Cursor: s.from()}))
}

// later subscribes again after a wait. c.mu is held.
func (c *Conn) later(s *sub, wait time.Duration) {
	c.stop(s)
	s.timer = time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.subscribe(s)
	})
}

// end reports the end of a stream to the handler. c.mu is held.
func (c *Conn) end(s *sub, e *Ended) {
	s.id = ""                           // the server has ended the subscription
	s.whole = errors.Is(e, ErrUnserved) // the caller may still read the events before it
	c.drop(s)
	wake(c.change)
	c.client.opts.Log.Info("stream ended", "stream", string(s.stream), "error", e)
	c.inbox.push(item{sub: s, ended: e})
}

// outFrame is every frame that this client sends.
type outFrame struct {
	Op            string          `json:"op"`
	ID            string          `json:"id,omitempty"`
	RequestID     string          `json:"request_id,omitempty"`
	CorrelationID string          `json:"correlation_id,omitempty"`
	Traceparent   string          `json:"traceparent,omitempty"`
	Stream        string          `json:"stream,omitempty"`
	Cursor        string          `json:"cursor,omitempty"`
	Type          string          `json:"type,omitempty"`
	Data          json.RawMessage `json:"data,omitempty"`
}

func encodeFrame(f outFrame) []byte {
	b, err := json.Marshal(f)
	if err != nil { // Data was checked, the other fields are strings
		panic(err)
	}
	return b
}
