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

// socket is a WebSocket of a user, without anything that a client adds.
func socket(ctx context.Context, tb testing.TB, h *http.Client, url, user string) *websocket.Conn {
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
func tell(ctx context.Context, ws *websocket.Conn, frame any) error {
	return ws.Write(ctx, websocket.MessageText, []byte(encode(frame)))
}
