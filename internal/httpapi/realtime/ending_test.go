package realtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
)

// gate is an engine that answers when a test lets it.
type gate struct {
	Submitter
	mu   sync.Mutex
	held []func()
	shut bool
}

func (g *gate) Submit(ctx context.Context, cmd gotong.Command, done func(gotong.Receipt, error)) {
	g.Submitter.Submit(ctx, cmd, func(r gotong.Receipt, err error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.shut {
			g.held = append(g.held, func() { done(r, err) })
			return
		}
		go done(r, err)
	})
}

func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.held)
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.held {
		go f()
	}
	g.held, g.shut = nil, false
}

func gated(w *world) *gate {
	g := &gate{Submitter: w.server.opts.Engine, shut: true}
	w.server.opts.Engine = g
	return g
}

func TestDrain(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann")
	s := w.connect("ann")
	s.subscribe(stream, "")
	sse := w.sse("ann", "?cursor="+cursorOf(stream, 1), "")
	sse.want("subscribed")
	before := sse.id(w.post("ann", stream, "before"))
	s.want("events")
	poll := w.polling("ann", "?wait=50s&cursor="+cursorOf(stream, 1))
	if a := <-poll; a.Cursor != before {
		t.Errorf("got cursor %q, want %q", a.Cursor, before)
	}
	poll = w.polling("ann", "?wait=50s&cursor="+before)
	w.until("all follow", func() bool { return w.hub.Stats().Subscriptions == 3 })
	g := gated(w)
	for _, id := range []string{"p1", "p2", "p3"} {
		s.post(id, stream, "in flight")
	}
	w.until("all are in flight", func() bool { return g.waiting() == 3 })
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- w.hub.Drain(ctx)
	}()
	if f := s.skip("events", "going_away"); f.Retry < 0 || f.Retry > 10_000 {
		t.Errorf("got %s", f.raw)
	}
	s.post("p4", stream, "too late") // gets no answer: its outcome is unknown
	g.open()
	for _, id := range []string{"p1", "p2", "p3"} {
		_ = id
		s.want("ack")
	}
	s.closed(1012)
	// The cursors of the other transports stay where they were.
	var last eventFrame
	for f := range sse.frames {
		last = f
	}
	if last.Op != "going_away" || last.id == "" {
		t.Errorf("last on SSE: %q %s", last.id, last.raw)
	}
	a := <-poll
	if a.status != 200 || a.Cursor == "" {
		t.Errorf("poll: %d %q", a.status, a.Cursor)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	w.dial("", bearer("ann")...).closed(1012)
	refused(t, w.get("/v1/realtime/poll?stream="+string(stream), bearer("ann")...), 503, httpapi.CodeUnavailable)
	refused(t, w.get("/v1/realtime/sse?stream="+string(stream), bearer("ann")...), 503, httpapi.CodeUnavailable)
	if w.server.all() != nil {
		w.until("all are gone", func() bool { ws, _ := w.server.Open(); return ws == 0 })
	}
}

// Whoever waits at a restart comes back to where it was, and not to now.
func TestDrainKeepsCursors(t *testing.T) {
	w := newWorld(t)
	stream, other := w.thread("ann"), w.thread("ann")
	at := w.poll("ann", "?wait=0"+streams(stream, other)).Cursor
	poll := w.polling("ann", "?wait=50s&cursor="+at)
	sse := w.sse("ann", "?cursor="+at, "")
	w.until("both follow", func() bool { return w.hub.Stats().Subscriptions == 4 })
	if err := w.hub.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if a := <-poll; len(a.frames) != 1 || a.frames[0].Op != "going_away" || a.Cursor != at {
		t.Errorf("got %v at %q, want %q", a.frames, a.Cursor, at)
	}
	for f := range sse.frames {
		if f.id != at {
			t.Errorf("%s at %q, want %q", f.raw, f.id, at)
		}
	}
}

// skip reads over frames of one op to one of another.
func (s *socket) skip(over, op string) frame {
	s.t.Helper()
	f := s.next()
	for f.Op == over {
		f = s.next()
	}
	if f.Op != op {
		s.t.Fatalf("got %s, want %s", f.raw, op)
	}
	return f
}

// id reads frames up to those of a commit and gives the cursor after it.
func (e *eventSource) id(r gotong.Receipt) string {
	e.t.Helper()
	for {
		f := e.want("events")
		if f.To >= r.Last {
			return f.id
		}
	}
}

// A command that never gets its answer does not hold up a restart for ever.
func TestDrainOverdue(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann")
	s := w.connect("ann")
	g := gated(w)
	s.post("p1", stream, "in flight")
	w.until("it is in flight", func() bool { return g.waiting() == 1 })
	go func() { _ = w.hub.Drain(context.Background()) }()
	s.want("going_away")
	w.server.sweep()
	w.pass(9 * time.Second)
	w.server.sweep()
	if _, err := s.read(); err == nil {
		t.Error("the connection lives on")
	}
	w.ended("ws stalled")
	g.open()
}

