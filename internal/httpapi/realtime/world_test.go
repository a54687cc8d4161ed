package realtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

func kinds() []gotong.Kind { return []gotong.Kind{thread.Kind(), group.Kind(), user.Kind()} }

// world is a node with its sockets on a port of its own.
type world struct {
	t      testing.TB
	store  *memory.Store
	source *source
	codec  *store.Codec
	engine *engine.Engine
	hub    *live.Hub
	server *Server
	door   *door
	addr   string
	log    *lockedBuffer
	tap    *tap
	moved  atomic.Int64 // how far the clock is ahead
	closed chan string  // why connections ended
	n      atomic.Int64
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// source is the store as the hub sees it; a test may come between.
type source struct {
	*memory.Store
	load atomic.Pointer[func(*store.Snapshot)]
}

func (s *source) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := s.Store.Load(ctx, need)
	if f := s.load.Load(); f != nil && err == nil {
		(*f)(&snap)
	}
	return snap, err
}

// door knows the token "t-ann" of every ann.
type door struct {
	world   *world
	mu      sync.Mutex
	tokens  map[string]httpapi.Principal // other than those
	revoked map[string]bool
	tickets map[string]string // to user
	asked   atomic.Int64
}

func (d *door) Authenticate(_ context.Context, token string) (httpapi.Principal, error) {
	d.asked.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.tokens[token]; ok && !d.revoked[token] {
		p.Token = token
		return p, nil
	}
	id, ok := strings.CutPrefix(token, "t-")
	if !ok || d.revoked[token] {
		return httpapi.Principal{}, gotong.NewError(gotong.CodeUnauthorized, "The token is not valid, or no longer.")
	}
	p := d.principal(id)
	p.Token = token
	return p, nil
}

func (d *door) principal(id string) httpapi.Principal {
	return httpapi.Principal{
		UserID: id, Name: id, Role: gotong.RoleUser, SessionID: "s-" + id,
		Expires: d.world.now().Add(time.Hour).Time(),
	}
}

func (d *door) revoke(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revoked[token] = true
}

func (d *door) ticket(_ context.Context, text string) (httpapi.Principal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.tickets[text]
	if !ok {
		return httpapi.Principal{}, gotong.NewError(gotong.CodeUnauthorized, "The ticket is not valid, or no longer.")
	}
	delete(d.tickets, text)
	return d.principal(id), nil
}

func (w *world) now() gotong.Instant {
	return gotong.InstantOf(time.Now()) + gotong.Instant(w.moved.Load())
}

func (w *world) pass(d time.Duration) { w.moved.Add(d.Microseconds()) }

type setting struct {
	options []func(*Options)
	times   []func(*times)
	limits  live.Limits
}

