package httpapi_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"gotong.dev/gotong/internal/httpapi"
)

// raw is a client that speaks bytes.
type raw struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

// serve has the world listen, for clients that speak bytes.
func (w *world) serve() (dial func() *raw) {
	srv := httptest.NewUnstartedServer(nil)
	srv.Listener = w.server.Listener(srv.Listener)
	srv.Config = httpapi.HTTPServer(w.server.Handler(), discard())
	srv.Start()
	w.t.Cleanup(srv.Close)
	return func() *raw {
		conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", srv.Listener.Addr().String())
		if errors.Is(err, syscall.ECONNRESET) { // refused that soon
			conn, _ = net.Pipe()
			_ = conn.Close()
		} else if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = conn.Close() })
		return &raw{w.t, conn, bufio.NewReader(conn)}
	}
}

// ask sends a request and returns the status line; empty where the connection
// was refused.
func (r *raw) ask(request string, headers ...string) string {
	r.t.Helper()
	_, err := io.WriteString(r, request+" HTTP/1.1\r\nHost: x\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n")
	if err != nil {
		return ""
	}
	status, err := r.in.ReadString('\n')
	if err != nil {
		return ""
	}
	length := 0
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			r.t.Fatal(err)
		}
		if strings.TrimSpace(line) == "" {
			break
		}
		_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
	}
	_, _ = io.CopyN(io.Discard, r.in, int64(length))
	return strings.TrimSpace(status)
}

// One address has so many connections that have not authenticated; those that
// have do not count, and one that ends makes room.
func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	var refused atomic.Int32
	w := newWorld(t, func(o *httpapi.Options) {
		o.Conns = httpapi.ConnLimits{PerAddress: 3, Refused: func() { refused.Add(1) }}
	})
	token := "Authorization: Bearer " + w.signUp("ani").token
	dial := w.serve()
	var open []*raw
	for range 3 {
		c := dial()
		if got := c.ask("GET /livez"); !strings.Contains(got, " 200 ") {
			t.Fatalf("one of three: %q", got)
		}
		open = append(open, c)
	}
	if got := dial().ask("GET /livez"); got != "" || refused.Load() != 1 {
		t.Fatalf("the fourth: %q, %d refused", got, refused.Load())
	}
	if got := open[0].ask("GET /v1/auth/me", "Authorization: Bearer nonsense"); !strings.Contains(got, " 401 ") {
		t.Fatal(got)
	}
	if got := dial().ask("GET /livez"); got != "" {
		t.Fatalf("a wrong token makes room: %q", got)
	}
	if got := open[0].ask("GET /v1/auth/me", token); !strings.Contains(got, " 200 ") {
		t.Fatal(got)
	}
	if got := dial().ask("GET /livez"); !strings.Contains(got, " 200 ") {
		t.Fatalf("where one has authenticated: %q", got)
	}
	if got := dial().ask("GET /livez"); got != "" {
		t.Fatalf("the fourth again: %q", got)
	}
	_ = open[1].Close()
	for got := ""; got == ""; { // once the server has seen it
		got = dial().ask("GET /livez")
	}
}

// Of the connections that authenticated and now wait, one address keeps so many;
// the others are closed after their answer, and new ones are not refused.
func TestIdleConnectionsBeyondTheBoundAreClosed(t *testing.T) {
	w := newWorld(t, func(o *httpapi.Options) { o.Conns = httpapi.ConnLimits{PerAddress: 3} })
	token := "Authorization: Bearer " + w.signUp("ani").token
	dial := w.serve()
	type end struct {
		of  *raw
		err error // nil: it goes on
	}
	ends, open := make(chan end, 9), map[*raw]bool{}
	for i := range 9 {
		c := dial()
		if got := c.ask("GET /v1/auth/me", token); !strings.Contains(got, " 200 ") {
			t.Fatalf("connection %d: %q", i, got)
		}
		open[c] = true
		go func() {
			_, err := c.in.ReadByte()
			ends <- end{c, err}
		}()
	}
	for range 6 { // whichever become idle last
		e := <-ends
		if !errors.Is(e.err, io.EOF) && !errors.Is(e.err, syscall.ECONNRESET) {
			t.Errorf("a connection beyond the bound: %v", e.err)
		}
		delete(open, e.of)
	}
	for c := range open {
		_, _ = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		if e := <-ends; e.of != c || e.err != nil {
			t.Errorf("one that waited: %v", e.err)
		}
	}
}

