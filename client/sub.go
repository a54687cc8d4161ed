package client

import (
	"encoding/json"
	"errors"
	"time"

	"gotong.dev/gotong"
)

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