func newWorld(t testing.TB, change ...func(*setting)) *world {
	t.Helper()
	set := setting{limits: live.Limits{Poll: 100 * time.Millisecond}}
	for _, f := range change {
		f(&set)
	}
	w := &world{
		t: t, store: memory.New("test", memory.Options{}), codec: store.NewCodec(kinds()), log: &lockedBuffer{},
		tap: &tap{}, closed: make(chan string, 4096),
	}
	w.source = &source{Store: w.store}
	w.door = &door{world: w, tokens: map[string]httpapi.Principal{}, revoked: map[string]bool{}, tickets: map[string]string{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.engine = engine.New(engine.Options{
		Store: w.store, Codec: w.codec, Now: w.now,
		Committed: func(ctx context.Context, rows []store.Event) { w.hub.Offer(ctx, rows) },
	})
	w.hub = live.New(live.Options{
		Store: w.source, Codec: w.codec, Now: w.now, Limits: set.limits,
		Problem: func(err error) []byte { b, _ := json.Marshal(httpapi.ProblemOf(err, "")); return b },
		Names: func(_ context.Context, ids []string) map[string]string {
			names := map[string]string{}
			for _, id := range ids {
				names[id] = "Bu " + id
			}
			return names
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	opts := Options{
		Context: ctx, Hub: w.hub, Engine: w.engine, Codec: w.codec, Auth: w.door, Now: w.now, Log: log,
		Ticket:  w.door.ticket,
		Creates: map[string]func(actor, requestID string) gotong.Stream{group.Name: group.StreamOf, thread.Name: thread.StreamOf},
		Observe: Observer{Closed: func(transport, reason string) { w.closed <- transport + " " + reason }},
	}
	for _, f := range set.options {
		f(&opts)
	}
	w.server = New(opts)
	for _, f := range set.times {
		f(&w.server.times)
	}
	w.serve(ctx, cancel, log)
	return w
}

func (w *world) serve(ctx context.Context, cancel context.CancelFunc, log *slog.Logger) {
	w.t.Helper()
	hubDone := make(chan error, 1)
	go func() { hubDone <- w.hub.Run(ctx) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = listener.Addr().String()
	edge := httpapi.New(httpapi.Options{Auth: w.door, Now: w.now, Log: log, Realtime: w.server})
	srv := httpapi.HTTPServer(edge.Handler(), log)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(tapping{listener, w.tap}) }()
	w.t.Cleanup(func() {
		late, done := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer done()
		_ = w.hub.Drain(late) // those who do not leave are cut
		for _, c := range w.server.all() {
			c.wire.cut()
		}
		_ = srv.Close()
		<-served
		if err := w.engine.Close(context.Background()); err != nil {
			w.t.Error(err)
		}
		cancel()
		if err := <-hubDone; err != nil {
			w.t.Error(err)
		}
		w.until("no connection is left", func() bool { ws, streams := w.server.Open(); return ws+streams == 0 })
		if strings.Contains(w.log.String(), "fault of ours") && !strings.Contains(w.t.Name(), "Fault") {
			w.t.Errorf("faults in the log: %s", w.log)
		}
	})
}

// until waits for a condition that becomes true by itself.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late.C:
			w.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// ended waits for a connection to end and wants this reason.
func (w *world) ended(want string) {
	w.t.Helper()
	select {
	case got := <-w.closed:
		if got != want {
			w.t.Errorf("ended with %q, want %q", got, want)
		}
	case <-time.After(patience):
		w.t.Fatalf("no connection ended; want %q", want)
	}
}

// tap counts what the server writes to its sockets.
type tap struct {
	writes, bytes atomic.Int64
	buffer        atomic.Int64 // bytes of the kernel's send buffer; 0 leaves it
}

type tapping struct {
	net.Listener
	tap *tap
}

func (l tapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	if n := l.tap.buffer.Load(); n > 0 {
		if err := tcp.SetWriteBuffer(int(n)); err != nil {
			return nil, err
		}
	}
	return &tapped{tcp, l.tap}, nil
}

type tapped struct {
	*net.TCPConn
	tap *tap
}

func (c *tapped) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.tap.writes.Add(1)
	c.tap.bytes.Add(int64(n))
	return n, err
}

// do runs a command as a user, past the transports.
func (w *world) do(as string, stream gotong.Stream, typ string, data any) gotong.Receipt {
	w.t.Helper()
	r, err := w.try(as, stream, typ, data)
	if err != nil {
		w.t.Fatalf("%s by %s: %v", typ, as, err)
	}
	return r
}

func (w *world) try(as string, stream gotong.Stream, typ string, data any) (gotong.Receipt, error) {
	return w.engine.Execute(context.Background(), gotong.Command{
		Stream: stream, Type: typ, Data: data, Actor: gotong.Actor{UserID: as, Role: gotong.RoleUser},
		RequestID: fmt.Sprint("r", w.n.Add(1)), CorrelationID: "c1",
	})
}

// thread is a private thread of its owner and others.
func (w *world) thread(owner string, others ...string) gotong.Stream {
	w.t.Helper()
	s := thread.StreamOf(owner, fmt.Sprint("t", w.n.Add(1)))
	w.do(owner, s, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Private})
	for _, id := range others {
		w.do(owner, s, thread.CmdAdd, thread.Add{UserID: id})
	}
	return s
}

func (w *world) say(as string, s gotong.Stream, text string) gotong.Receipt {
	w.t.Helper()
	return w.do(as, s, thread.CmdPost, thread.Post{Body: text})
}

func (w *world) remove(owner string, s gotong.Stream, id string) gotong.Receipt {
	w.t.Helper()
	return w.do(owner, s, thread.CmdRemove, thread.Remove{UserID: id})
}

// frame is any frame of the server.
type frame struct {
	Op        string          `json:"op"`
	ID        string          `json:"id"`
	Stream    gotong.Stream   `json:"stream"`
	Cursor    string          `json:"cursor"`
	Session   string          `json:"session"`
	Epoch     string          `json:"epoch"`
	Heartbeat int64           `json:"heartbeat_ms"`
	Head      uint64          `json:"head"`
	From      uint64          `json:"from"`
	To        uint64          `json:"to"`
	Events    []event         `json:"events"`
	Receipt   receipt         `json:"receipt"`
	Problem   problemView     `json:"problem"`
	Reason    string          `json:"reason"`
	Retry     int64           `json:"retry_after_ms"`
	Type      string          `json:"type"`
	Actor     map[string]any  `json:"actor"`
	Data      json.RawMessage `json:"data"`
	raw       string
}

type event struct {
	Seq  uint64 `json:"seq"`
	Type string `json:"type"`
	Data struct {
		Body string `json:"body"`
	} `json:"data"`
}

type receipt struct {
	Stream   gotong.Stream `json:"stream"`
	Seq      []uint64      `json:"seq"`
	EventIDs []string      `json:"event_ids"`
	Replayed bool          `json:"replayed"`
}

type problemView struct {
	Code   gotong.Code         `json:"code"`
	Status int                 `json:"status"`
	Detail string              `json:"detail"`
	Retry  int64               `json:"retry_after_ms"`
	Errors []gotong.FieldError `json:"errors"`
}

func parseFrame(t testing.TB, b []byte) frame {
	t.Helper()
	theContract().check(t, fromServer, b)
	f := frame{raw: string(b)}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return f
}

// socket is a client's end of a WebSocket.
type socket struct {
	t  testing.TB
	ws *websocket.Conn
	n  int
}

// dial opens a WebSocket without a word about who it is.
func (w *world) dial(query string, headers ...string) *socket {
	w.t.Helper()
	s, res, err := w.tryDial(query, headers...)
	if err != nil {
		w.t.Fatal(err, res)
	}
	return s
}

func (w *world) tryDial(query string, headers ...string) (*socket, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	ws, res, err := websocket.Dial(ctx, "ws://"+w.addr+"/v1/realtime/ws"+query, &websocket.DialOptions{
		HTTPHeader: h, Subprotocols: []string{subprotocol}, HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
	if err != nil {
		return nil, res, err
	}
	ws.SetReadLimit(16 << 20)
	w.t.Cleanup(func() { _ = ws.CloseNow() })
	return &socket{t: w.t, ws: ws}, res, nil
}

// connect opens a WebSocket as a user and takes the welcome.
func (w *world) connect(id string) *socket {
	w.t.Helper()
	s := w.dial("", "Authorization", "Bearer t-"+id)
	s.want("welcome")
	return s
}

// raw sends a text as it is.
func (s *socket) raw(text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		s.t.Fatalf("write: %v", err)
	}
}

// send sends a frame that keeps the contract.
func (s *socket) send(fields ...any) {
	s.t.Helper()
	m := map[string]any{}
	for i := 0; i < len(fields); i += 2 {
		m[fields[i].(string)] = fields[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	theContract().check(s.t, fromClient, b)
	s.raw(string(b))
}

func (s *socket) read() (frame, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, b, err := s.ws.Read(ctx)
	if err != nil {
		return frame{}, err
	}
	if kind != websocket.MessageText {
		s.t.Errorf("a frame of type %v", kind)
	}
	return parseFrame(s.t, b), nil
}

func (s *socket) next() frame {
	s.t.Helper()
	for {
		f, err := s.read()
		if err != nil {
			s.t.Fatalf("read: %v", err)
		}
		if !f.presence() {
			return f
		}
	}
}

// presence tells of who follows, which few tests are about: it comes when it
// comes.
func (f frame) presence() bool { return f.Op == "signal" && f.Type == "presence" }

// want reads the next frame, which must have this op.
func (s *socket) want(op string) frame {
	s.t.Helper()
	f := s.next()
	if f.Op != op {
		s.t.Fatalf("got %s, want %s", f.raw, op)
	}
	return f
}

// problem reads an error frame that answers id.
func (s *socket) problem(id string, code gotong.Code) frame {
	s.t.Helper()
	f := s.want("error")
	if f.ID != id || f.Problem.Code != code || f.Problem.Status != httpapi.EntryOf(code).Status {
		s.t.Fatalf("got %s, want id %q and code %s", f.raw, id, code)
	}
	return f
}

// closed reads until the server closes, and wants this code.
func (s *socket) closed(code int) websocket.CloseError {
	s.t.Helper()
	for {
		f, err := s.read()
		if err == nil {
			if f.Op == "events" {
				s.t.Errorf("events before the end: %s", f.raw)
			}
			continue
		}
		var end websocket.CloseError
		if got := websocket.CloseStatus(err); int(got) != code {
			s.t.Fatalf("closed with %v (%v), want %d", got, err, code)
		}
		errors.As(err, &end)
		return end
	}
}

func (s *socket) subscribe(stream gotong.Stream, cursor string) frame {
	s.t.Helper()
	s.n++
	id := fmt.Sprint("sub", s.n)
	if cursor == "" {
		s.send("op", "subscribe", "id", id, "stream", stream)
	} else {
		s.send("op", "subscribe", "id", id, "stream", stream, "cursor", cursor)
	}
	f := s.want("subscribed")
	if f.ID != id || f.Stream != stream {
		s.t.Errorf("got %s", f.raw)
	}
	return f
}

func (s *socket) command(id string, stream gotong.Stream, typ string, data any) {
	s.t.Helper()
	s.send("op", "command", "id", id, "request_id", id, "stream", stream, "type", typ, "data", data)
}

func (s *socket) post(id string, stream gotong.Stream, text string) {
	s.t.Helper()
	s.command(id, stream, thread.CmdPost, map[string]any{"body": text})
}

// bodies reads events frames until one says the last text, and gives all texts.
func (s *socket) bodies(last string) []string {
	s.t.Helper()
	var got []string
	for !slices.Contains(got, last) {
		f := s.next()
		for _, e := range f.Events {
			if e.Type == thread.EvPosted {
				got = append(got, e.Data.Body)
			}
		}
	}
	return got
}

// get asks over plain HTTP.
func (w *world) get(path string, headers ...string) *http.Response {
	w.t.Helper()
	return w.request(http.MethodGet, path, headers...)
}

var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (w *world) request(method, path string, headers ...string) *http.Response {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, "http://"+w.addr+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := plain.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// refused reads a problem.
func refused(t testing.TB, res *http.Response, status int, code gotong.Code) problemView {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p problemView
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	if res.StatusCode != status || p.Code != code || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s %s, want %d %s", res.StatusCode, res.Header.Get("Content-Type"), b, status, code)
	}
	return p
}