func TestConnectionsOfAllAddressesAreBounded(t *testing.T) {
	w := newWorld(t, func(o *httpapi.Options) { o.Conns = httpapi.ConnLimits{PerAddress: 9, Total: 2} })
	dial := w.serve()
	for _, want := range []bool{true, true, false} {
		if got := dial().ask("GET /livez"); (got != "") != want {
			t.Errorf("got %q, want an answer: %v", got, want)
		}
	}
}

// A request beyond the user's allowance does not count for the user. Otherwise one
// account could hold any number of connections.
func TestConnectionsBeyondAllowance(t *testing.T) {
	w := newWorld(t, func(o *httpapi.Options) {
		o.Conns = httpapi.ConnLimits{PerAddress: 2}
		o.Limits.User = httpapi.Rate{PerSecond: 0.001, Burst: 1}
	})
	token := "Authorization: Bearer " + w.signUp("ani").token
	dial := w.serve()
	for _, want := range []string{" 200 ", " 429 ", " 429 ", ""} {
		if got := dial().ask("GET /v1/auth/me", token); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// Behind a trusted proxy, connections are the proxy's and do not count: the
// open requests do, each for its client, unless they authenticate.
func TestConnectionsBehindAProxyCountForTheirClient(t *testing.T) {
	w := newWorld(t, func(o *httpapi.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		o.Conns = httpapi.ConnLimits{PerAddress: 2}
	})
	token := "Authorization: Bearer " + w.signUp("ani").token
	dial := w.serve()
	for range 9 {
		if got := dial().ask("GET /livez"); !strings.Contains(got, " 200 ") {
			t.Fatalf("a connection of the proxy: %q", got)
		}
	}
	// The server asks for the body once it has counted the request.
	held := func(from string) (*raw, string) {
		c := dial()
		status := c.ask("POST /v1/auth/signin", "X-Forwarded-For: "+from, "Expect: 100-continue",
			"Content-Type: application/json", "Content-Length: 100")
		return c, status
	}
	first, got := held("192.0.2.1")
	if !strings.Contains(got, " 100 ") {
		t.Fatal(got)
	}
	for _, test := range []struct{ from, want string }{
		{"192.0.2.1", " 100 "}, {"192.0.2.1", " 429 "}, {"192.0.2.2", " 100 "},
		{"2001:db8::1", " 100 "}, {"2001:db8::2", " 100 "}, {"2001:db8::3", " 429 "}, {"2001:db8:0:1::1", " 100 "},
	} {
		if _, got := held(test.from); !strings.Contains(got, test.want) {
			t.Errorf("a request from %s: %q, want %s", test.from, got, test.want)
		}
	}
	if got := dial().ask("GET /v1/auth/me", "X-Forwarded-For: 192.0.2.1", token); !strings.Contains(got, " 200 ") {
		t.Errorf("one that authenticates: %q", got)
	}
	_ = first.Close()
	for got := ""; !strings.Contains(got, " 100 "); { // once the server has seen it
		_, got = held("192.0.2.1")
	}
}

// A request that is cut off gives its place back, and is logged, like
// any other.
func TestARequestThatIsCutOffFreesItsPlace(t *testing.T) {
	w := newWorld(t, func(o *httpapi.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		o.Conns = httpapi.ConnLimits{PerAddress: 1}
		o.Mounts = map[string]http.Handler{"GET /cut": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			panic("a fault in the middle of an answer")
		})}
	})
	dial := w.serve()
	if got := dial().ask("GET /cut", "X-Forwarded-For: 192.0.2.1"); got != "" {
		t.Fatalf("got %q", got)
	}
	if !strings.Contains(w.log.String(), `"route":"GET /cut","status":202`) {
		t.Error("the request was not logged")
	}
	got := dial().ask("POST /v1/auth/signin", "X-Forwarded-For: 192.0.2.1", "Content-Type: application/json", "Content-Length: 0")
	if strings.Contains(got, " 429 ") {
		t.Errorf("its place is taken: %q", got)
	}
}

// The headers of a request may have 16 KiB, a token 8 KiB. A header that never
// ends is cut at the limit.
func TestHeadersBeyond16KiBAreRejected(t *testing.T) {
	w := newWorld(t)
	dial := w.serve()
	token := "Authorization: Bearer " + strings.Repeat("x", 8<<10)
	if got := dial().ask("GET /v1/auth/me", token, "X-Pad: "+strings.Repeat("x", 7<<10)); !strings.Contains(got, " 401 ") {
		t.Errorf("15 KiB: %q", got)
	}
	c := dial()
	_, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Pad: "+strings.Repeat("x", 16<<10))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := c.in.ReadString('\n'); !strings.Contains(got, " 431 ") {
		t.Errorf("16 KiB without an end: %q", got)
	}
}
