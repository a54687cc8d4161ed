package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"gotong.dev/gotong"
)

// MaxFrame is the length in bytes of the longest frame that the server accepts.
const MaxFrame = 64 << 10

// Call is a command that was submitted. Its answer stays available.
type Call struct {
	conn      *Conn
	id        string // of the frame
	requestID string
	frame     []byte
	sent      bool // over the WebSocket that is up, and not answered with "unknown"
	putOff    bool // answered with "unknown", once or more
	done      chan struct{}
	receipt   gotong.Receipt
	err       error
}

// RequestID returns the command's request id.
func (k *Call) RequestID() string { return k.requestID }

// Done is closed when there is an answer.
func (k *Call) Done() <-chan struct{} { return k.done }

// PutOff reports whether the server answered with "unknown" (429, 503) before
// the final answer. Commands submitted later may then have taken effect
// earlier. The result is final once Done is closed.
func (k *Call) PutOff() bool {
	k.conn.mu.Lock()
	defer k.conn.mu.Unlock()
	return k.putOff
}

// Wait returns the answer. If ctx ends first, the command is not sent again and
// the error is an [UnknownError].
func (k *Call) Wait(ctx context.Context) (gotong.Receipt, error) {
	select {
	case <-k.done:
	case <-ctx.Done():
		c := k.conn
		c.mu.Lock()
		c.resolve(k, gotong.Receipt{}, &UnknownError{RequestID: k.requestID, Err: ctx.Err()})
		c.mu.Unlock()
		<-k.done
	}
	return k.receipt, k.err
}

// Submit sends a command without waiting for its answer. It repeats the
// command, with the same request id and the same bytes, until it is answered.
// Submit blocks while MaxPending commands wait for answers. A create names only
// the kind as its stream: "thread".
//
// Commands are sent in the order of their Submits. If the server answers a
// command with "unknown" (it is busy, or this user sends too fast), commands
// sent after it may take effect first. If that matters, wait for each answer
// before the next Submit, or set MaxPending to 1.
func (c *Conn) Submit(ctx context.Context, stream gotong.Stream, typ string, data any, opts ...CallOption) (*Call, error) {
	if !slices.Contains(c.client.opts.Transports, WebSocket) {
		return nil, errors.New("client: commands of a Conn need the WebSocket transport")
	}
	set, err := optionsOf(opts)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("client: encode %s: %w", typ, err)
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		<-c.slots
		return nil, ErrClosed
	}
	k := &Call{conn: c, id: c.id(), requestID: set.requestID, done: make(chan struct{})}
	k.frame = encodeFrame(outFrame{
		Op: "command", ID: k.id, RequestID: set.requestID, CorrelationID: set.correlationID,
		Traceparent: set.traceparent, Stream: string(stream), Type: typ, Data: raw,
	})
	if len(k.frame) > MaxFrame {
		<-c.slots
		return nil, gotong.NewError(gotong.CodeTooLarge, "The command does not fit into a frame of 64 KiB.")
	}
	c.calls[k.id] = k
	c.order = append(c.order, k)
	c.flush()
	return k, nil
}

// Command sends a command and waits for its answer: a receipt, or a [Problem]
// with the reason of the rejection. It repeats the command until it is answered
// or ctx ends.
func (c *Conn) Command(ctx context.Context, stream gotong.Stream, typ string, data any, opts ...CallOption) (gotong.Receipt, error) {
	k, err := c.Submit(ctx, stream, typ, data, opts...)
	if err != nil {
		return gotong.Receipt{}, err
	}
	return k.Wait(ctx)
}

// Post posts a message in a thread.
func (c *Conn) Post(ctx context.Context, stream gotong.Stream, body string, opts ...CallOption) (gotong.Receipt, error) {
	return c.Command(ctx, stream, "message.post", fields{"body": body}, opts...)
}

// Signal sends an ephemeral signal, such as "typing", to the viewers of a
// stream that this Conn follows. It reports whether the signal was sent; a sent
// signal may still be lost.
func (c *Conn) Signal(stream gotong.Stream, typ string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subs[stream]
	if s == nil || !s.live || c.sender == nil || c.sender.busy() {
		return false
	}
	c.sender.put(encodeFrame(outFrame{Op: "signal", Stream: string(stream), Type: typ}))
	return true
}

// Active reports that the user looks at a stream, or at none if it is empty, so that
// no push announces its messages. It holds for a minute: repeat it while the user
// looks. Active reports whether that was sent.
func (c *Conn) Active(stream gotong.Stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sender == nil || c.sender.busy() {
		return false
	}
	c.sender.put(encodeFrame(outFrame{Op: "active", Stream: string(stream)}))
	return true
}

// id returns a new frame id. c.mu is held.
func (c *Conn) id() string {
	c.nextID++
	return strconv.FormatUint(c.nextID, 10)
}

// settle ends a pending command with its answer, or sends it again if the
// answer is "unknown". c.mu is held.
func (c *Conn) settle(k *Call, f *frame) error {
	switch {
	case f.Op == "ack" && f.Receipt != nil:
		c.tries = 0
		c.pace.faster(c.opts.MaxPending)
		c.resolve(k, f.Receipt.receipt(), nil)
	case f.Op == "error" && f.Problem != nil:
		p := f.Problem.problem()
		if !p.Unknown() {
			c.tries = 0
			c.resolve(k, gotong.Receipt{}, p)
			return nil
		}
		c.postpone(k, p)
	default:
		return protocolError("an answer without a receipt or a problem")
	}
	return nil
}

// resolve ends a pending command. c.mu is held.
func (c *Conn) resolve(k *Call, r gotong.Receipt, err error) {
	if c.calls[k.id] != k {
		return
	}
	delete(c.calls, k.id)
	if i := slices.Index(c.order, k); i >= 0 {
		c.order = slices.Delete(c.order, i, i+1)
	}
	if k.sent {
		c.pace.flying--
	}
	k.resolve(r, err)
	c.flush()
}

func (k *Call) resolve(r gotong.Receipt, err error) {
	k.receipt, k.err = r, err
	<-k.conn.slots
	close(k.done)
}
