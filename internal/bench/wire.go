package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Dialer opens a network connection, as net.Dialer's DialContext does.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// target is the server that is measured.
type target struct {
	url  *url.URL
	dial Dialer
}

func newTarget(base string, dial Dialer) (*target, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("bench: %q is not an http or https address", base)
	}
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	return &target{u, dial}, nil
}

// open connects to the server.
func (t *target) open(ctx context.Context) (net.Conn, error) {
	port := t.url.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[t.url.Scheme]
	}
	conn, err := t.dial(ctx, "tcp", net.JoinHostPort(t.url.Hostname(), port))
	if err != nil || t.url.Scheme == "http" {
		return conn, err
	}
	secure := tls.Client(conn, &tls.Config{ServerName: t.url.Hostname(), MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// Refused is the error of an upgrade or a command that the server rejected.
type Refused struct { //nolint:errname // what the server did
	Status     int
	Detail     string
	RetryAfter time.Duration
}

// Error implements error.
func (r *Refused) Error() string {
	return strings.TrimSpace(strconv.Itoa(r.Status) + " " + http.StatusText(r.Status) + ": " + r.Detail)
}

// passes reports whether the same request may succeed later.
func (r *Refused) passes() bool {
	return r.Status == http.StatusTooManyRequests || r.Status == http.StatusServiceUnavailable
}

// Socket is a WebSocket of the protocol gotong.v1 that decodes nothing. One
// goroutine may read while others send.
type Socket struct {
	net.Conn
	in  *bufio.Reader
	mu  sync.Mutex
	out []byte
}

// dialSocket upgrades a connection. If the server rejects the upgrade, the
// error is a [Refused]. buffer is the size of the read buffer in bytes.
func (t *target) dialSocket(ctx context.Context, token string, buffer int) (*Socket, error) {
	conn, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	s := &Socket{Conn: conn, in: bufio.NewReaderSize(conn, buffer)}
	if err := s.upgrade(t.url, token); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *Socket) upgrade(to *url.URL, token string) error {
	_, err := fmt.Fprintf(s.Conn, "GET %s/v1/realtime/ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: gotong.v1\r\n"+
		"Authorization: Bearer %s\r\n\r\n", strings.TrimSuffix(to.EscapedPath(), "/"), to.Host, token)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	defer func() { _ = res.Body.Close() }()
	refused := &Refused{Status: res.StatusCode}
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		refused.RetryAfter = time.Duration(n) * time.Second
	}
	var problem struct {
		Detail string `json:"detail"`
	}
	if b, err := io.ReadAll(io.LimitReader(res.Body, 64<<10)); err == nil && json.Unmarshal(b, &problem) == nil {
		refused.Detail = problem.Detail
	}
	return refused
}

// WriteText sends one masked text frame.
func (s *Socket) WriteText(format string, args ...any) error {
	return s.write(0x1, fmt.Appendf(nil, format, args...))
}

// write sends one masked frame.
func (s *Socket) write(op byte, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.out[:0]
	b = append(b, 0x80|op)
	if len(payload) < 126 {
		b = append(b, 0x80|byte(len(payload)))
	} else {
		b = append(b, 0x80|126, byte(len(payload)>>8), byte(len(payload)))
	}
	var mask [4]byte
	binary.NativeEndian.PutUint32(mask[:], rand.Uint32())
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i&3])
	}
	s.out = b
	_, err := s.Write(b)
	return err
}

// maxFrame bounds a frame of the server in bytes.
const maxFrame = 16 << 20

// ReadText returns the next text frame, whose bytes are valid until the next
// call. It answers pings.
func (s *Socket) ReadText() ([]byte, error) {
	for {
		op, b, err := s.read()
		switch {
		case err != nil:
			return nil, err
		case op == 0x1:
			return b, nil
		case op == 0x8:
			return nil, closedBy(b)
		case op == 0x9:
			if err := s.write(0xa, b); err != nil {
				return nil, err
			}
		case op != 0xa:
			return nil, fmt.Errorf("bench: the server sent a frame of type %d", op)
		}
	}
}

