package realtime

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// clientFrame is a masked frame as a client sends it. first is the first byte.
func clientFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// readServerFrame reads one whole frame of the server.
func readServerFrame(tb testing.TB, r *bufio.Reader) (opcode byte, payload []byte) {
	tb.Helper()
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		tb.Fatal(err)
	}
	n := int(head[1])
	switch n {
	case 126:
		var l [2]byte
		_, _ = io.ReadFull(r, l[:])
		n = int(binary.BigEndian.Uint16(l[:]))
	case 127:
		var l [8]byte
		_, _ = io.ReadFull(r, l[:])
		n = int(binary.BigEndian.Uint64(l[:]))
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		tb.Fatal(err)
	}
	return head[0], payload
}

// rawSocket is a WebSocket without a library, to say what none would.
type rawSocket struct {
	t    testing.TB
	conn *net.TCPConn
	br   *bufio.Reader
}

func (w *world) rawConnect(id string) *rawSocket {
	w.t.Helper()
	c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(2 * patience)); err != nil { // what never comes is a failure of the test
		w.t.Fatal(err)
	}
	s := &rawSocket{w.t, c.(*net.TCPConn), bufio.NewReader(c)}
	auth := ""
	if id != "" {
		auth = "Authorization: Bearer t-" + id + "\r\n"
	}
	_, err = fmt.Fprintf(c, "GET /v1/realtime/ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: gotong.v1\r\n%s\r\n", w.addr, someKey, auth)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := http.ReadResponse(s.br, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatal(res.Status)
	}
	if id != "" {
		if _, b := readServerFrame(w.t, s.br); !strings.Contains(string(b), `"welcome"`) {
			w.t.Fatalf("got %s", b)
		}
	}
	return s
}

func (s *rawSocket) send(parts ...[]byte) {
	s.t.Helper()
	for _, p := range parts {
		if _, err := s.conn.Write(p); err != nil {
			s.t.Fatal(err)
		}
	}
}

// closed reads the close frame, which nothing may follow.
func (s *rawSocket) closed(code int) {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	for {
		op, b := readServerFrame(s.t, s.br)
		if op != 0x88 {
			continue
		}
		got := 0
		if len(b) >= 2 {
			got = int(binary.BigEndian.Uint16(b))
		}
		if got != code {
			s.t.Errorf("closed with %d %s, want %d", got, b[min(2, len(b)):], code)
		}
		break
	}
	if rest, err := io.ReadAll(s.br); len(rest) > 0 || err != nil && !errors.Is(err, io.EOF) {
		s.t.Errorf("after the close frame: %q %v", rest, err)
	}
	_ = s.conn.Close()
}

func ping(id string) []byte { return []byte(`{"op":"ping","id":"` + id + `"}`) }

// What the library gets wrong, or might: each on a connection of its own, and
// the server lives on.
func TestRawFrames(t *testing.T) {
	w := newWorld(t)
	big := make([]byte, maxFrame+1)
	for i := range big {
		big[i] = ' '
	}
	half := big[:maxFrame/2+8]
	text := func(s string) []byte { return clientFrame(0x81, []byte(s)) }
	header := func(first, length byte, n uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{first, 0x80 | length}, n), 1, 2, 3, 4)
	}
	for _, tc := range []struct {
		name string
		send [][]byte
		code int
	}{
		{"binary", [][]byte{clientFrame(0x82, []byte("{}"))}, 1003},
		{"bad UTF-8", [][]byte{text("{\"op\":\"\xff\"}")}, 1007},
		{"a lone surrogate's bytes", [][]byte{text("{\"op\":\"\xed\xa0\x80\"}")}, 1007},
		{"bad UTF-8 across fragments", [][]byte{clientFrame(0x01, []byte("{\"op\":\"\xe2\x82")), clientFrame(0x80, []byte("\"}"))}, 1007},
		{"too big", [][]byte{clientFrame(0x81, big)}, 1009},
		{"too big, all at once with more", [][]byte{append(clientFrame(0x81, big), text(`{"op":"ping"}`)...)}, 1009},
		{"too big in fragments", [][]byte{clientFrame(0x01, half), clientFrame(0x80, half)}, 1009},
		{"too big to say", [][]byte{header(0x81, 127, 1<<40)}, 1009},
		{"a negative length", [][]byte{header(0x81, 127, 1<<63)}, 1002},
		{"the most negative length", [][]byte{header(0x01, 127, 1<<64-1)}, 1002},
		{"not masked", [][]byte{{0x81, 2, '{', '}'}}, 1002},
		{"a reserved bit", [][]byte{clientFrame(0xc1, ping("x"))}, 1002},
		{"an unknown opcode", [][]byte{clientFrame(0x83, nil)}, 1002},
		{"an unknown control opcode", [][]byte{clientFrame(0x8b, nil)}, 1002},
		{"a fragmented ping", [][]byte{clientFrame(0x09, nil)}, 1002},
		{"a long ping", [][]byte{clientFrame(0x89, make([]byte, 126))}, 1002},
		{"a continuation of nothing", [][]byte{clientFrame(0x80, []byte("{}"))}, 1002},
		{"a text within a text", [][]byte{clientFrame(0x01, []byte("{")), text("{}")}, 1002},
		{"a close", [][]byte{clientFrame(0x88, []byte{0x03, 0xe8})}, 1000},
		{"a close without a code", [][]byte{clientFrame(0x88, nil)}, 0},
		{"a close with half a code", [][]byte{clientFrame(0x88, []byte{3})}, 1002},
		{"a close with a code of nobody", [][]byte{clientFrame(0x88, []byte{0x03, 0xed})}, 1002},
		{"a close with bad UTF-8", [][]byte{clientFrame(0x88, []byte{0x03, 0xe8, 0xff})}, 1007},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := w.rawConnect("ann")
			s.t = t
			s.send(tc.send...)
			s.closed(tc.code)
		})
	}
	w.connect("bob") // alive
	w.until("the others are gone", func() bool { ws, _ := w.server.Open(); return ws == 1 })
}

func TestFragments(t *testing.T) {
	w := newWorld(t)
	s := w.rawConnect("ann")
	whole := ping("fragments")
	s.send(clientFrame(0x01, whole[:5]), clientFrame(0x00, nil), clientFrame(0x89, []byte("between")),
		clientFrame(0x00, whole[5:9]), clientFrame(0x80, whole[9:]))
	if op, b := readServerFrame(t, s.br); op != 0x8a || string(b) != "between" {
		t.Errorf("got %x %q", op, b)
	}
	if op, b := readServerFrame(t, s.br); op != 0x81 || string(b) != `{"op":"pong","id":"fragments"}` {
		t.Errorf("got %x %q", op, b)
	}
}

// A connection that ends in the middle of anything leaves nothing behind.
func TestConnectionCutAnywhereLeavesNothing(t *testing.T) {
	w := newWorld(t)
	frame := clientFrame(0x81, ping("cut"))
	for n := range len(frame) + 1 {
		s := w.rawConnect([]string{"ann", ""}[n%2])
		s.send(frame[:n])
		if n%3 == 0 {
			_ = s.conn.SetLinger(0) // a reset instead of an end
		}
		_ = s.conn.Close()
	}
	w.until("all are gone", func() bool { ws, _ := w.server.Open(); return ws == 0 })
	if n := w.hub.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions", n)
	}
}
