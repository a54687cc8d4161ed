package outbound_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"gotong.dev/gotong/internal/outbound"
)

// hostile are URLs that lead to the machine itself, to its network or to something
// that only looks like a public address. TRAP is the port of a listener on the
// loopback addresses.
var hostile = []string{
	"http://127.0.0.1:TRAP/", "https://127.0.0.1:TRAP/", "http://localhost:TRAP/", "https://localhost:TRAP/", "https://LOCALHOST:TRAP/",
	"https://localhost.:TRAP/", "https://LocalHost.localdomain:TRAP/", "https://ip6-localhost:TRAP/", "https://127.1:TRAP/",
	"https://127.0.1:TRAP/", "https://0:TRAP/", "https://0.0.0.0:TRAP/", "https://127.0.0.1.:TRAP/", "https://2130706433:TRAP/",
	"https://0x7f000001:TRAP/", "https://0x7f.0.0.1:TRAP/", "https://0x7f.1:TRAP/", "https://0177.0.0.1:TRAP/",
	"https://017700000001:TRAP/", "https://127.0.0.01:TRAP/", "https://127.000.000.001:TRAP/", "https://127.0x0.0.1:TRAP/",
	"https://[::1]:TRAP/", "https://[::]:TRAP/", "https://[0:0:0:0:0:0:0:1]:TRAP/", "https://[::ffff:127.0.0.1]:TRAP/",
	"https://[::ffff:7f00:1]:TRAP/", "https://[::127.0.0.1]:TRAP/", "https://[64:ff9b::127.0.0.1]:TRAP/",
	"https://[64:ff9b:1::7f00:1]:TRAP/", "https://[2002:7f00:1::]:TRAP/", "https://[2001:0:7f00:1::]:TRAP/", "https://[fe80::1]:TRAP/",
	"https://[fe80::1%25lo]:TRAP/", "https://[fe80::1%lo]:TRAP/", "https://[::1%25lo]:TRAP/", "https://[fc00::1]:TRAP/",
	"https://[fd00:ec2::254]:TRAP/", "https://[ff02::1]:TRAP/", "https://[2001:db8::1]:TRAP/", "https://[fec0::1]:TRAP/",
	"https://::1:TRAP/", "https://[127.0.0.1]:TRAP/", "https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/",
	"https://192.168.0.1/", "https://100.64.0.1/", "https://169.254.169.254/latest/meta-data/", "https://198.18.0.1/",
	"https://192.0.2.1/", "https://224.0.0.1/", "https://255.255.255.255/", "https://240.0.0.1/", "https://192.88.99.1/",
	"https://example.org@127.0.0.1:TRAP/", "https://user:secret@127.0.0.1:TRAP/", "https://127.0.0.1:TRAP@example.org/",
	"https://127.0.0.1:TRAP#@example.org/", "https://example.org#@127.0.0.1:TRAP/", "https://127.0.0.1:TRAP\\@example.org/",
	"https:\\\\127.0.0.1:TRAP/", "https:/127.0.0.1:TRAP/", "https:127.0.0.1:TRAP", "//127.0.0.1:TRAP/", "https:///127.0.0.1:TRAP/",
	"https://①②⑦.⓪.⓪.①:TRAP/", "https://127。0。0。1:TRAP/", "https://ｌocalhost:TRAP/", "https://%31%32%37.0.0.1:TRAP/",
	"https://127.0.0.1%00.example.org:TRAP/", "https://127.0.0.1\t:TRAP/", " https://127.0.0.1:TRAP/", "https://127.0.0.1:TRAP/\r\nX: y",
	"https://127.0.0.1:0/", "https://127.0.0.1:65536/", "https://127.0.0.1:+TRAP/", "https://127.0.0.1:0TRAP/", "https://127.0.0.1:/",
	"https://:TRAP/", "https://-.example.org/", "https://a..b:TRAP/", "https://metadata/",
	"https://private.example:TRAP/", "http://public.example:TRAP/",
	"file:///etc/passwd", "gopher://127.0.0.1:TRAP/", "ftp://127.0.0.1:TRAP/", "HTTPS://127.0.0.1:TRAP/", "unix:///run/x.sock",
}

// TestNoHostileURLConnects sends each URL past the check of its form, as if that had
// been forgotten, and counts the connections.
func TestNoHostileURLConnects(t *testing.T) {
	if len(hostile) < 70 {
		t.Fatalf("%d hostile URLs", len(hostile))
	}
	trap, port := listen(t)
	guard := outbound.New(outbound.Options{Resolver: resolver(t)})
	client := guard.Client()
	for _, raw := range hostile {
		raw = strings.ReplaceAll(raw, "TRAP", port)
		_, err := guard.URL(raw)
		if name := strings.Contains(raw, "://private.") ||
			strings.Contains(strings.ToLower(raw), "localdomain"); err == nil && !name {
			t.Errorf("%q is accepted", raw)
		} else if err != nil && !errors.Is(err, outbound.ErrRefused) {
			t.Errorf("%q: %v has another cause", raw, err)
		}
		get(t, client, raw)
	}
	if n := trap.Load(); n != 0 {
		t.Errorf("%d connections to the trap", n)
	}
}

