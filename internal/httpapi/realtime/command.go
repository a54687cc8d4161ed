package realtime

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/jsonx"
	"gotong.dev/gotong/internal/live"
)

// handle carries out one frame. A fault of ours ends this connection, never
// the server.
func (c *conn) handle(b []byte) {
	defer func() {
		if fault := recover(); fault != nil {
			c.server.opts.Log.Error("a frame could not be handled", slog.Any("fault", fault))
			c.close(closeInternal, "a fault of ours")
		}
	}()
	f, err := decodeFrame(b)
	session := c.session.Load()
	switch {
	case session == nil && (err != nil || f.Op != "auth"):
		c.close(CloseUnauthorized, "the first frame must be auth")
	case err != nil:
		session.Put(errorFrame(f.ID, err, ""))
		if c.bad++; c.bad >= maxBad {
			c.close(closeBadFrames, "too many frames that cannot be understood")
		}
	default:
		c.dispatch(session, f)
	}
}

func (c *conn) dispatch(session *live.Session, f inFrame) {
	var err error
	switch f.Op {
	case "auth":
		err = c.auth(f.Token)
	case "subscribe":
		err = subscribe(session, f)
	case "unsubscribe":
		err = unsubscribe(session, f)
	case "signal":
		err = session.Signal(gotong.Stream(f.Stream), f.Type)
	case "ping":
		session.Put(pongFrame(f.ID))
	case "command":
		err = c.command(session, f)
	}
	if session = c.session.Load(); err != nil && session != nil {
		session.Put(errorFrame(f.ID, err, ""))
	}
}

// auth says who connects, or renews the token of who did: the same user, for
// as long as the new token lasts.
func (c *conn) auth(token string) error {
	p, err := c.server.opts.Auth.Authenticate(c.server.opts.Context, token)
	known := c.principal.Load()
	if err != nil || known != nil && known.UserID != p.UserID {
		c.close(CloseUnauthorized, "the token is not valid")
		return nil
	}
	c.principal.Store(&p)
	c.heard()
	if known == nil {
		c.begin(&p)
	}
	return nil
}

func subscribe(session *live.Session, f inFrame) error {
	stream, err := gotong.ParseStream(f.Stream)
	if err != nil {
		return err
	}
	start, err := startOf(f.Cursor)
	if err != nil {
		return err
	}
	return session.Subscribe(live.Subscription{ID: f.ID, Stream: stream, Start: start})
}

func unsubscribe(session *live.Session, f inFrame) error {
	stream := gotong.Stream(f.Stream)
	if !session.Unsubscribe(stream) {
		return gotong.NewError(gotong.CodeConflict, "This stream is not followed here.")
	}
	session.Put(encode(struct {
		Op     string        `json:"op"`
		ID     string        `json:"id,omitempty"`
		Stream gotong.Stream `json:"stream"`
	}{"unsubscribed", f.ID, stream}))
	return nil
}

// command hands a wish to the engine; its answer comes when it is durable.
func (c *conn) command(session *live.Session, f inFrame) error {
	principal := c.principal.Load()
	if ok, wait := c.server.opts.Allow(principal.UserID); !ok {
		if c.refused++; c.refused >= maxRefused {
			c.close(closeRateLimited, retryReason(wait))
			return nil
		}
		return gotong.NewError(gotong.CodeRateLimited, "Too many commands; "+retryReason(wait)+".")
	}
	c.refused = 0
	cmd, err := c.parse(f)
	if err != nil {
		return err
	}
	cmd.Actor = principal.Actor()
	c.mu.Lock()
	c.inflight++
	c.mu.Unlock()
	ctx, end := c.server.opts.Trace(c.server.opts.Context, f.Traceparent, f.Type)
	c.server.opts.Engine.Submit(ctx, cmd, func(r gotong.Receipt, err error) {
		if err == nil && r.Access {
			// A removal answers only when delivery has carried it out. That may
			// wait, and this goroutine may not.
			go func() { c.answer(session, f.ID, r, c.settled(ctx, r)); end() }()
			return
		}
		c.answer(session, f.ID, r, err)
		end()
	})
	return nil
}

func retryReason(wait time.Duration) string {
	return "retry_after_ms " + strconv.FormatInt(wait.Milliseconds(), 10)
}

// settleWithin is longer than any write to a removed user may last.
const settleWithin = 5 * time.Second

func (c *conn) settled(ctx context.Context, r gotong.Receipt) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	if err := c.server.opts.Hub.Await(ctx, r.Partition, r.Position); err != nil {
		return gotong.NewError(gotong.CodeBusy, "Committed, but delivery has not caught up; repeat with the same request id.")
	}
	return nil
}

func (c *conn) answer(session *live.Session, id string, r gotong.Receipt, err error) {
	if err != nil {
		session.Put(errorFrame(id, err, ""))
	} else {
		session.Put(ackFrame(id, r))
	}
	c.mu.Lock()
	c.inflight--
	c.room.Broadcast()
	c.mu.Unlock()
	if c.pumping.Load() == 0 {
		c.wake() // a close that was waiting for this answer
	}
}

// parse turns a frame into a command of its kind.
func (c *conn) parse(f inFrame) (gotong.Command, error) {
	cmd := gotong.Command{
		Stream: gotong.Stream(f.Stream), Type: f.Type, RequestID: f.RequestID,
		CorrelationID: f.CorrelationID, Raw: f.Data,
	}
	if cmd.CorrelationID == "" {
		cmd.CorrelationID = c.correlation
	}
	if !gotong.ValidRequestID(f.RequestID) {
		return cmd, gotong.Invalid("request_id", "must be 1 to 128 of A-Za-z0-9._:-")
	}
	if f.CorrelationID != "" && !gotong.ValidRequestID(f.CorrelationID) {
		return cmd, gotong.Invalid("correlation_id", "must be 1 to 128 of A-Za-z0-9._:-")
	}
	create, ok := c.server.opts.Creates[cmd.Stream.Kind()]
	if !ok {
		return cmd, gotong.NotFound()
	}
	if !strings.Contains(f.Stream, "/") {
		cmd.Stream = create(c.principal.Load().UserID, f.RequestID)
	} else if _, err := gotong.ParseStream(f.Stream); err != nil {
		return cmd, err
	}
	typ, ok := c.server.opts.Codec.Command(cmd.Stream, f.Type)
	if !ok {
		return cmd, gotong.Invalid("type", "is no command of this kind of stream")
	}
	data := []byte(f.Data)
	if len(data) == 0 {
		data = []byte("{}")
	}
	var err error
	cmd.Data, err = typ.Decode(jsonx.Unmarshal, data)
	return cmd, err
}
