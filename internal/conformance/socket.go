package conformance

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// frame is a frame of the client.
type frame struct {
	Op        string          `json:"op"`
	ID        string          `json:"id"`
	Stream    string          `json:"stream"`
	Cursor    string          `json:"cursor"`
	RequestID string          `json:"request_id"`
	Type      string          `json:"type"`
	Token     string          `json:"token"`
	Data      json.RawMessage `json:"data"`
	text      string
}

// socket is an accepted WebSocket.
type socket struct {
	*attempt
	p    *play
	ws   *websocket.Conn
	deaf atomic.Bool // answers no ping
}

// accept upgrades an attempt and reads its frames.
func (p *play) accept(a *attempt) *socket {
	s := &socket{attempt: a, p: p}
	if !strings.Contains(","+strings.ReplaceAll(a.r.Header.Get("Sec-Websocket-Protocol"), " ", "")+",", ",gotong.v1,") {
		p.fail("a WebSocket without the subprotocol gotong.v1")
	}
	var err error
	s.ws, err = websocket.Accept(a.w, a.r, &websocket.AcceptOptions{
		Subprotocols: []string{"gotong.v1"}, InsecureSkipVerify: true,
		OnPingReceived: func(context.Context, []byte) bool { return !s.deaf.Load() },
	})
	if err != nil {
		p.fail("the handshake of a WebSocket is malformed: %v", err)
	}
	p.server.note("websocket #%d: ← 101", a.n)
	s.ws.SetReadLimit(1 << 20)
	p.server.group.Go(func() { s.read() })
	return s
}

// read delivers the client's frames until the socket ends.
func (s *socket) read() {
	defer s.finish()
	for {
		_, b, err := s.ws.Read(s.server.ctx)
		if err != nil {
			s.server.note("websocket #%d: the client has left (%v)", s.n, err)
			s.server.deliver(item{over: s})
			return
		}
		f := &frame{text: string(b)}
		s.server.note("websocket #%d: → %.300s", s.n, b)
		if json.Unmarshal(b, f) != nil {
			f.Op = "unreadable"
		}
		if f.Op == "ping" && !s.deaf.Load() {
			s.send(fmt.Sprintf(`{"op":"pong","id":%q}`, f.ID))
			continue
		}
		s.server.deliver(item{frame: f, socket: s})
	}
}

// welcome authenticates the client and sends the first frame.
func (s *socket) welcome(heartbeatMS int) {
	if s.token == "" {
		f := s.next("auth")
		s.token = f.Token
	}
	s.send(fmt.Sprintf(`{"op":"welcome","session":"NCK7MA6CZYWXTZHQ6TOIQRDCST","epoch":%q,"heartbeat_ms":%d}`, s.p.server.epoch, heartbeatMS))
}

// send sends a frame. An error shows as the end of the socket.
func (s *socket) send(text string) {
	s.server.note("websocket #%d: ← %.300s", s.n, text)
	_ = s.ws.Write(s.server.ctx, websocket.MessageText, []byte(text))
}

// The first bytes of WebSocket frames (RFC 6455, section 5.2).
const (
	textFrame  = 0x81
	closeFrame = 0x88
)

// encode returns a frame as bytes.
func encode(opcode byte, payload string) []byte {
	b := []byte{opcode}
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

// raw sends bytes as they are.
func (s *socket) raw(b []byte) {
	s.server.note("websocket #%d: ← %d raw bytes %.120q", s.n, len(b), b)
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Minute))
	_, _ = s.conn.Write(b)
}

// close sends a close frame and waits for the end of the socket.
func (s *socket) close(code int, reason string) {
	s.server.note("websocket #%d: ← close %d %q", s.n, code, reason)
	_, _ = s.conn.Write(encode(closeFrame, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)) //nolint:gosec // a close code
	s.p.await("the end of a closed WebSocket", func(i item) bool { return i.over == s })
}

// next waits for the next frame with this op on this socket.
func (s *socket) next(op string) *frame {
	return s.p.await("a frame with op "+op, func(i item) bool { return i.socket == s && i.frame.Op == op }).frame
}

// subscribe waits for the subscription of a stream, which must name this cursor
// ("" for none), and confirms it.
func (s *socket) subscribe(stream, cursor string) *frame {
	f := s.p.await("a subscription of "+stream, func(i item) bool {
		return i.socket == s && i.frame.Op == "subscribe" && i.frame.Stream == stream
	}).frame
	if f.Cursor != cursor {
		s.p.fail("the client subscribed to %s with the cursor %q instead of %q", stream, f.Cursor, cursor)
	}
	at := cursor
	switch head := s.server.head(stream); cursor {
	case "":
		at = s.p.cursor(head)
	case "start":
		at = s.p.cursor(0)
	}
	s.send(fmt.Sprintf(`{"op":"subscribed","id":%q,"stream":%q,"cursor":%q,"head":%d}`, f.ID, stream, at, s.server.head(stream)))
	return f
}

// events sends the events with from < seq <= to.
func (s *socket) events(stream string, from, to int) { s.send(s.server.frame(stream, from, to)) }

// ack answers a command.
func (s *socket) ack(f *frame, seq int, replayed bool) {
	s.send(ackOf(f, fmt.Sprintf("[%d,%d]", seq, seq), replayed))
}

func ackOf(f *frame, seq string, replayed bool) string {
	return fmt.Sprintf(`{"op":"ack","id":%q,"receipt":{"stream":%q,"seq":%s,"event_ids":["01a20890-80c6-7618-bf0e-67f63fc7e04a"],`+
		`"at":"2026-11-23T13:20:17.606381Z","chain":"%064x","replayed":%t}}`, f.ID, f.Stream, seq, 7, replayed)
}

// reject answers a frame with a problem.
func (s *socket) reject(f *frame, problem string) {
	s.send(fmt.Sprintf(`{"op":"error","id":%q,"stream":%q,"problem":%s}`, f.ID, f.Stream, problem))
}
