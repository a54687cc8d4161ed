package realtime

import (
	"context"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/jsonx"
	"gotong.dev/gotong/internal/live"
)

// handle processes one frame. A panic ends this connection, never the server.
func (c *conn) handle(b []byte) {
	defer func() {
		if cause := recover(); cause != nil {
			c.fault(cause)
			c.close(closeInternal, "internal error")
		}
	}()
	f, err := decodeFrame(b)
	session := c.session.Load()
	switch {
	case session == nil && (err != nil || f.Op != "auth"):
		c.close(CloseUnauthorized, "the first frame must be auth")
	case err != nil:
		session.Put(errorFrame(f.ID, c.trace, err, 0))
		if c.bad++; c.bad >= maxBad {
			c.close(closeBadFrames, "too many frames that cannot be understood")
		}
	case f.Op == "auth":
		c.auth(f.Token)
	default:
		if err := c.dispatch(session, f); err != nil {
			session.Put(errorFrame(f.ID, c.trace, err, 0))
		}
	}
}

func (c *conn) dispatch(session *live.Session, f inFrame) error {
	switch f.Op {
	case "unsubscribe":
		return c.unsubscribe(session, f)
	case "ping":
		session.Put(pongFrame(f.ID))
		return nil
	}
	// The other frames cost work of the store or of other clients.
	if ok, wait := c.server.opts.Allow(c.principal.Load().UserID); !ok {
		c.refuse(session, f, wait)
		return nil
	}
	c.refused = 0
	switch f.Op {
	case "subscribe":
		return c.subscribe(session, f)
	case "signal":
		return session.Signal(gotong.Stream(f.Stream), f.Type)
	case "active":
		if _, err := gotong.ParseStream(f.Stream); f.Stream != "" && err != nil {
			return err
		}
		session.Look(gotong.Stream(f.Stream))
		return nil
	default:
		return c.command(session, f)
	}
}

// refuse answers a frame that exceeds the user's allowance, and closes the
// connection of a client that ignores such answers. Signals are dropped without
// an answer (contract D16).
func (c *conn) refuse(session *live.Session, f inFrame, wait time.Duration) {
	if c.refused++; c.refused >= maxRefused {
		c.close(closeRateLimited, "retry_after_ms "+strconv.FormatInt(wait.Milliseconds(), 10))
		return
	}
	if f.Op != "signal" {
		err := gotong.NewError(gotong.CodeRateLimited, "Too many requests; send fewer.")
		session.Put(errorFrame(f.ID, c.trace, err, wait))
	}
}

// auth authenticates the connection, or renews its token: for the same user in
// the same role, until the new token expires. Both are answered with a welcome.
func (c *conn) auth(token string) {
	p, err := c.server.opts.Auth.Authenticate(c.server.opts.Context, token)
	known, session := c.principal.Load(), c.session.Load()
	switch {
	case err != nil && gotong.CodeOf(err) != gotong.CodeUnauthorized:
		c.close(closeOverloaded, "the token could not be verified")
	case err != nil:
		c.close(CloseUnauthorized, "the token is not valid")
	case known == nil:
		c.know(&p)
		c.pending.Leave()
		c.received()
		c.begin(&p)
	case known.Viewer() != p.Viewer():
		c.close(CloseUnauthorized, "the token belongs to another user or role")
	default:
		c.know(&p)
		c.verify(&p)
		session.Put(c.server.welcome(session.ID()))
	}
}

func (c *conn) subscribe(session *live.Session, f inFrame) error {
	stream, err := gotong.ParseStream(f.Stream)
	if err != nil {
		return err
	}
	start, err := startOf(f.Cursor)
	if err != nil {
		return err
	}
	return session.Subscribe(live.Subscription{ID: f.ID, Trace: c.trace, Stream: stream, Start: start})
}

func (c *conn) unsubscribe(session *live.Session, f inFrame) error {
	stream := gotong.Stream(f.Stream)
	if !session.Unsubscribe(stream) {
		return gotong.NewError(gotong.CodeConflict, "This connection is not subscribed to the stream.")
	}
	session.Put(encode(struct {
		Op     string        `json:"op"`
		ID     string        `json:"id,omitempty"`
		Stream gotong.Stream `json:"stream"`
	}{"unsubscribed", f.ID, stream}))
	return nil
}