func closedBy(b []byte) error {
	if len(b) < 2 {
		return errors.New("bench: the server closed the connection")
	}
	return fmt.Errorf("bench: the server closed the connection: %d %s", binary.BigEndian.Uint16(b), b[2:])
}

// read returns one frame, in place if it fits into the buffer.
func (s *Socket) read() (op byte, b []byte, err error) {
	head, err := s.in.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	op, n, skip := head[0]&15, uint64(head[1]&127), 2
	switch n {
	case 126:
		if head, err = s.in.Peek(4); err != nil {
			return 0, nil, err
		}
		n, skip = uint64(binary.BigEndian.Uint16(head[2:])), 4
	case 127:
		if head, err = s.in.Peek(10); err != nil {
			return 0, nil, err
		}
		n, skip = binary.BigEndian.Uint64(head[2:]), 10
	}
	if n > maxFrame {
		return 0, nil, fmt.Errorf("bench: a frame of %d bytes", n)
	}
	if _, err := s.in.Discard(skip); err != nil {
		return 0, nil, err
	}
	if int(n) <= s.in.Size() {
		b, err = s.in.Peek(int(n))
		if err == nil {
			_, err = s.in.Discard(len(b))
		}
		return op, b, err
	}
	b = make([]byte, n)
	_, err = io.ReadFull(s.in, b)
	return op, b, err
}

// The patterns that are searched for in frames. None can occur inside a string,
// where a quotation mark is escaped.
var (
	eventsFrame = []byte(`{"op":"events","stream":"`)
	ackFrame    = []byte(`{"op":"ack","id":"`)
	errorFrame  = []byte(`{"op":"error"`)
	eventStart  = []byte(`{"seq":`)
	postBody    = []byte(`"body":"#`)
	seqRange    = []byte(`"seq":[`)
)

// eventsIn calls each for every event of an events frame, with the number of
// its post; numbered is false for other events.
func eventsIn(frame []byte, each func(seq, n uint64, numbered bool)) {
	_, rest, found := bytes.Cut(frame, eventStart)
	for found {
		var event []byte
		event, rest, found = bytes.Cut(rest, eventStart)
		seq := leadingNumber(event, 10)
		if _, body, ok := bytes.Cut(event, postBody); ok {
			each(seq, leadingNumber(body, 16), true)
			continue
		}
		each(seq, 0, false)
	}
}

// ackOf returns the id and the seq of an ack frame.
func ackOf(frame []byte) (id, seq uint64) {
	_, rest, _ := bytes.Cut(frame, seqRange)
	return leadingNumber(frame[len(ackFrame):], 16), leadingNumber(rest, 10)
}

// leadingNumber reads the digits that b begins with.
func leadingNumber(b []byte, base uint64) (n uint64) {
	for _, c := range b {
		d := base
		switch {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case c >= 'a' && c <= 'f':
			d = uint64(c-'a') + 10
		}
		if d >= base {
			break
		}
		n = n*base + d
	}
	return n
}

// problemFrame is an error frame.
type problemFrame struct {
	ID      string `json:"id"`
	Problem struct {
		Status       int    `json:"status"`
		Detail       string `json:"detail"`
		RetryAfterMS int64  `json:"retry_after_ms"`
	} `json:"problem"`
}

func refusedBy(frame []byte) (id string, r *Refused) {
	var f problemFrame
	if err := json.Unmarshal(frame, &f); err != nil {
		return "", &Refused{Detail: "an error that cannot be decoded"}
	}
	return f.ID, &Refused{
		Status: f.Problem.Status, Detail: f.Problem.Detail,
		RetryAfter: time.Duration(f.Problem.RetryAfterMS) * time.Millisecond,
	}
}

// Dial connects a user to a server and reads the welcome; for measurements that
// are not a scenario.
func Dial(ctx context.Context, base, token string) (*Socket, error) {
	to, err := newTarget(base, nil)
	if err != nil {
		return nil, err
	}
	s, err := to.dialSocket(ctx, token, 4096)
	if err == nil {
		_, err = s.ReadText()
	}
	return s, err
}
