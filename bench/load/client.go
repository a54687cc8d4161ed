package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// token speaks for a user of the load.
func token(user string) string {
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "role": "user", "exp": time.Now().Add(time.Hour).Unix(),
	})
	t.Header["kid"] = "load"
	text, err := t.SignedString([]byte(secret))
	if err != nil {
		panic(err)
	}
	return text
}

// post sends a REST command and decodes the answer.
func (s *server) post(user, path string, body any, into any) error {
	var b []byte
	var err error
	if body != nil {
		if b, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+s.addr+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token(user))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// socket is a WebSocket that reads whole frames and decodes nothing.
type socket struct {
	conn net.Conn
	r    *bufio.Reader
	sent []byte
}

func (s *server) dial(user string, buffer int) (*socket, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET /v1/realtime/ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: gotong.v1\r\n"+
		"Authorization: Bearer %s\r\n\r\n", s.addr, token(user))
	if err != nil {
		return nil, err
	}
	w := &socket{conn: conn, r: bufio.NewReaderSize(conn, buffer)}
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(line, "HTTP/1.1 ") && !strings.HasPrefix(line, "HTTP/1.1 101") {
			rest, _ := w.r.Peek(min(w.r.Buffered(), 600))
			return nil, fmt.Errorf("upgrade: %s%s", line, rest)
		}
		if line == "\r\n" {
			return w, nil
		}
	}
}

// send writes one masked text frame.
func (w *socket) send(format string, args ...any) error {
	text := fmt.Appendf(nil, format, args...)
	b := append(w.sent[:0], 0x81)
	if len(text) < 126 {
		b = append(b, 0x80|byte(len(text)))
	} else {
		b = append(b, 0x80|126, byte(len(text)>>8), byte(len(text)))
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:])
	b = append(b, mask[:]...)
	for i, c := range text {
		b = append(b, c^mask[i&3])
	}
	w.sent = b
	_, err := w.conn.Write(b)
	return err
}

// next reads one frame; its bytes are good until the next call.
func (w *socket) next() ([]byte, error) {
	head, err := w.r.Peek(2)
	if err != nil {
		return nil, err
	}
	op, n, skip := head[0]&15, int(head[1]&127), 2
	switch n {
	case 126:
		if head, err = w.r.Peek(4); err != nil {
			return nil, err
		}
		n, skip = int(binary.BigEndian.Uint16(head[2:])), 4
	case 127:
		if head, err = w.r.Peek(10); err != nil {
			return nil, err
		}
		n, skip = int(binary.BigEndian.Uint64(head[2:])), 10
	}
	if _, err := w.r.Discard(skip); err != nil {
		return nil, err
	}
	if n <= w.r.Size() {
		b, err := w.r.Peek(n)
		if err == nil {
			_, err = w.r.Discard(n)
		}
		if op == 8 {
			return nil, fmt.Errorf("closed: %q", b)
		}
		return b, err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(w.r, b)
	return b, err
}

// until reads frames until one holds the text.
func (w *socket) until(text string) error {
	for {
		b, err := w.next()
		switch {
		case err != nil:
			return err
		case bytes.Contains(b, []byte(text)):
			return nil
		case bytes.HasPrefix(b, []byte(`{"op":"error"`)):
			return errors.New(string(b))
		}
	}
}

// count reads frames for ever and counts the events in them.
func (w *socket) count(n *atomic.Int64) {
	key := []byte(`"chain":`)
	for {
		b, err := w.next()
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, []byte(`{"op":"events"`)) {
			continue
		}
		if len(b) < 1200 {
			n.Add(1) // a live frame is one event
			continue
		}
		n.Add(int64(bytes.Count(b, key)))
	}
}

// subscribed reads up to the answer of a subscription.
func (w *socket) subscribed() (string, error) {
	for {
		b, err := w.next()
		switch {
		case err != nil:
			return "", err
		case bytes.HasPrefix(b, []byte(`{"op":"subscribed"`)):
			return string(b), nil
		case bytes.HasPrefix(b, []byte(`{"op":"error"`)):
			return "", errors.New(string(b))
		}
	}
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

// missed subscribes behind and reads until n events are there.
func (w *socket) missed(stream, cursor string, n int, delivered *atomic.Int64) error {
	if err := w.send(`{"op":"subscribe","id":"1","stream":%q,"cursor":%q}`, stream, cursor); err != nil {
		return err
	}
	for got := 0; got < n; {
		b, err := w.next()
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(b, []byte(`{"op":"events"`)):
			events := bytes.Count(b, []byte(`"chain":`))
			got += events
			delivered.Add(int64(events))
		case bytes.HasPrefix(b, []byte(`{"op":"error"`)):
			return errors.New(string(b))
		}
	}
	return nil
}
