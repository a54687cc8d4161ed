package surreal

import (
	"context"
	"errors"
	"fmt"
)

// Notification is a change that a live query reports.
type Notification struct {
	Query  UUID   `cbor:"id"`
	Action string `cbor:"action"` // CREATE, UPDATE or DELETE; KILLED ends the query
	Record Raw    `cbor:"record"` // the id
	Result Raw    `cbor:"result"`
}

// Live is a subscription on a socket of its own.
type Live struct {
	s       *socket
	notes   chan Notification
	results Results
	unhook  func() bool
}

// Live runs statements, LIVE SELECT among them, on a new socket. Notifications
// arrive in the order in which the server sent them, which on some versions is not
// the order of commits. If a statement fails, there is no subscription.
func (c *Client) Live(ctx context.Context, text string, vars Vars) (*Live, error) {
	l := &Live{notes: make(chan Notification, c.opts.Notes)}
	s, err := c.connect(ctx, l.take)
	if err != nil {
		return nil, err
	}
	l.s = s
	l.unhook = context.AfterFunc(c.ctx, func() { s.fail(ErrClosed) })
	if err := l.begin(ctx, text, vars); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Live) begin(ctx context.Context, text string, vars Vars) error {
	raw, err := l.s.call(ctx, "query", []any{text, nonNil(vars)})
	if err != nil {
		return err
	}
	l.results, err = decodeResults(raw)
	if err != nil {
		return &ConnError{Sent: true, Err: fmt.Errorf("the answer cannot be read: %w", err)}
	}
	return l.results.Err()
}

// take queues a notification; it runs on the socket's reader and never blocks.
func (l *Live) take(raw Raw) error {
	var n Notification
	if err := decoding.Unmarshal(raw, &n); err != nil {
		return fmt.Errorf("the server sent a malformed notification: %w", err)
	}
	select {
	case l.notes <- n:
		return nil
	default:
		return ErrSlow
	}
}

// Results returns the results of the subscription's statements.
func (l *Live) Results() Results { return l.results }

// Next waits for a notification. After the socket was lost, it returns those that
// had arrived, and then the reason; the caller then reads what it missed and
// subscribes again.
func (l *Live) Next(ctx context.Context) (Notification, error) {
	select {
	case n := <-l.notes:
		return n, nil
	default:
	}
	select {
	case n := <-l.notes:
		return n, nil
	case <-ctx.Done():
		return Notification{}, context.Cause(ctx)
	case <-l.s.done:
	}
	select {
	case n := <-l.notes:
		return n, nil
	default:
		return Notification{}, &ConnError{Err: l.s.reason()}
	}
}

var errUnsubscribed = errors.New("the subscription is closed")

// Close ends the subscription and its socket, and with it the live queries.
func (l *Live) Close() {
	l.unhook()
	l.s.stop(errUnsubscribed)
}
