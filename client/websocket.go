package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// maxFrameIn bounds one frame of the server in bytes; the server's pages are at
// most 1 MiB.
const maxFrameIn = 16 << 20

// minHeartbeat bounds how often a silent server is asked for a sign of life.
const minHeartbeat = 100 * time.Millisecond

// outbox holds the frames that wait to be written to a WebSocket, in order.
type outbox struct {
	mu     sync.Mutex
	frames [][]byte
	ready  chan struct{}
}

func (o *outbox) put(b []byte) {
	o.mu.Lock()
	o.frames = append(o.frames, b)
	o.mu.Unlock()
	wake(o.ready)
}

func (o *outbox) take() [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.frames
	o.frames = nil
	return list
}

// busy reports whether so many frames wait that a signal should be dropped.
func (o *outbox) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.frames) > 64
}

// socket is a WebSocket whose welcome frame was received.
type socket struct {
	conn      *Conn
	ws        *websocket.Conn
	out       *outbox
	heartbeat time.Duration
	received  atomic.Bool // a frame arrived since the last look
}

func (c *Conn) dialWebSocket(ctx context.Context, token string) (link, error) {
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	//nolint:bodyclose // Dial's documentation: never needed
	ws, res, err := websocket.Dial(ctx, c.client.address("/v1/realtime/ws", nil), &websocket.DialOptions{
		HTTPClient: c.client.stream, HTTPHeader: h, Subprotocols: []string{subprotocol},
	})
	if err != nil {
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
			return nil, problemOf(res)
		}
		return nil, err
	}
	s := &socket{conn: c, ws: ws, out: &outbox{ready: make(chan struct{}, 1)}}
	ws.SetReadLimit(maxFrameIn)
	if err := s.welcomed(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *socket) welcomed(ctx context.Context) error {
	if s.ws.Subprotocol() != subprotocol {
		return protocolError("a WebSocket without the subprotocol " + subprotocol)
	}
	f, _, err := s.read(ctx)
	if err != nil {
		return err
	}
	if f.Op != "welcome" {
		return protocolError("the first frame is not a welcome")
	}
	s.heartbeat = time.Duration(f.HeartbeatMS) * time.Millisecond
	if s.heartbeat <= 0 {
		s.heartbeat = 25 * time.Second
	}
	s.heartbeat = max(s.heartbeat, minHeartbeat)
	return nil
}

func (s *socket) close() { _ = s.ws.CloseNow() }

func (s *socket) read(ctx context.Context) (*frame, int, error) {
	kind, b, err := s.ws.Read(ctx)
	if err != nil {
		if closed, ok := errors.AsType[websocket.CloseError](err); ok {
			return nil, 0, &CloseError{Code: int(closed.Code), Reason: closed.Reason}
		}
		return nil, 0, fmt.Errorf("client: read: %w", err)
	}
	if kind != websocket.MessageText {
		return nil, 0, protocolError("a binary frame")
	}
	f, err := decodeFrame(b)
	return f, len(b), err
}

func (s *socket) serve(ctx context.Context) error {
	inner, cancel := context.WithCancelCause(ctx)
	// A cancelled read would cut the connection; receive ends when the socket
	// does.
	lasting := context.WithoutCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { s.write(inner, lasting, cancel) })
	group.Go(func() { s.watch(inner, cancel) })
	group.Go(func() {
		<-inner.Done()
		s.hangUp(ctx.Err() != nil)
	})
	s.conn.attach(s.out)
	err := s.receive(lasting, cancel)
	s.conn.detach()
	cancel(err)
	group.Wait()
	if cause := context.Cause(inner); ctx.Err() == nil && cause != nil {
		return cause
	}
	return err
}

// receive reads all frames until the socket ends.
func (s *socket) receive(ctx context.Context, cancel context.CancelCauseFunc) error {
	var gone *awayError
	for {
		f, size, err := s.read(ctx)
		if err == nil {
			s.received.Store(true)
			if f.Op == "going_away" {
				if gone == nil {
					gone = away(f.retryAfter(), cancel)
				}
				continue
			}
			err = s.conn.receive(f, size, true)
		}
		if err != nil {
			if gone != nil {
				return gone
			}
			return err
		}
	}
}

func (s *socket) write(ctx, lasting context.Context, cancel context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.out.ready:
		}
		for _, b := range s.out.take() {
			within, done := context.WithTimeout(lasting, writeWithin)
			err := s.ws.Write(within, websocket.MessageText, b)
			done()
			if err != nil {
				cancel(fmt.Errorf("client: write: %w", err))
				return
			}
		}
	}
}

// watch sends a ping to a server that was silent for one heartbeat, and closes
// the socket after a second one.
func (s *socket) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(s.heartbeat)
	defer tick.Stop()
	asked := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch {
		case s.received.Swap(false):
			asked = false
		case asked:
			cancel(errSilent)
			return
		default:
			asked = true
			s.out.put(encodeFrame(outFrame{Op: "ping", ID: "ping"}))
		}
	}
}

// hangUp closes the socket, politely with a close frame if the server accepts
// it within a second.
func (s *socket) hangUp(politely bool) {
	if politely {
		late := time.AfterFunc(time.Second, s.close)
		_ = s.ws.Close(websocket.StatusNormalClosure, "")
		late.Stop()
	}
	s.close()
}

// attach sends over this WebSocket from now on: it subscribes to every stream
// from its cursor and repeats, in order, every command without an answer.
func (c *Conn) attach(out *outbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sender = out
	for _, s := range c.subs {
		s.id, s.live = "", false
		c.subscribe(s)
	}
	for _, k := range c.order {
		k.sent = false
	}
	c.pace.flying = 0
	c.pace.release()
	c.flush()
}

func (c *Conn) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sender = nil
	for _, s := range c.subs {
		s.id, s.live = "", false
		if s.timer != nil {
			s.timer.Stop()
		}
	}
}

// failSent fails the commands that the server may have closed the WebSocket
// for: the same frames must not be sent again.
func (c *Conn) failSent(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range append([]*Call(nil), c.order...) {
		if k.sent {
			c.resolve(k, noReceipt, &UnknownError{RequestID: k.requestID, Err: why})
		}
	}
}
