package conformance

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// link is a connection of the client that was accepted.
type link interface {
	// send sends a frame. Afterwards the stream, unless it is "", is at seq.
	send(frame, stream string, seq int)

	// part sends the first n bytes of what send would send, or all of them. It
	// returns the number of all.
	part(frame, stream string, seq, n int) int

	// cut closes the connection without a word.
	cut()

	// finish ends it in good order, as far as the transport knows one.
	finish()
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
			s.send(fmt.Sprintf(`{"op":"pong","id":%q}`, f.ID), "", 0)
			continue
		}
		s.server.mail.put(item{frame: f, socket: s})
	}
}

func (s *socket) send(frame, _ string, _ int) {
	s.server.notef("websocket #%d ← %.300s", s.n, frame)
	_ = s.ws.Write(s.server.ctx, websocket.MessageText, []byte(frame)) // an error shows as the end of the socket
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

func (s *socket) part(frame, _ string, _, n int) int {
	b := encode(textFrame, frame)
	s.server.notef("websocket #%d ← %d of %d bytes of %.100s", s.n, min(n, len(b)), len(b), frame)
	s.raw(b[:min(n, len(b))])
	return len(b)
}

func (s *socket) raw(b []byte) { _, _ = s.conn.Write(b) }

// stream is the answer to an SSE request.
type stream struct {
	*attempt
	list []*position
}

// stream begins the answer to an SSE request.
func (a *attempt) stream(list []*position) *stream {
	a.w.Header().Set("Content-Type", "text/event-stream")
	a.w.WriteHeader(http.StatusOK)
	o := &stream{a, list}
	o.raw("retry: 1000\n\n")
	for _, at := range list {
		o.send(fmt.Sprintf(`{"op":"subscribed","stream":%q,"cursor":"%s:%d","head":%d}`,
			at.stream, at.epoch, at.from, a.server.head(at.stream)), "", 0)
	}
	return o
}

// raw writes bytes of the response. It returns false if the client has left.
func (o *stream) raw(text string) bool {
	o.server.notef("sse #%d ← %.300q", o.n, text)
	_, err := io.WriteString(o.w, text)
	return err == nil && http.NewResponseController(o.w).Flush() == nil
}

func (o *stream) event(frame, stream string, seq int) string {
	move(o.list, stream, seq)
	return "id: " + cursorText(o.list) + "\ndata: " + frame + "\n\n"
}

func (o *stream) send(frame, stream string, seq int) { o.raw(o.event(frame, stream, seq)) }

func (o *stream) part(frame, stream string, seq, n int) int {
	text := o.event(frame, stream, seq)
	o.raw(text[:min(n, len(text))])
	return len(text)
}

// polls is a client that polls. Its next request is answered with the next frame.
type polls struct {
	*attempt // the request that waits for its answer; nil if the last was answered
	p        *play
	list     []*position
}

// request returns the request that waits.
func (o *polls) request() {
	if o.attempt == nil {
		o.attempt = o.p.attempt(poll)
		o.list = o.p.positions(o.attempt)
	}
}

func (o *polls) body(frame, stream string, seq int) string {
	o.request()
	move(o.list, stream, seq)
	return fmt.Sprintf(`{"cursor":%q,"frames":[%s]}`, cursorText(o.list), frame)
}

func (o *polls) send(frame, stream string, seq int) {
	body := o.body(frame, stream, seq)
	o.refuse(answerJSON(body))
	o.attempt = nil
}

func (o *polls) part(frame, stream string, seq, n int) int {
	body := o.body(frame, stream, seq)
	o.server.notef("poll #%d ← %d of %d bytes of %.100s", o.n, min(n, len(body)), len(body), body)
	o.w.Header().Set("Content-Type", "application/json")
	o.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = io.WriteString(o.w, body[:min(n, len(body))])
	_ = http.NewResponseController(o.w).Flush()
	return len(body)
}

func (o *polls) cut() {
	o.request()
	o.attempt.cut()
	o.attempt = nil
}

func (o *polls) finish() {
	if o.attempt != nil {
		o.attempt.finish()
	}
}

func answerJSON(body string) refusal {
	return refusal{http.StatusOK, []string{"Content-Type", "application/json"}, body}
}

// positions returns the positions of a request, which must be well-formed.
func (p *play) positions(a *attempt) []*position {
	list, err := a.positions()
	if err != nil {
		p.failf("%v", err)
	}
	return list
}

// maxRejected is the number of requests that a client may send with rejected tokens.
const maxRejected = 6

// open waits for a connection of this kind that follows exactly these places.
// With a token, others are rejected first.
func (p *play) open(kind string, want []place, token string, heartbeatMS int) {
	for rejected := 0; ; rejected++ {
		a := p.attempt(kind)
		if rejected > maxRejected {
			p.failf("the client sent %d requests with rejected tokens", rejected)
		}
		if kind != ws {
			if token != "" && a.token != token {
				a.refuse(problem(http.StatusUnauthorized, "unauthorized"))
				continue
			}
			p.follow(a, want)
			return
		}
		s := p.accept(a)
		if s.token == "" {
			s.token = p.next(s, "auth").Token
		}
		if token != "" && s.token != token {
			p.close(s, 4401, "unauthorized")
			continue
		}
		p.current = s
		s.send(fmt.Sprintf(`{"op":"welcome","session":"NCK7MA6CZYWXTZHQ6TOIQRDCST","epoch":%q,"heartbeat_ms":%d}`,
			s.server.epoch, heartbeatMS), "", 0)
		for _, w := range want {
			p.subscribe(s, w)
		}
		return
	}
}

// follow begins to answer an SSE or poll request.
func (p *play) follow(a *attempt, want []place) {
	list := p.positions(a)
	for _, w := range want {
		cursor := ""
		for _, at := range list {
			if at.stream == w.Stream {
				cursor = at.epoch + ":" + strconv.Itoa(at.from)
			}
		}
		expected := p.placed(w)
		if cursor != expected {
			p.failf("the client asked for %s from the cursor %q instead of %q", w.Stream, cursor, expected)
		}
	}
	if len(list) != len(want) {
		p.failf("the client asked for %d streams instead of %d", len(list), len(want))
	}
	if a.kind == sse {
		p.current = a.stream(list)
		return
	}
	p.current = &polls{a, p, list}
}

// placed returns the cursor at which a subscription begins.
func (p *play) placed(w place) string {
	switch w.From {
	case "":
		return p.cursor(strconv.Itoa(p.server.head(w.Stream)))
	case "start":
		return p.cursor("0")
	default:
		return w.From
	}
}

// subscribe waits for the subscription of a stream, which must name this cursor,
// and confirms it.
func (p *play) subscribe(s *socket, w place) {
	f := p.await("subscription of "+w.Stream, func(i item) bool {
		return i.socket == s && i.frame.Op == "subscribe" && i.frame.Stream == w.Stream
	}).frame
	if f.Cursor != w.From {
		p.failf("the client subscribed to %s with the cursor %q instead of %q", w.Stream, f.Cursor, w.From)
	}
	s.send(fmt.Sprintf(`{"op":"subscribed","id":%q,"stream":%q,"cursor":%q,"head":%d}`,
		f.ID, w.Stream, p.placed(w), s.server.head(w.Stream)), "", 0)
}

// next waits for the next frame with this op on a socket.
func (p *play) next(s *socket, op string) *frame {
	return p.await("frame with op "+op, func(i item) bool { return i.socket == s && i.frame.Op == op }).frame
}

// close sends a close frame and waits for the end of the socket.
func (p *play) close(s *socket, code int, reason string) {
	s.server.notef("websocket #%d ← close %d %q", s.n, code, reason)
	s.raw(encode(closeFrame, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)) //nolint:gosec // a close code
	p.await("end of the closed WebSocket", func(i item) bool { return i.over == s })
}

// aim returns the current socket.
func (p *play) aim() *socket {
	s, ok := p.current.(*socket)
	if !ok {
		p.failf("the script needs a WebSocket here")
	}
	return s
}

// cursor returns the cursor that a script writes as a seq, "start", "now" or a
// whole cursor.
func (p *play) cursor(text string) string {
	switch {
	case text == "now", text == "":
		return ""
	case text == "start" || strings.Contains(text, ":"):
		return text
	default:
		return p.server.epoch + ":" + text
	}
}