// A client that sends without reading is held back. When it is cut in this
// state, nothing remains of it.
func TestConnectionCutWhileHeldBackLeavesNothing(t *testing.T) {
	w := newWorld(t, timed(func(t *times) { t.stalled = 200 * time.Millisecond }))
	w.tap.buffer.Store(4 << 10)
	stream := w.thread("ann")
	for _, how := range []string{"stalled", "cut"} {
		s := w.rawConnect("ann")
		_ = s.conn.SetReadBuffer(4 << 10)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			frame := clientFrame(0x81, []byte(`{"op":"command","id":"1","request_id":"r","stream":"`+string(stream)+`","type":"message.post","data":{"body":"x"}}`))
			many := bytes.Repeat(frame, 100)
			for i := 0; how == "stalled" || i < 100; i++ {
				_ = s.conn.SetWriteDeadline(time.Now().Add(patience))
				if _, err := s.conn.Write(many); err != nil {
					return
				}
			}
		}()
		if how == "cut" {
			w.until("it is held back", func() bool {
				all := w.server.all()
				if len(all) == 0 {
					return false
				}
				all[0].mu.Lock()
				defer all[0].mu.Unlock()
				return all[0].inbox.len() >= maxInbox
			})
			_ = s.conn.SetLinger(0)
			_ = s.conn.Close()
		}
		<-sent
		w.until("it is gone", func() bool { ws, _ := w.server.Open(); return ws == 0 })
		if how == "stalled" {
			w.ended("ws stalled")
		}
	}
	if n := w.hub.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// A reader that stops costs the others nothing, keeps no memory here, is cut
// after its time, and its cursor gets it all.
func TestSlowReader(t *testing.T) {
	// What a node keeps of a stream is its ring and some pages, each up to a
	// bound that is far below what the slow one has yet to read.
	const ring, page, most = 64 << 10, 32 << 10, 1 << 20
	w := newWorld(t, timed(func(t *times) { t.stalled = time.Second }), func(s *setting) {
		s.limits.RingBytes, s.limits.PageBytes = ring, page
	})
	w.tap.buffer.Store(4 << 10)
	stream := w.thread("ann", "bob", "cici")
	slow := w.rawConnect("bob")
	_ = slow.conn.SetReadBuffer(4 << 10)
	slow.send(clientFrame(0x81, []byte(`{"op":"subscribe","stream":"`+string(stream)+`"}`)))
	if _, b := readServerFrame(t, slow.br); !strings.Contains(string(b), `"subscribed"`) {
		t.Fatalf("got %s", b)
	}
	w.tap.buffer.Store(0)
	quick := w.connect("cici")
	quick.subscribe(stream, "")
	text := strings.Repeat("x", 4000)
	const n = 800 // some 3.5 MB
	go func() {
		for i := range n {
			if _, err := w.try("ann", stream, thread.CmdPost, thread.Post{Body: fmt.Sprintf("%d %s", i, text[:3900])}); err != nil {
				t.Error(err)
			}
		}
	}()
	at := uint64(3)
	for at < n+3 {
		f := quick.want("events")
		if f.From != at {
			t.Fatalf("got %d to %d after %d", f.From, f.To, at)
		}
		at = f.To
	}
	w.ended("ws stalled")
	if got := w.hub.Stats().RingBytes; got > most {
		t.Errorf("%d bytes kept", got)
	}
	back := w.connect("bob")
	back.subscribe(stream, "test:3")
	for at = 3; at < n+3; {
		f := back.want("events")
		if f.From != at {
			t.Fatalf("got %d to %d after %d", f.From, f.To, at)
		}
		at = f.To
	}
}

// A client that accepts a few bytes at a time is served, even if it sends
// nothing for longer than the silence.
func TestSlowReadingClientStaysConnected(t *testing.T) {
	client, server := net.Pipe()
	defer func() { _ = client.Close() }()
	w := &wire{Conn: server, times: &times{stalled: 250 * time.Millisecond}}
	wrote := make(chan error, 1)
	go func() {
		_, err := w.Write(make([]byte, 8))
		wrote <- err
	}()
	tick := time.NewTicker(80 * time.Millisecond)
	defer tick.Stop()
	for range 8 {
		<-tick.C
		if _, err := client.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if !w.waited.Load() {
		t.Error("no sign of life")
	}
	if _, err := w.Write(make([]byte, 8)); !errors.Is(err, errStalled) {
		t.Errorf("got %v", err)
	}
}

func TestNothingAfterClose(t *testing.T) {
	client, server := net.Pipe()
	w := &wire{Conn: server, times: &times{stalled: time.Second}}
	go func() { _, _ = io.Copy(io.Discard, client) }()
	if _, err := w.Write([]byte{closeOpcode, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte{0x81, 0}); !errors.Is(err, errShut) {
		t.Errorf("got %v", err)
	}
	w.cut()
	_ = client.Close()
}

// The close frame of a connection whose client takes nothing is not waited for.
func TestCloseOfSlowClient(t *testing.T) {
	w := newWorld(t, timed(func(t *times) { t.closing = 50 * time.Millisecond }))
	w.tap.buffer.Store(4 << 10)
	stream := w.thread("ann", "bob")
	s := w.rawConnect("bob")
	_ = s.conn.SetReadBuffer(4 << 10)
	s.send(clientFrame(0x81, []byte(`{"op":"subscribe","stream":"`+string(stream)+`","cursor":"start"}`)))
	c := w.server.all()[0]
	for w.hub.Stats().Subscriptions == 0 {
		w.until("it follows", func() bool { return w.hub.Stats().Subscriptions == 1 })
	}
	stuck := func() bool {
		if c.wire.mu.TryLock() {
			c.wire.mu.Unlock()
			return false
		}
		return true
	}
	for range 600 {
		w.post("ann", stream, strings.Repeat("x", 3900))
	}
	w.until("the write is stuck", stuck)
	w.server.EndLogin("s-bob")
	w.ended("ws unauthorized")
}
