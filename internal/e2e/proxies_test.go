package e2e_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
)

// proxyHost is a name in the certificate of httptest.
const proxyHost = "example.com:18443"

// proxied is a server behind a proxy with TLS, which has the file of deploy/.
type proxied struct {
	*httptest.Server              // between the two: sees what the proxy sends
	forwarded        chan string  // X-Forwarded-For of the request to /livez
	http             *http.Client // reaches the proxy and trusts its certificate
	dir, address     string       // of the proxy
}

func TestProxies(t *testing.T) {
	for _, c := range []struct {
		program string
		start   func(*testing.T, *proxied) *exec.Cmd
	}{{"nginx", nginx}, {"caddy", caddy}} {
		t.Run(c.program, func(t *testing.T) {
			if _, err := exec.LookPath(c.program); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(c.program, "is missing; dev/install-packages installs it")
				}
				t.Skip("NOT TESTED: deploy/ with", c.program, "which is missing")
			}
			p := behind(t)
			run(t, c.start(t, p))
			p.awaitProxy(t)
			for _, transport := range []client.Transport{client.WebSocket, client.SSE, client.Poll} {
				p.carries(t, transport)
			}
			p.checksOrigins(t)
			p.namesTheClient(t)
		})
	}
}

// behind starts the server, and makes what its proxy needs.
func behind(t *testing.T) *proxied {
	t.Helper()
	n := startNode(t, func(o *app.Options) {
		o.Config.TrustedProxies, o.Config.AllowedOrigins = []string{"127.0.0.0/8"}, []string{"https://page.example:8443"}
	})
	server := must(url.Parse(n.url))(t)
	pid := os.Getpid() // an address of this process alone, so that no port is taken
	p := &proxied{forwarded: make(chan string, 1), dir: t.TempDir(), address: fmt.Sprintf("127.%d.%d.%d:18443", 64+pid>>16&63, pid>>8&255, pid&255)}
	pass := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(server)
		r.Out.Host, r.Out.Header["X-Forwarded-For"] = r.In.Host, r.In.Header["X-Forwarded-For"]
	}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Test") != "" {
			p.forwarded <- r.Header.Get("X-Forwarded-For")
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	pair := secure.TLS.Certificates[0]
	key := must(x509.MarshalPKCS8PrivateKey(pair.PrivateKey))(t)
	p.write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
	p.write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	p.http = secure.Client()
	transport := p.http.Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, p.address)
	}
	p.http.Transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	return p
}

func (p *proxied) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// shipped writes a file of deploy/ with other addresses and paths; each must be in it.
func (p *proxied) shipped(t *testing.T, name, before string, replace ...string) string {
	t.Helper()
	text := string(must(os.ReadFile("../../deploy/" + name))(t))
	replace = append(replace, "127.0.0.1:8080;", p.Listener.Addr().String()+";", "127.0.0.1:8080 {", p.Listener.Addr().String()+" {",
		"/etc/ssl/gotong/fullchain.pem", p.dir+"/cert.pem", "/etc/ssl/gotong/privkey.pem", p.dir+"/key.pem")
	changed := strings.NewReplacer(replace...).Replace(text)
	if strings.Contains(changed, "/etc/ssl") || !strings.Contains(changed, p.Listener.Addr().String()) || strings.Contains(changed, "chat.example") {
		t.Fatalf("%s was not adapted:\n%s", name, changed)
	}
	return p.write(t, name, before+changed)
}

func nginx(t *testing.T, p *proxied) *exec.Cmd {
	t.Helper()
	site := p.shipped(t, "nginx.conf", "", "listen 443 ssl", "listen "+p.address+" ssl", "chat.example", "example.com")
	temp := ""
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s/%s;", name, p.dir, name)
	}
	conf := p.write(t, "main.conf", fmt.Sprintf("daemon off; master_process off; pid %s/pid; error_log stderr;\nevents {}\nhttp { access_log off; %s include %s; }\n", p.dir, temp, site))
	return exec.Command("nginx", "-c", conf, "-e", "stderr")
}

func caddy(t *testing.T, p *proxied) *exec.Cmd {
	t.Helper()
	host, _, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	conf := p.shipped(t, "Caddyfile", "{\n\tadmin off\n\tauto_https off\n}\n", "chat.example:443 {", proxyHost+" {\n\tbind "+host)
	cmd := exec.Command("caddy", "run", "--config", conf, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+p.dir, "XDG_DATA_HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir)
	return cmd
}

// run runs a program until the test ends.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // a Caddy that is asked to end waits for its connections
		_ = cmd.Wait()
	})
}

// get returns the status of the answer.
func (p *proxied) get(t *testing.T, path string, header ...string) (int, error) {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+proxyHost+path, http.NoBody))(t)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.http.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

func (p *proxied) awaitProxy(t *testing.T) {
	t.Helper()
	answers := func() bool { _, err := p.get(t, "/livez"); return err == nil }
	eventually(t, "the proxy answers", answers, func(ok bool) bool { return ok })
}

// carries posts a message to one who follows over the transport.
func (p *proxied) carries(t *testing.T, transport client.Transport) {
	t.Helper()
	c := must(client.New(client.Options{
		BaseURL: "https://" + proxyHost, Token: client.StaticToken(tokenOf("ani")), Transports: []client.Transport{transport},
		HTTPClient: p.http, Backoff: soon,
	}))(t)
	defer c.Close()
	th := must(c.CreateThread(t.Context(), client.NewThread{ScopeID: "rt05", Privacy: "private"}))(t)
	errDone, sent := errors.New("done"), false
	err := c.Follow(t.Context(), map[gotong.Stream]client.From{th.Stream(): client.Start}, func(e client.Event) error {
		if sent && strings.Contains(string(e.Data), "through the proxy") {
			return errDone
		}
		if !sent { // it follows: the next one has to be pushed through the proxy
			sent = true
			if _, err := c.Send(t.Context(), th.ThreadID, client.NewMessage{Body: "through the proxy"}); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Errorf("%s: %v", transport, err)
	}
}

// checksOrigins opens a WebSocket as pages do: of the server, and at another port.
func (p *proxied) checksOrigins(t *testing.T) {
	t.Helper()
	for origin, want := range map[string]int{
		"https://" + proxyHost: http.StatusSwitchingProtocols, "https://page.example:8443": http.StatusSwitchingProtocols,
		"https://example.com:9999": http.StatusForbidden, "https://page.example": http.StatusForbidden,
	} {
		status, err := p.get(t, "/v1/realtime/ws", "Origin", origin, "Authorization", "Bearer "+tokenOf("ani"), "Connection", "Upgrade",
			"Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Protocol", "gotong.v1", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		if err != nil || status != want {
			t.Errorf("a page of %s: %d, %v; want %d", origin, status, err, want)
		}
	}
}

// namesTheClient sends an invented address: the last one has to be the client's.
func (p *proxied) namesTheClient(t *testing.T) {
	t.Helper()
	if _, err := p.get(t, "/livez", "X-Forwarded-For", "9.9.9.9", "X-Test", "1"); err != nil {
		t.Fatal(err)
	}
	list := <-p.forwarded
	last := strings.TrimSpace(list[strings.LastIndex(list, ",")+1:])
	if ip := net.ParseIP(last); ip == nil || !ip.IsLoopback() {
		t.Errorf("X-Forwarded-For is %q", list)
	}
}