// command passes a command to the engine. Its answer is sent when it is
// durable.
func (c *conn) command(session *live.Session, f inFrame) error {
	cmd, err := c.parse(f)
	if err != nil {
		return err
	}
	c.submitted()
	id := f.ID // all of the frame that waits for the answer
	ctx, end := c.server.opts.Trace(c.server.opts.Context, f.Traceparent, f.Type)
	c.server.opts.Engine.Submit(ctx, cmd, func(r gotong.Receipt, err error) {
		if err == nil && r.Access {
			// A removal is answered after delivery has carried it out. That may
			// wait, and this goroutine must not.
			removal := r // so that no other receipt moves to the heap
			if !c.server.running.start(func() { c.settle(ctx, session, id, removal, end) }) {
				end() // the connection is cut
			}
			return
		}
		if err != nil {
			c.answer(session, errorFrame(id, httpapi.TraceOf(ctx, c.trace), err, 0))
		} else {
			c.answer(session, ackFrame(id, r))
		}
		end()
	})
	return nil
}

// settleWithin is longer than any write to a removed user may last.
const settleWithin = 5 * time.Second

func (c *conn) settle(ctx context.Context, session *live.Session, id string, r gotong.Receipt, end func()) {
	defer c.fence()
	defer end()
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	if c.server.opts.Hub.Await(ctx, r.Partition, r.Position) != nil {
		err := gotong.NewError(gotong.CodeBusy, "Committed, but delivery has not caught up; repeat with the same request id.")
		c.answer(session, errorFrame(id, httpapi.TraceOf(ctx, c.trace), err, 0))
		return
	}
	c.answer(session, ackFrame(id, r))
}

func (c *conn) parse(f inFrame) (gotong.Command, error) {
	principal := c.principal.Load()
	cmd := gotong.Command{
		Stream: gotong.Stream(f.Stream), Type: f.Type, RequestID: f.RequestID, Actor: principal.Actor(),
		CorrelationID: f.CorrelationID, Raw: f.Data,
	}
	if cmd.CorrelationID == "" {
		cmd.CorrelationID = c.correlation
	}
	if !gotong.ValidRequestID(cmd.RequestID) {
		return cmd, gotong.Invalid("request_id", "must be 1 to 128 of A-Za-z0-9._:-")
	}
	if !gotong.ValidRequestID(cmd.CorrelationID) {
		return cmd, gotong.Invalid("correlation_id", "must be 1 to 128 of A-Za-z0-9._:-")
	}
	create, ok := c.server.opts.Creates[cmd.Stream.Kind()]
	if !ok {
		return cmd, gotong.NotFound()
	}
	named := strings.Contains(f.Stream, "/")
	if !named {
		cmd.Stream = create(principal.UserID, f.RequestID)
	} else if _, err := gotong.ParseStream(f.Stream); err != nil {
		return cmd, err
	}
	typ, ok := c.server.opts.Codec.Command(cmd.Stream, f.Type)
	if !ok || typ.Server {
		return cmd, gotong.Invalid("type", "is not a command of this kind of stream")
	}
	data := []byte(f.Data)
	if len(data) == 0 {
		data = []byte("{}")
	}
	var err error
	if cmd.Data, err = typ.Decode(jsonx.Unmarshal, data); err == nil {
		err = jsonx.Required(data, cmd.Data)
	}
	if err != nil {
		return cmd, err
	}
	if named && c.creates(cmd) && cmd.Stream != create(principal.UserID, f.RequestID) {
		return cmd, gotong.Invalid("stream", "must be the kind alone in a command that creates a stream: the server derives the id")
	}
	return cmd, nil
}

func (c *conn) creates(cmd gotong.Command) bool {
	kind, err := c.server.opts.Codec.Kind(cmd.Stream)
	if err != nil || kind.Home == nil {
		return false
	}
	_, err = kind.Home(cmd)
	return err == nil
}
