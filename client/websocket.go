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

// maxFrameIn bounds one frame of the server; its pages are at most 1 MiB.
const maxFrameIn = 16 << 20

// outbox is what waits to be written to a WebSocket, in order.
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

// busy reports whether so much waits that a signal is better lost.
func (o *outbox) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.frames) > 64
}

// socket is a WebSocket that was welcomed.
type socket struct {
	conn      *Conn
	ws        *websocket.Conn
	out       *outbox
	heartbeat time.Duration
	heard     atomic.Bool
}

func (c *Conn) dialWebSocket(ctx context.Context, token string) (link, error) {
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	//nolint:bodyclose // never needed, says Dial
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

// welcomed reads the first frame.
func (s *socket) welcomed(ctx context.Context) error {
	if s.ws.Subprotocol() != subprotocol {
		return protocolError("the WebSocket speaks something else than " + subprotocol)
	}
	f, _, err := s.read(ctx)
	if err != nil {
		return err
	}
	if f.Op != "welcome" {
		return protocolError("no welcome")
	}
	s.heartbeat = time.Duration(f.HeartbeatMS) * time.Millisecond
	if s.heartbeat < time.Second {
		s.heartbeat = 25 * time.Second
	}
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

// serve implements link.
func (s *socket) serve(ctx context.Context) error {
	inner, cancel := context.WithCancelCause(ctx)
	// A cancelled read would cut the connection; the reader ends when the
	// socket does.
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

// receive is the one reader.
func (s *socket) receive(ctx context.Context, cancel context.CancelCauseFunc) error {
	var gone *awayError
	for {
		f, size, err := s.read(ctx)
		if err == nil {
			s.heard.Store(true)
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

// watch asks after a server that is silent for a heartbeat, and gives it up
// after another.
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
		case s.heard.Swap(false):
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

// hangUp ends the socket: with a close frame where there is time for it.
func (s *socket) hangUp(politely bool) {
	if politely {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.ws.Close(websocket.StatusNormalClosure, "")
		}()
		late := time.NewTimer(time.Second)
		defer late.Stop()
		select {
		case <-done:
		case <-late.C:
			s.close()
			<-done
		}
	}
	s.close()
}

// attach makes a WebSocket the way out: every stream is asked for from where
// it is, every command without an answer is sent again, in order.
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

// failSent fails the commands that a WebSocket died of, or may have: the same
// frame must not be sent again.
func (c *Conn) failSent(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range append([]*Call(nil), c.order...) {
		if k.sent {
			c.resolve(k, noReceipt, &UnknownError{RequestID: k.requestID, Err: why})
		}
	}
}
