package surreal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// The states of a call. A queued call becomes sent, by the writer, or dropped, by
// the caller that gives up, whichever is first.
const (
	queued = int32(iota)
	sent
	dropped
)

// call is one request. The channel for its reply is buffered, so that the reader
// never waits for a caller.
type call struct {
	frame []byte
	state atomic.Int32
	reply chan reply
}

// socket is one WebSocket with the calls that wait on it. It ends with the first
// fault, and then all of them fail.
type socket struct {
	conn *websocket.Conn
	opts Options
	note func(Raw) error // receives notifications; never blocks; an error ends the socket

	out   chan *call
	done  chan struct{} // closed by fail
	ended sync.WaitGroup
	heard atomic.Uint64 // frames that were received
	slots chan struct{} // one for each call in flight

	mu    sync.Mutex
	next  uint64
	calls map[uint64]*call
	err   error // why it ended
}

// start runs a socket until fail. ctx is only for values: a socket outlives
// the call that opened it.
func start(ctx context.Context, conn *websocket.Conn, opts Options, note func(Raw) error) *socket {
	conn.SetReadLimit(opts.MaxMessage)
	s := &socket{
		conn:  conn,
		opts:  opts,
		note:  note,
		out:   make(chan *call),
		slots: make(chan struct{}, opts.InFlight),
		done:  make(chan struct{}),
		calls: map[uint64]*call{},
	}
	ctx = context.WithoutCancel(ctx)
	s.ended.Go(func() { s.read(ctx) })
	s.ended.Go(func() { s.write(ctx) })
	s.ended.Go(func() { s.watch(ctx) })
	return s
}

// fail ends the socket and answers all its calls. The first reason is kept.
func (s *socket) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	close(s.done)
	s.calls = nil
	// Closing may wait for the reader or the writer, which may wait for s.mu.
	s.ended.Go(func() { _ = s.conn.CloseNow() })
}

// stop ends the socket and waits for its goroutines.
func (s *socket) stop(err error) {
	s.fail(err)
	s.ended.Wait()
}

func (s *socket) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *socket) read(ctx context.Context) {
	for {
		kind, data, err := s.conn.Read(ctx)
		if err != nil {
			s.fail(fmt.Errorf("the connection was lost: %w", err))
			return
		}
		s.heard.Add(1)
		if kind != websocket.MessageBinary {
			s.fail(errors.New("the server sent text, not CBOR"))
			return
		}
		r, err := decodeReply(data)
		if err != nil {
			s.fail(fmt.Errorf("the server sent a malformed reply: %w", err))
			return
		}
		if err := s.take(r); err != nil {
			s.fail(err)
			return
		}
	}
}

// take passes a reply to its call. It drops a reply to a call that has given up.
func (s *socket) take(r reply) error {
	if r.ID == nil {
		if s.note == nil || r.Error != nil {
			return nil
		}
		return s.note(r.Result)
	}
	s.mu.Lock()
	c := s.calls[*r.ID]
	delete(s.calls, *r.ID)
	s.mu.Unlock()
	if c != nil {
		c.reply <- r
	}
	return nil
}

func (s *socket) write(ctx context.Context) {
	for {
		select {
		case <-s.done:
			return
		case c := <-s.out:
			if !c.state.CompareAndSwap(queued, sent) {
				continue
			}
			limited, cancel := context.WithTimeout(ctx, s.opts.Stall)
			err := s.conn.Write(limited, websocket.MessageBinary, c.frame)
			cancel()
			if err != nil {
				s.fail(fmt.Errorf("the connection was lost: %w", err))
				return
			}
		}
	}
}

// watch sends a ping after a silence, and ends the socket if there is no answer.
func (s *socket) watch(ctx context.Context) {
	tick := time.NewTicker(s.opts.Ping)
	defer tick.Stop()
	before := s.heard.Load()
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
		if now := s.heard.Load(); now != before {
			before = now
			continue
		}
		limited, cancel := context.WithTimeout(ctx, s.opts.Stall)
		err := s.conn.Ping(limited)
		cancel()
		if err != nil && s.heard.Load() == before {
			s.fail(fmt.Errorf("the server does not answer: %w", err))
			return
		}
	}
}

func (s *socket) alive() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// seat waits for a place among the calls in flight; the caller frees it when the
// call has ended.
func (s *socket) seat(ctx context.Context) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-s.done:
	}
	return false
}

// call sends one request and waits for its reply, its context, or the end of
// the socket.
func (s *socket) call(ctx context.Context, method string, params []any) (Raw, error) {
	c, id, err := s.enlist(method, params)
	if err != nil {
		return nil, err
	}
	select {
	case s.out <- c:
	case <-ctx.Done():
		return nil, s.giveUp(c, id, context.Cause(ctx))
	case <-s.done:
		return nil, s.giveUp(c, id, s.reason())
	}
	select {
	case r := <-c.reply:
		return r.answer()
	case <-ctx.Done():
		return nil, s.giveUp(c, id, context.Cause(ctx))
	case <-s.done:
	}
	select { // the reply may have arrived just before the end
	case r := <-c.reply:
		return r.answer()
	default:
		return nil, s.giveUp(c, id, s.reason())
	}
}

func (s *socket) enlist(method string, params []any) (*call, uint64, error) {
	s.mu.Lock()
	s.next++
	id := s.next
	s.mu.Unlock()
	frame, err := encoding.Marshal(request{ID: id, Method: method, Params: params})
	if err != nil {
		return nil, 0, &ConnError{Err: fmt.Errorf("a parameter cannot be encoded: %w", err)}
	}
	if int64(len(frame)) > s.opts.MaxMessage {
		return nil, 0, &ConnError{Err: ErrTooBig}
	}
	c := &call{frame: frame, reply: make(chan reply, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, 0, &ConnError{lost: true, Err: s.err}
	}
	s.calls[id] = c
	return c, id, nil
}

func (s *socket) giveUp(c *call, id uint64, why error) error {
	s.mu.Lock()
	delete(s.calls, id)
	s.mu.Unlock()
	return &ConnError{Sent: !c.state.CompareAndSwap(queued, dropped), lost: !s.alive(), Err: why}
}
