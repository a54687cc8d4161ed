package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"gotong.dev/gotong"
)

// ConnOptions configure a Conn. All fields are optional.
type ConnOptions struct {
	// Handle is called for each event, one at a time, in order. An error ends
	// the Conn, and its event counts as not handled. If Handle is nil, events
	// are dropped and count as handled.
	Handle func(Event) error

	// OnEnded is called when a stream is no longer followed, never at the same
	// time as Handle. An error ends the Conn. If OnEnded is nil, the end of any
	// stream ends the Conn.
	OnEnded func(*Ended) error

	// OnSignal is called for typing, presence and read marks, never at the same
	// time as Handle.
	OnSignal func(Signal)

	// OnState is called when a connection is established or lost.
	OnState func(State)

	// MaxPending is the number of commands that may wait for their answers; 0
	// is 256.
	MaxPending int
}

// State describes the connection of a Conn. Without a connection, Transport is
// empty, Err is the reason, and Wait is the time until the next try.
type State struct {
	Transport Transport
	Err       error
	Wait      time.Duration
}

// ErrClosed is wrapped by the answer of a command whose Conn has ended.
var ErrClosed = errors.New("client: the connection has ended")

// Conn follows streams and sends commands for as long as [Conn.Run] runs. Its
// methods are safe for concurrent use and may be called from handlers.
type Conn struct {
	client *Client
	opts   ConnOptions
	inbox  *inbox
	slots  chan struct{} // one token per pending command
	change chan struct{} // the set of streams changed

	mu      sync.Mutex
	started bool
	closed  bool
	subs    map[gotong.Stream]*sub
	calls   map[string]*Call
	order   []*Call // pending, in the order of their Submits
	pace    pace
	nextID  uint64
	sender  *outbox // of the WebSocket that is up, or nil
	tries   int     // failures since something last went well
}

// NewConn returns a Conn that follows no streams yet; [Conn.Run] connects it.
func (c *Client) NewConn(opts ConnOptions) *Conn {
	if opts.MaxPending == 0 {
		opts.MaxPending = 256
	}
	return &Conn{
		client: c, opts: opts, inbox: newInbox(),
		slots:  make(chan struct{}, opts.MaxPending),
		change: make(chan struct{}, 1),
		subs:   make(map[gotong.Stream]*sub),
		calls:  make(map[string]*Call),
		pace:   pace{window: float64(opts.MaxPending)},
	}
}

// Follow follows these streams and calls handle for each event until ctx ends,
// handle fails, or a stream ends (the error is then an [*Ended]). It returns
// the reason; if ctx ended, that is ctx's error.
func (c *Client) Follow(ctx context.Context, streams map[gotong.Stream]From, handle func(Event) error) error {
	conn := c.NewConn(ConnOptions{Handle: handle})
	for stream, from := range streams {
		if err := conn.Subscribe(stream, from); err != nil {
			return err
		}
	}
	return conn.Run(ctx)
}

// Events is [Client.Follow] as a sequence: the next event is handled after the
// loop's body has returned. If following ends with an error, the last pair
// holds it.
func (c *Client) Events(ctx context.Context, streams map[gotong.Stream]From) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		errLeft := errors.New("left")
		err := c.Follow(ctx, streams, func(e Event) error {
			if !yield(e, nil) {
				return errLeft
			}
			return nil
		})
		if !errors.Is(err, errLeft) {
			yield(Event{}, err)
		}
	}
}

// Subscribe follows a stream, or follows it from another place. It returns an
// error if the stream's name or the cursor is malformed. Whether the caller may
// read the stream shows later: events arrive, or OnEnded is called.
func (c *Conn) Subscribe(stream gotong.Stream, from From) error {
	if _, err := gotong.ParseStream(string(stream)); err != nil {
		return err
	}
	s := &sub{stream: stream, start: from == Start}
	if from != Now && from != Start {
		cursor, err := gotong.ParseCursor(string(from))
		if err != nil {
			return err
		}
		s.place(cursor)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.subs[stream]; old != nil {
		c.drop(old)
	}
	c.subs[stream] = s
	c.subscribe(s)
	wake(c.change)
	return nil
}

// Unsubscribe ends the subscription to a stream. After it returns, no event of
// the stream is handled, except one whose handler is already running.
func (c *Conn) Unsubscribe(stream gotong.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.subs[stream]; s != nil {
		c.drop(s)
		wake(c.change)
	}
}

// Cursors returns for each stream the cursor up to which its events were
// handled. A stream that is followed from [Now] or [Start] is included once the
// server has sent its cursor.
func (c *Conn) Cursors() map[gotong.Stream]gotong.Cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[gotong.Stream]gotong.Cursor, len(c.subs))
	for stream, s := range c.subs {
		if s.placed {
			m[stream] = gotong.Cursor{Epoch: s.epoch, Seq: s.done}
		}
	}
	return m
}

// Run connects and handles events until ctx ends, a handler fails, or the
// server's answer rules out another try. It returns the reason. It may be
// called once. Commands that are still pending when it returns fail with an
// [UnknownError].
func (c *Conn) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.started {
		c.mu.Unlock()
		return errors.New("client: a Conn runs once")
	}
	c.started = true
	c.mu.Unlock()
	inner, cancel := context.WithCancelCause(ctx)
	var supervising sync.WaitGroup
	supervising.Go(func() { cancel(c.supervise(inner)) })
	err := c.dispatch(inner)
	cancel(err)
	supervising.Wait()
	c.finish(context.Cause(inner))
	return context.Cause(inner)
}

// dispatch calls the handlers until one fails or ctx ends.
func (c *Conn) dispatch(ctx context.Context) error {
	for {
		it, ok := c.inbox.pop(ctx)
		if !ok {
			return ctx.Err()
		}
		if err := c.handle(ctx, it); err != nil {
			return err
		}
	}
}

func (c *Conn) handle(ctx context.Context, it item) error {
	switch {
	case it.signal != nil:
		if c.opts.OnSignal != nil {
			c.opts.OnSignal(*it.signal)
		}
		return nil
	case it.ended != nil:
		if c.opts.OnEnded == nil {
			return it.ended
		}
		return c.opts.OnEnded(it.ended)
	}
	for _, e := range it.events {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if c.gone(it.sub) {
			break
		}
		if c.opts.Handle != nil {
			if err := c.opts.Handle(e); err != nil {
				return err
			}
		}
		c.handled(it.sub, e.Seq)
	}
	c.emptied(it)
	return nil
}

// gone reports whether a stream is no longer followed and none of its events
// may be handled.
func (c *Conn) gone(s *sub) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.gone && !s.whole
}

func (c *Conn) handled(s *sub, seq uint64) {
	c.mu.Lock()
	s.done = max(s.done, seq)
	c.mu.Unlock()
}

// emptied records that a frame was handled, including the seqs that it covered
// without content. A stream that was stopped because too many of its frames
// waited is subscribed again when none of them wait.
func (c *Conn) emptied(it item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it.sub.done = max(it.sub.done, it.to)
	if it.sub.queued--; it.sub.queued == 0 && it.sub.lagging && !it.sub.gone {
		it.sub.lagging = false
		c.subscribe(it.sub)
	}
}

// finish fails the commands that wait for an answer.
func (c *Conn) finish(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.pace.release()
	for _, call := range c.order {
		call.resolve(gotong.Receipt{}, &UnknownError{RequestID: call.requestID, Err: fmt.Errorf("%w: %w", ErrClosed, why)})
	}
	c.order, c.calls = nil, nil
}