// TestRebinding: what a name resolved to before says nothing about the connection.
func TestRebinding(t *testing.T) {
	trap, port := listen(t)
	names := resolver(t)
	guard := outbound.New(outbound.Options{Resolver: names})
	list, err := names.LookupNetIP(t.Context(), "ip4", "rebind.example")
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := guard.Check(netip.AddrPortFrom(list[0], 443), false); err != nil {
		t.Fatalf("the first answer should be allowed: %v", err)
	}
	get(t, guard.Client(), "https://rebind.example:"+port+"/")
	if n := trap.Load(); n != 0 {
		t.Errorf("%d connections to the trap", n)
	}
}

// TestAllowedNetworks proves that the trap would notice, and what an operator can
// allow.
func TestAllowedNetworks(t *testing.T) {
	trap, port := listen(t)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct {
		name string
		opt  outbound.Options
		url  string
		want int64
	}{
		{"allowed", outbound.Options{Allowed: loopback}, "http://127.0.0.1:TRAP/", 1},
		{"name", outbound.Options{Allowed: loopback, Resolver: resolver(t)}, "http://private.example:TRAP/", 1},
		{"own listener", outbound.Options{Allowed: loopback, OwnPorts: []uint16{number(t, port)}}, "http://127.0.0.1:TRAP/", 0},
		{"plain text elsewhere", outbound.Options{Allowed: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "http://127.0.0.1:TRAP/", 0},
		{"redirect", outbound.Options{Allowed: loopback}, redirecting(t, "http://127.0.0.1:"+port+"/"), 0},
	} {
		before := trap.Load()
		guard := outbound.New(c.opt)
		raw := strings.ReplaceAll(c.url, "TRAP", port)
		get(t, guard.Client(), raw)
		if got := trap.Load() - before; got != c.want {
			t.Errorf("%s: %d connections, want %d", c.name, got, c.want)
		}
	}
}

// TestURL holds what is accepted.
func TestURL(t *testing.T) {
	guard := outbound.New(outbound.Options{})
	for _, raw := range []string{
		"https://example.org", "https://Hooks.Example.org/a/b?c=d&e=%20", "https://example.org:8443/x", "https://xn--bcher-kva.example/",
		"https://93.184.216.34/", "https://[2606:2800:220:1:248:1893:25c8:1946]:443/hook", "https://example.org?x=1",
	} {
		if _, err := guard.URL(raw); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if _, err := guard.URL("https://example.org/" + strings.Repeat("a", outbound.MaxURL)); err == nil {
		t.Error("a URL of any length is accepted")
	}
}

func get(t *testing.T, client *http.Client, raw string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, raw, http.NoBody)
	if err != nil {
		return
	}
	if resp, err := client.Do(r); err == nil {
		_ = resp.Body.Close()
	}
	client.CloseIdleConnections()
}

// listen returns a listener on both loopback addresses with the same port, and
// how many connections it accepted. It is counted before the answer, so a client that
// has an answer was counted.
func listen(t *testing.T) (accepted *atomic.Int64, port string) {
	t.Helper()
	accepted = &atomic.Int64{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Listener = &counting{server.Listener, accepted}
	server.Start()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return accepted, port
}

type counting struct {
	net.Listener
	n *atomic.Int64
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

func redirecting(t *testing.T, to string) string {
	t.Helper()
	server := httptest.NewServer(http.RedirectHandler(to, http.StatusFound))
	t.Cleanup(server.Close)
	return server.URL
}

func number(t *testing.T, port string) uint16 {
	t.Helper()
	return netip.MustParseAddrPort("127.0.0.1:" + port).Port()
}

// resolver returns a resolver whose answers come from the test. For rebind.example the
// first answer is public; all later ones are the loopback address.
func resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		var asked int
		for buf := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(answer(buf[:n], &asked), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func answer(query []byte, asked *int) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}
	m.Additionals = nil
	if q.Type == dnsmessage.TypeA {
		ip := [4]byte{127, 0, 0, 1}
		if strings.HasPrefix(q.Name.String(), "rebind.") {
			if *asked++; *asked == 1 {
				ip = [4]byte{93, 184, 216, 34}
			}
		}
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: ip},
		}}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}
