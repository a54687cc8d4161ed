package conformance

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// maxRejected is the number of requests that a client may send with rejected tokens.
const maxRejected = 6

// open waits for a connection of this kind that follows exactly these places.
// With a token, WebSockets with another one are rejected first.
func (p *play) open(kind string, want []place, token string, heartbeatMS int) {
	for rejected := 0; ; rejected++ {
		a := p.attempt(kind)
		if rejected > maxRejected {
			p.failf("the client sent %d requests with rejected tokens", rejected)
		}
		if kind != ws {
			if token != "" && a.token != token {
				p.failf("the client sent the token %q instead of %q", a.token, token)
			}
			p.follow(a, want)
			return
		}
		s := p.admit(a)
		if token != "" && s.token != token {
			p.close(s, 4401, "unauthorized")
			continue
		}
		p.current = s
		s.sendf(`{"op":"welcome","session":"NCK7MA6CZYWXTZHQ6TOIQRDCST","epoch":%q,"heartbeat_ms":%d}`, s.server.epoch, heartbeatMS)
		for _, w := range want {
			p.subscribe(s, w)
		}
		return
	}
}

// admit accepts a WebSocket and waits for its token.
func (p *play) admit(a *attempt) *socket {
	s := p.accept(a)
	if s.token == "" {
		s.token = p.next(s, "auth").Token
	}
	return s
}

// follow begins to answer an SSE or poll request.
func (p *play) follow(a *attempt, want []place) {
	has := map[string]string{}
	for _, at := range a.list {
		has[string(at.Stream)] = at.Cursor.String()
	}
	for _, w := range want {
		if expected := p.placed(w); has[w.Stream] != expected {
			p.failf("the client asked for %s from the cursor %q instead of %q", w.Stream, has[w.Stream], expected)
		}
	}
	if len(has) != len(want) {
		p.failf("the client asked for %d streams instead of %d", len(has), len(want))
	}
	for _, at := range a.list {
		p.server.show(string(at.Stream), 0, int(at.Cursor.Seq)) //nolint:gosec // the script's own
	}
	p.current = &polls{a, p}
	if a.kind == sse {
		p.current = a.stream()
	}
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
	s.sendf(`{"op":"subscribed","id":%q,"stream":%q,"cursor":%q,"head":%d}`, f.ID, w.Stream, p.placed(w), s.server.head(w.Stream))
}

// next waits for the next frame with this op on a socket.
func (p *play) next(s *socket, op string) *frame {
	return p.await("frame with op "+op, func(i item) bool { return i.socket == s && i.frame.Op == op }).frame
}

// close sends a close frame and waits for the end of the socket.
func (p *play) close(s *socket, code int, reason string) {
	s.server.notef("websocket #%d ← close %d %q", s.n, code, reason)
	s.write(encode(closeFrame, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason), 0) //nolint:gosec // a close code
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
	case text == "now":
		return ""
	case text == "", text == "start", strings.Contains(text, ":"):
		return text
	default:
		return p.server.epoch + ":" + text
	}
}
