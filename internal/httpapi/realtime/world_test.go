package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/logtest"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(bothWays{m}) }

// patience is how long a test waits for what has to come.
const patience = 60 * time.Second

// affairs is the rules of cases, with a track of short windows.
func affairs() gotong.Kind {
	tracks, err := cases.Load(map[string][]byte{"kilat.yaml": []byte(`
profiles:
  pilih:   {gate: vote, window: 8s, quorum: 30, threshold: 50}
  rembuk:  {gate: consent, window: 8s, vote: pilih}
  sanggah: {gate: challenge, window: 8s, quorum: 30, threshold: 50, challenge: 8s, dispute: 8s}
  cepat:   {gate: fast_track, window: 8s, vote: pilih, ratify: 8s}
tracks:
  kilat:
    stages: [a, b, c]
    edges: [{from: a, to: b, gate: rembuk, fast_track: cepat}, {from: b, to: c, gate: sanggah}]
`)})
	if err != nil {
		panic(err)
	}
	return cases.Rules{Lenders: gotong.Lenders{group.Kind()}, Tracks: tracks}.Kind()
}

func kinds() []gotong.Kind {
	list := []gotong.Kind{thread.Kind(group.Kind()), group.Kind(), affairs(), user.Kind(), webhook.Rules{Lenders: gotong.Lenders{group.Kind()}}.Kind()}
	for i := range list {
		list[i] = gotong.WithErasure(gotong.WithWebhooks(list[i], gotong.AnyIssuer))
	}
	return list
}

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
	polls  atomic.Int64 // that have followed what they asked for
	log    *logtest.Lines
	tap    *tap
	clock  *clocktest.Clock
	closed chan string // why connections ended
	n      atomic.Int64
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
	role := gotong.RoleUser
	if id == "boss" {
		role = gotong.RoleAdmin
	}
	return httpapi.Principal{Principal: auth.Principal{
		UserID: id, Username: id, Role: role, LoginID: "s-" + id, Expires: d.world.now().Add(time.Hour),
	}}
}

func (d *door) revoke(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revoked[token] = true
}

func (d *door) ticket(_ context.Context, text string) (auth.Principal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.tickets[text]
	if !ok {
		return auth.Principal{}, gotong.NewError(gotong.CodeUnauthorized, "The ticket is not valid, or no longer.")
	}
	delete(d.tickets, text)
	return d.principal(id).Principal, nil
}

func (w *world) now() gotong.Instant { return w.clock.Now() }

func (w *world) pass(d time.Duration) { w.clock.Pass(d) }

type setting struct {
	options []func(*Options)
	times   []func(*times)
	limits  live.Limits
}

func newWorld(tb testing.TB, change ...func(*setting)) *world {
	tb.Helper()
	w, ctx, cancel, log := newNode(tb, change...)
	w.serve(ctx, cancel, log)
	return w
}

// newNode is a world without a port; nothing of it runs yet.
func newNode(tb testing.TB, change ...func(*setting)) (*world, context.Context, context.CancelFunc, *slog.Logger) {
	tb.Helper()
	// On a busy machine any write may take longer than the server waits for one
	// before it cuts a connection: only the tests of such cuts have that limit.
	set := setting{limits: live.Limits{Poll: 100 * time.Millisecond, Cut: patience}}
	for _, f := range change {
		f(&set)
	}
	w := &world{
		t: tb, store: memory.New("test", memory.Options{}), codec: store.NewCodec(kinds()), log: &logtest.Lines{},
		tap: &tap{}, closed: make(chan string, 4096), clock: clocktest.Running(),
	}
	tb.Cleanup(func() { _ = w.store.Close() })
	w.source = &source{Store: w.store}
	w.door = &door{world: w, tokens: map[string]httpapi.Principal{}, revoked: map[string]bool{}, tickets: map[string]string{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.engine = engine.New(engine.Options{
		Store: w.store, Codec: w.codec, Clock: w.clock,
		Committed: func(ctx context.Context, rows []store.Event) { w.hub.Offer(ctx, rows) },
	})
	w.hub = live.New(live.Options{
		Store: w.source, Codec: w.codec, Clock: w.clock, Views: view.New(view.Options{Store: w.source, Codec: w.codec}),
		Limits:  set.limits,
		Problem: func(err error, trace string) []byte { b, _ := json.Marshal(httpapi.ProblemOf(err, trace)); return b },
		Names:   names{},
	})
	ctx, cancel := context.WithCancel(context.Background())
	opts := Options{
		Context: ctx, Hub: w.hub, Engine: w.engine, Codec: w.codec, Auth: w.door, Clock: w.clock, Log: log,
		Ticket:  w.door.ticket,
		Creates: map[string]func(actor, requestID string) gotong.Stream{group.Name: group.StreamOf, cases.Name: cases.StreamOf, thread.Name: thread.StreamOf},
		Observe: Observer{
			Opened: func(transport string) {
				if transport == "poll" {
					w.polls.Add(1)
				}
			},
			Closed: func(transport, reason string) { w.closed <- transport + " " + reason },
		},
	}
	for _, f := range set.options {
		f(&opts)
	}
	w.server = New(opts)
	w.server.portable = portable
	for _, f := range set.times {
		f(&w.server.times)
	}
	return w, ctx, cancel, log
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
	edge := httpapi.New(httpapi.Options{Auth: w.door, Clock: w.clock, Epoch: w.hub.Epoch(), Log: log, Realtime: w.server})
	srv := httpapi.HTTPServer(edge.Handler(), log)
	srv.ReadHeaderTimeout = patience // on a busy machine the client may take longer than it may elsewhere
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
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			w.t.Error(err)
		}
		if err := w.engine.Close(context.Background()); err != nil {
			w.t.Error(err)
		}
		cancel()
		if err := <-hubDone; err != nil {
			w.t.Error(err)
		}
		w.server.end()
		w.until("no connection is left", func() bool { ws, streams := w.server.Open(); return ws+streams == 0 })
		if strings.Contains(w.log.String(), "fault of the server") && !strings.Contains(w.t.Name(), "Fault") {
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
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
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

func (w *world) post(as string, s gotong.Stream, text string) gotong.Receipt {
	w.t.Helper()
	return w.do(as, s, thread.CmdPost, thread.Post{Body: text})
}

func (w *world) remove(owner string, s gotong.Stream, id string) gotong.Receipt {
	w.t.Helper()
	return w.do(owner, s, thread.CmdRemove, thread.Remove{UserID: id})
}

// names calls everybody Bu.
type names struct{}

func (names) Known(id string) (string, bool) { return "Bu " + id, true }

func (n names) Names(_ context.Context, ids []string) map[string]string {
	all := map[string]string{}
	for _, id := range ids {
		all[id], _ = n.Known(id)
	}
	return all
}
