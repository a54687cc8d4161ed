package conformance

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// link is a connection of the client that was accepted.
type link interface {
	// encode returns the bytes that send a frame. Afterwards the stream, unless it
	// is "", is at seq.
	encode(frame, stream string, seq int) []byte

	// write sends the first bytes of so many.
	write(b []byte, of int)

	// cut closes the connection without a word.
	cut()

	// finish ends it in good order, as far as the transport knows one.
	finish()

	// request returns the request that established the connection.
	request() *attempt
}

// whole is more than the bytes of any frame.
const whole = math.MaxInt

// send sends the first n bytes of a frame on the current connection, or all of
// them, and returns the number of all.
func (p *play) send(frame, stream string, seq, n int) int {
	b := p.current.encode(frame, stream, seq)
	n = min(n, len(b))
	a := p.current.request()
	p.server.notef("%s #%d ← %d of %d bytes: %.300s", a.kind, a.n, n, len(b), frame)
	p.current.write(b[:n], len(b))
	return len(b)
}

// frame is a frame of the client.
type frame struct {
	Op        string          `json:"op"`
	ID        string          `json:"id"`
	Stream    string          `json:"stream"`
	Cursor    string          `json:"cursor"`
	RequestID string          `json:"request_id"`
	Token     string          `json:"token"`
	Data      json.RawMessage `json:"data"`
	at        time.Time
}

// socket is an accepted WebSocket.
type socket struct {
	*attempt
	ws   *websocket.Conn
	deaf atomic.Bool // answers no ping
}

// accept upgrades an attempt and reads its frames.
func (p *play) accept(a *attempt) *socket {
	s := &socket{attempt: a}
	var err error
	s.ws, err = websocket.Accept(a.w, a.r, &websocket.AcceptOptions{
		Subprotocols: []string{"gotong.v1"}, InsecureSkipVerify: true,
		OnPingReceived: func(context.Context, []byte) bool { return !s.deaf.Load() },
	})
	if err != nil || s.ws.Subprotocol() != "gotong.v1" {
		p.failf("the handshake of a WebSocket is malformed, or does not offer gotong.v1: %v", err)
	}
	s.server.notef("websocket #%d ← 101", a.n)
	s.ws.SetReadLimit(1 << 20)
	s.server.group.Go(s.read)
	return s
}

// read delivers the client's frames until the socket ends. It answers pings.
func (s *socket) read() {
	defer s.finish()
	for {
		_, b, err := s.ws.Read(s.server.ctx)
		if err != nil {
			s.server.notef("websocket #%d has ended: %v", s.n, err)
			s.server.mail.put(item{over: s})
			return
		}
		f := &frame{at: time.Now()}
		s.server.notef("websocket #%d → %.300s", s.n, b)
		if json.Unmarshal(b, f) != nil {
			f.Op = "unreadable"
		}
		if f.Op == "ping" && !s.deaf.Load() {
			s.sendf(`{"op":"pong","id":%q}`, f.ID)
			continue
		}
		s.server.mail.put(item{frame: f, socket: s})
	}
}

// sendf sends a frame that is not of events.
func (s *socket) sendf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.server.notef("websocket #%d ← %s", s.n, text)
	s.write(encode(textFrame, text), 0)
}

// The first bytes of WebSocket frames (RFC 6455, section 5.2).
const (
	firstPart  = 0x01 // of a text
	lastPart   = 0x80
	textFrame  = 0x81
	closeFrame = 0x88
	pingFrame  = 0x89
)

// encode returns a WebSocket frame as bytes.
func encode(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func (s *socket) encode(frame, _ string, _ int) []byte { return encode(textFrame, frame) }

func (s *socket) write(b []byte, _ int) { _, _ = s.conn.Write(b) } // an error shows as the end of the socket

// stream is the answer to an SSE request.
type stream struct{ *attempt }

// stream begins the answer to an SSE request.
func (a *attempt) stream() *stream {
	a.w.Header().Set("Content-Type", "text/event-stream")
	o := &stream{a}
	o.raw("retry: 1000\n\n")
	for _, at := range a.list {
		o.raw(string(o.encode(fmt.Sprintf(`{"op":"subscribed","stream":%q,"cursor":%q,"head":%d}`,
			at.Stream, at.Cursor, a.server.head(string(at.Stream))), "", 0)))
	}
	return o
}

func (o *stream) raw(text string) {
	o.server.notef("sse #%d ← %.300q", o.n, text)
	o.write([]byte(text), 0)
}

func (o *stream) encode(frame, stream string, seq int) []byte {
	return []byte("id: " + o.move(stream, seq) + "\ndata: " + frame + "\n\n")
}

func (o *stream) write(b []byte, _ int) {
	_, _ = o.w.Write(b)
	_ = http.NewResponseController(o.w).Flush()
}

// polls is a client that polls. Its next request is answered with the next frame.
type polls struct {
	*attempt // the request that waits for its answer; nil if the last was answered
	p        *play
}

func (o *polls) request() *attempt {
	if o.attempt == nil {
		o.attempt = o.p.attempt(poll)
	}
	return o.attempt
}

func (o *polls) encode(frame, stream string, seq int) []byte {
	return []byte(pollAnswer(o.request().move(stream, seq), frame))
}

// pollAnswer returns the body of the answer to a poll.
func pollAnswer(cursor, frames string) string {
	return fmt.Sprintf(`{"cursor":%q,"frames":[%s]}`, cursor, frames)
}

func (o *polls) write(b []byte, of int) {
	o.w.Header().Set("Content-Type", "application/json")
	o.w.Header().Set("Content-Length", strconv.Itoa(of))
	_, _ = o.w.Write(b)
	_ = http.NewResponseController(o.w).Flush()
	if len(b) == of {
		o.finish()
	}
}

func (o *polls) cut() {
	o.request().cut()
	o.attempt = nil
}

func (o *polls) finish() {
	if o.attempt != nil {
		o.attempt.finish()
	}
	o.attempt = nil
}
