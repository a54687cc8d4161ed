package surreal

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/fxamacker/cbor/v2"
)

// fake is a server that answers logins as told, and hands queries to the test.
type fake struct {
	*httptest.Server
	query func(p *peer, r asked)
	login func() (token string, refused bool)
	seen  chan string // methods, in order

	mu    sync.Mutex
	peers []*peer
	raw   map[string]net.Conn // by the client's address
}

// peer is the server's end of one socket.
type peer struct {
	ws  *websocket.Conn
	tcp *net.TCPConn
}

type asked struct {
	ID     uint64            `cbor:"id"`
	Method string            `cbor:"method"`
	Params []cbor.RawMessage `cbor:"params"`
}

func newFake(t *testing.T, query func(p *peer, r asked)) *fake {
	t.Helper()
	f := &fake{
		query: query,
		login: func() (string, bool) { return "token", false },
		seen:  make(chan string, 1000),
		raw:   map[string]net.Conn{},
	}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	f.Config.ConnState = func(c net.Conn, state http.ConnState) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if state == http.StateNew {
			f.raw[c.RemoteAddr().String()] = c
		}
	}
	f.Start()
	t.Cleanup(func() {
		f.each(func(p *peer) { _ = p.tcp.Close() })
		f.Close()
	})
	return f
}

func (f *fake) each(do func(p *peer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.peers {
		do(p)
	}
	f.peers = nil
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"cbor"}})
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(1 << 26)
	f.mu.Lock()
	p := &peer{ws: ws, tcp: f.raw[r.RemoteAddr].(*net.TCPConn)}
	f.peers = append(f.peers, p)
	f.mu.Unlock()
	for {
		_, data, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		var req asked
		if err := cbor.Unmarshal(data, &req); err != nil {
			return
		}
		f.seen <- req.Method
		f.answer(p, req)
	}
}

func (f *fake) answer(p *peer, r asked) {
	switch r.Method {
	case "version":
		p.result(r.ID, "surrealdb-3.0.2")
	case "signin":
		token, refused := f.login()
		if refused {
			p.send(map[string]any{"id": r.ID, "error": map[string]any{"code": -32002, "message": "There was a problem with authentication"}})
			return
		}
		p.result(r.ID, token)
	case "query":
		f.query(p, r)
	default:
		p.result(r.ID, None{})
	}
}

func (p *peer) send(frame any) {
	data, err := encoding.Marshal(frame)
	if err != nil {
		panic(err)
	}
	_ = p.ws.Write(context.Background(), websocket.MessageBinary, data) // the client may be gone
}

func (p *peer) result(id uint64, result any) { p.send(map[string]any{"id": id, "result": result}) }

// ok answers a query of one statement with its first variable, or NONE.
func (p *peer) ok(r asked) {
	var vars map[string]any
	if err := cbor.Unmarshal(r.Params[1], &vars); err != nil {
		panic(err)
	}
	p.result(r.ID, []any{map[string]any{"status": "OK", "time": "1µs", "result": vars["v"]}})
}

// reset ends the connection with RST, finish with FIN.
func (p *peer) reset() {
	_ = p.tcp.SetLinger(0)
	_ = p.tcp.Close()
}

func (p *peer) finish() { _ = p.tcp.CloseWrite() }

func (f *fake) config() Config {
	cfg := Config{Address: strings.TrimPrefix(f.URL, "http://"), Namespace: "n", Database: "d"}
	cfg.Login = cfg.AsUser(LevelRoot, "root", "secret")
	return cfg
}

// open returns a client with short pauses. No test waits for long: the client must
// notice a fault before any deadline.
func (f *fake) open(t *testing.T, opts Options) *Client {
	t.Helper()
	if opts.Sockets == 0 {
		opts.Sockets = 1
	}
	if opts.Backoff == 0 {
		opts.Backoff = time.Millisecond
		opts.MaxBackoff = 10 * time.Millisecond
	}
	c, err := Open(t.Context(), f.config(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// echo asks the server for v.
func echo(ctx context.Context, c *Client, v int) (int, error) {
	var got int
	err := c.Select(ctx, "RETURN $v", Vars{"v": v}, &got)
	return got, err
}
