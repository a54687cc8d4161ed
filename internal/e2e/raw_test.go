package e2e_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// tap keeps every byte that came over the connections of one client.
type tap struct {
	mu    sync.Mutex
	bytes []byte
	small bool // with a small receive buffer
}

// text is what came so far.
func (p *tap) text() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clip(p.bytes)
}

func (p *tap) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if p.small {
		// Smaller than a segment of loopback it would crawl when read again.
		if err := c.(*net.TCPConn).SetReadBuffer(128 << 10); err != nil {
			return nil, err
		}
	}
	return &tapped{c, p}, nil
}

// http is a client of which every byte is kept.
func (p *tap) http(tb testing.TB) *http.Client {
	tb.Helper()
	transport := &http.Transport{DialContext: p.dial, DisableCompression: true}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

type tapped struct {
	net.Conn
	tap *tap
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.tap.mu.Lock()
	c.tap.bytes = append(c.tap.bytes, b[:n]...)
	c.tap.mu.Unlock()
	return n, err
}

// line is a WebSocket that is read at all times: so it answers the pings of the server,
// which ends one that is silent for a minute, however slowly the test goes on.
type line struct {
	*websocket.Conn
	frames chan []byte // closed at the end
	err    error       // of the end
}

// Read returns the next frame.
func (l *line) Read(ctx context.Context) (websocket.MessageType, []byte, error) {
	select {
	case b, ok := <-l.frames:
		if !ok {
			return 0, nil, l.err
		}
		return websocket.MessageText, b, nil
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
}

// socket is a WebSocket of a user, without anything that a client adds, until it is
// closed or ctx ends.
func socket(ctx context.Context, tb testing.TB, h *http.Client, url, user string) *line {
	tb.Helper()
	const unread = 10_000 // more frames than a test leaves
	l := &line{Conn: unreadSocket(ctx, tb, h, url, user), frames: make(chan []byte, unread)}
	go func() {
		defer close(l.frames)
		for {
			_, b, err := l.Conn.Read(ctx)
			if err != nil {
				l.err = err
				return
			}
			select {
			case l.frames <- b:
			case <-ctx.Done():
				l.err = ctx.Err()
				return
			}
		}
	}()
	return l
}

// unreadSocket is one that is read when the test reads it.
func unreadSocket(ctx context.Context, tb testing.TB, h *http.Client, url, user string) *websocket.Conn {
	tb.Helper()
	ws, res, err := websocket.Dial(ctx, url+"/v1/realtime/ws", &websocket.DialOptions{
		HTTPClient: h, Subprotocols: []string{"gotong.v1"},
		HTTPHeader: http.Header{"Authorization": {"Bearer " + tokenOf(user)}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if res.Body != nil {
		_ = res.Body.Close()
	}
	ws.SetReadLimit(16 << 20)
	return ws
}

// tell sends one frame.
func tell(ctx context.Context, ws interface {
	Write(ctx context.Context, typ websocket.MessageType, b []byte) error
}, frame any,
) error {
	return ws.Write(ctx, websocket.MessageText, []byte(encode(frame)))
}
