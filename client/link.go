package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// link is one established connection over one transport.
type link interface {
	// serve passes frames to the Conn until the link ends, and returns the
	// reason.
	serve(ctx context.Context) error

	// close closes a link that was not served.
	close()
}

// subprotocol is the WebSocket subprotocol that this package uses.
const subprotocol = "gotong.v1"

// The times of the transports.
const (
	writeWithin = 30 * time.Second
	pollWait    = 25 * time.Second
	pollWithin  = 45 * time.Second // for the whole answer
	sseSilence  = 30 * time.Second // a connection without a byte for twice as long is dead
)

// CloseError is the close frame with which the server closed a WebSocket.
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("client: the server closed the connection: %d %s", e.Code, e.Reason)
}

// The close codes after which reconnecting as before is not enough.
const (
	closeProtocol     = 1002
	closeBinary       = 1003
	closeUTF8         = 1007
	closeTooBig       = 1009
	closeBadFrames    = 4400
	closeUnauthorized = 4401
	closeForbidden    = 4403
)

// hint returns the wait in a close reason such as "retry_after_ms 8123".
func (e *CloseError) hint() time.Duration {
	_, text, _ := strings.Cut(e.Reason, "retry_after_ms")
	ms, err := strconv.ParseUint(strings.Trim(text, " :="), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// Reasons why a link ends that are not failures.
var (
	errChanged = errors.New("client: the set of streams changed")
	errRaised  = errors.New("client: a better transport works")
	errSilent  = errors.New("client: nothing was received from the server")
)

// awayError is the end of a link whose server is going away and has said after
// which time to reconnect.
type awayError struct {
	ready chan struct{} // closed when the time is over
	timer *time.Timer
}

func (e *awayError) Error() string { return "client: the server is going away" }

// away starts the wait of a going_away frame. If the server has not ended the
// link after d, leave is called.
func away(d time.Duration, leave func(error)) *awayError {
	e := &awayError{ready: make(chan struct{})}
	e.timer = time.AfterFunc(d, func() {
		close(e.ready)
		leave(e)
	})
	return e
}

func (c *Conn) dial(ctx context.Context, t Transport, token string) (link, error) {
	ctx, cancel := context.WithTimeout(ctx, c.client.opts.OpenWithin)
	defer cancel()
	switch t {
	case WebSocket:
		return c.dialWebSocket(ctx, token)
	case SSE:
		return c.dialSSE(ctx, token)
	default:
		return c.dialPoll(ctx, token)
	}
}

// supervisor keeps a Conn connected.
type supervisor struct {
	c            *Conn
	token        string // sent with the last try
	refused      string // by the server, with 401 or 4401
	unauthorized int    // 401s since something went well
	strikes      int    // WebSockets that carried no frame
}

func (c *Conn) supervise(ctx context.Context) error {
	s := &supervisor{c: c}
	var raised link
	var level int
	for {
		l, err := raised, error(nil)
		if l == nil {
			l, level, err = s.connect(ctx)
		}
		if err == nil {
			c.state(State{Transport: c.client.opts.Transports[level]})
			raised, level, err = s.ride(ctx, l, level)
		}
		switch {
		case ctx.Err() != nil:
			if raised != nil {
				raised.close()
			}
			return ctx.Err()
		case raised != nil:
			continue
		}
		if err := s.recover(ctx, err, level); err != nil {
			return err
		}
	}
}

// down is the level without any transport.
const down = -1

// connect tries the transports in order, beginning with the one that worked
// last.
func (s *supervisor) connect(ctx context.Context) (link, int, error) {
	c := s.c.client
	var err error
	if s.token, err = c.token(ctx, s.refused); err != nil {
		return nil, down, fmt.Errorf("client: token: %w", err)
	}
	var failed error
	for level := int(c.good.Load()); level < len(c.opts.Transports); level++ {
		l, err := s.c.dial(ctx, c.opts.Transports[level], s.token)
		if err == nil {
			c.good.Store(int32(level)) //nolint:gosec // at most 3
			return l, level, nil
		}
		failed = err
		p := problemIn(err)
		var closed *CloseError
		var gone *awayError
		if ctx.Err() != nil || errors.Is(err, errChanged) || errors.As(err, &closed) || errors.As(err, &gone) ||
			p != nil && (p.Status == http.StatusUnauthorized || p.fromServer && p.Unknown()) {
			return nil, down, err // another transport would get the same answer
		}
	}
	c.good.Store(0)
	return nil, down, failed
}

// ride serves a link and meanwhile tries the better transports. If one of them
// works, ride returns its link.
func (s *supervisor) ride(ctx context.Context, l link, level int) (link, int, error) {
	inner, cancel := context.WithCancelCause(ctx)
	var raised link
	higher := level
	var climbing sync.WaitGroup
	if level > 0 {
		climbing.Go(func() {
			if raised, higher = s.climb(inner, level); raised != nil {
				cancel(errRaised)
			}
		})
	}
	err := l.serve(inner)
	cancel(err)
	climbing.Wait()
	if raised != nil {
		s.c.client.good.Store(int32(higher)) //nolint:gosec // at most 3
	}
	return raised, higher, err
}

// climb tries every transport above level at intervals. It returns the first
// link that works, or nil if ctx ended.
func (s *supervisor) climb(ctx context.Context, level int) (link, int) {
	c := s.c.client
	for sleep(ctx, c.scaled(c.opts.Climb)) {
		token, err := c.token(ctx, "")
		for higher := 0; higher < level && err == nil; higher++ {
			if l, err := s.c.dial(ctx, c.opts.Transports[higher], token); err == nil {
				s.token = token // nobody else looks at it while a link is served
				return l, higher
			}
		}
	}
	return nil, level
}

// recover waits as long as the failure requires. It returns an error if another
// try is useless.
func (s *supervisor) recover(ctx context.Context, failure error, level int) error {
	c := s.c
	c.mu.Lock()
	n := c.tries
	c.tries++
	c.mu.Unlock()
	if n == 0 {
		s.unauthorized, s.strikes = 0, 0
	}
	var gone *awayError
	var closed *CloseError
	p := problemIn(failure)
	switch {
	case errors.Is(failure, errChanged):
		return nil
	case errors.As(failure, &gone):
		c.state(State{Err: failure})
		select {
		case <-gone.ready:
		case <-ctx.Done():
			gone.timer.Stop()
		}
		return nil
	case errors.Is(failure, ErrTokenRefused):
		return failure
	case errors.As(failure, &closed):
		if err := s.closed(closed); err != nil {
			return err
		}
	}
	if unauthorized(p, closed) {
		s.refused = s.token
		if s.unauthorized++; s.unauthorized > 2 {
			return fmt.Errorf("%w: %w", ErrTokenRefused, failure)
		}
	} else if p != nil && p.fromServer && p.Status == http.StatusForbidden {
		return failure
	}
	s.strike(level)
	wait := c.wait(n, p)
	if closed != nil && closed.hint() > 0 {
		wait = closed.hint()
	}
	c.state(State{Err: failure, Wait: wait})
	c.client.opts.Log.Info("disconnected", "error", failure, "wait", wait)
	sleep(ctx, wait)
	return nil
}

func unauthorized(p *Problem, closed *CloseError) bool {
	return p != nil && p.Status == http.StatusUnauthorized || closed != nil && closed.Code == closeUnauthorized
}

// closed handles a close code. It returns an error if another try is useless.
func (s *supervisor) closed(e *CloseError) error {
	switch e.Code {
	case closeBadFrames, closeForbidden:
		return e
	case closeProtocol, closeBinary, closeUTF8, closeTooBig:
		s.c.failSent(e)
	}
	return nil
}

// strike counts WebSockets that were established but carried no frame, which
// some proxies cause. After three of them, the next transport is tried.
func (s *supervisor) strike(level int) {
	c := s.c.client
	if level != 0 || len(c.opts.Transports) == 1 {
		return
	}
	if s.strikes++; s.strikes >= 3 {
		s.strikes = 0
		c.good.Store(1)
	}
}

func (c *Conn) state(s State) {
	if c.opts.OnState != nil {
		c.opts.OnState(s)
	}
}

// pace decides how many commands may be on their way at once. An "unknown"
// answer, which the server sends to a client that sends too fast, lowers the
// number; every other answer raises it slowly. Its fields are guarded by the
// Conn's mu.
type pace struct {
	window float64 // commands that may be on their way: 1 to MaxPending
	flying int     // commands on their way
	slowed int     // "unknown" answers since the last other one
	hold   *time.Timer
}

// faster records an answer other than "unknown".
func (p *pace) faster(most int) {
	p.slowed = 0
	p.window = min(p.window+1/p.window, float64(most))
}

func (p *pace) release() {
	if p.hold != nil {
		p.hold.Stop()
		p.hold = nil
	}
}

// postpone queues a command again that was answered with "unknown". Until the
// pause is over nothing is sent, so that the waiting commands keep their order.
// c.mu is held.
func (c *Conn) postpone(k *Call, why *Problem) {
	if !k.sent {
		return
	}
	k.sent, k.putOff = false, true
	c.pace.flying--
	if c.pace.hold != nil {
		return // one pause for all commands that were on their way
	}
	c.pace.window = max(1, c.pace.window/2)
	wait := c.wait(c.pace.slowed, why)
	c.pace.slowed++
	var hold *time.Timer
	hold = time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.pace.hold == hold {
			c.pace.hold = nil
			c.flush()
		}
	})
	c.pace.hold = hold
}

// flush sends the commands that may be sent now, in order. c.mu is held.
func (c *Conn) flush() {
	if c.sender == nil || c.pace.hold != nil {
		return
	}
	for room := int(c.pace.window) - c.pace.flying; room > 0 && c.pace.flying < len(c.order); room-- {
		i := slices.IndexFunc(c.order, func(k *Call) bool { return !k.sent })
		c.order[i].sent = true
		c.pace.flying++
		c.sender.put(c.order[i].frame)
	}
}
