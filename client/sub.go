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
	start  bool // from the first visible event, while not placed
	placed bool // the fields below mean something
	epoch  gotong.Epoch
	got    uint64 // received up to here
	done   uint64 // handled up to here
	queued int    // frames in the inbox
	gone   bool   // ended, or replaced
	whole  bool   // ended, and what came before is handled all the same

	// Over WebSocket only.
	id      string // of the subscribe frame that counts
	live    bool   // it was answered
	lagging bool   // stopped until the inbox holds nothing of it
	faults  int    // refusals and gaps since events last came
	timer   *time.Timer
}

func (s *sub) place(c gotong.Cursor) {
	s.placed, s.epoch, s.got, s.done = true, c.Epoch, c.Seq, c.Seq
}

// from is the cursor of a subscribe frame.
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

// drop ends a subscription here and, over WebSocket, there. c.mu is held.
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

// subscribe sends a subscribe frame where a WebSocket is up. Frames of an
// earlier subscription that are still in flight are ignored, because no frame
// counts before the answer to this one. c.mu is held.
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

// end tells the handler that a stream is over. c.mu is held.
func (c *Conn) end(s *sub, e *Ended) {
	s.id = ""                           // the server has ended it already
	s.whole = errors.Is(e, ErrUnserved) // the reader may still read what came
	c.drop(s)
	wake(c.change)
	c.client.opts.Log.Info("a stream has ended", "stream", string(s.stream), "error", e)
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
	if err != nil { // Data was checked, the rest are strings
		panic(err)
	}
	return b
}
