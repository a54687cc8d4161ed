package httpapi_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong/internal/httpapi"
)

// The length of a request with a Transfer-Encoding may have been judged
// otherwise by a proxy, and what follows would be the request of another: it is
// never read.
func TestNothingFollowsATransferEncoding(t *testing.T) {
	w := newWorld(t)
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = httpapi.HTTPServer(w.server.Handler(), discard())
	srv.Start()
	defer srv.Close()
	const body = "0\r\n\r\n"
	for _, test := range []struct {
		name, first string
		answers     int
	}{
		{"a length", "POST /v1/auth/signin HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n" + body, 2},
		{"chunked", "POST /v1/auth/signin HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body, 1},
		{"both", "POST /v1/auth/signin HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + body, 1},
		{"a GET", "GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body, 1},
		{"HTTP/1.0", "POST /v1/auth/signin HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 5\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n" + body, 1},
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Write([]byte(test.first + "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(conn) // ends with a reset where something was left unread
		_ = conn.Close()
		if n := strings.Count(string(got), "HTTP/1."); n != test.answers {
			t.Errorf("%s: %d answers, want %d: %s", test.name, n, test.answers, got)
		}
	}
}

// TestBodiesAndConnectionsOverTCP needs a real connection: a body that does not
// arrive, proxies, and a connection that is hijacked.
func TestBodiesAndConnectionsOverTCP(t *testing.T) {
	w := newWorld(t, func(o *httpapi.Options) {
		o.BodyTimeout = 50 * time.Millisecond
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		o.Limits.Address = httpapi.Rate{PerSecond: 0.001, Burst: 5}
		o.Realtime = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, ok := w.(http.Flusher); !ok {
				t.Error("no Flusher")
			}
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
			_ = conn.Close()
		})
	})
	ani := w.signUp("ani")
	srv := httptest.NewUnstartedServer(w.server.Handler())
	srv.Config = httpapi.HTTPServer(w.server.Handler(), discard())
	srv.Start()
	defer srv.Close()
	ask := func(request string) string {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, _ := conn.Read(b)
		return string(b[:n])
	}
	got := ask("POST /v1/groups HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.9\r\nAuthorization: Bearer " + ani.token +
		"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"name\":")
	unread := ask("POST /v1/groups HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.9\r\n" +
		"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"name\":")
	if !strings.Contains(unread, " 401 ") {
		t.Errorf("a body that nobody reads: %s", unread)
	}
	if !strings.Contains(got, " 408 ") || !strings.Contains(got, string(httpapi.CodeTimeout)) {
		t.Errorf("a body that does not arrive: %s", got)
	}
	if got := ask("GET /v1/realtime/ws HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.8\r\n\r\n"); !strings.Contains(got, " 101 ") {
		t.Errorf("a connection that is taken over: %s", got)
	}
	// Five per address, and each address its own.
	for i := range 12 {
		got := ask(fmt.Sprintf("GET /livez HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.%d\r\n\r\n", i%2))
		if limited := strings.Contains(got, " 429 "); limited != (i >= 10) {
			t.Errorf("request %d: %s", i, got)
		}
	}
}
