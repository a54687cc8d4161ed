package realtime

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/httpapi"
)

// pipes is a listener whose connections are pipes: without a buffer, and with
// the time of a bubble of testing/synctest.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// upgradeOfAnn is the request that opens a WebSocket as ann.
const upgradeOfAnn = "GET /v1/realtime/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + someKey + "\r\nSec-WebSocket-Protocol: gotong.v1\r\nAuthorization: Bearer t-ann\r\n\r\n"

// inABubble is a whole node with the times of the protocol, in a bubble where
// they cost nothing. dial opens a WebSocket as ann, up to its welcome.
func inABubble(t *testing.T, f func(w *world, dial func() (net.Conn, *bufio.Reader))) {
	t.Helper()
	onPipes(t, func(w *world, ask func(request string) (net.Conn, *bufio.Reader, *http.Response)) {
		f(w, func() (net.Conn, *bufio.Reader) {
			conn, br, res := ask(upgradeOfAnn)
			if res.StatusCode != http.StatusSwitchingProtocols {
				w.t.Fatal(res)
			}
			_ = res.Body.Close()
			readServerFrame(w.t, br)
			return conn, br
		})
	})
}

// onPipes is the same; ask sends a request over a connection of its own and
// reads the answer up to its body.
func onPipes(t *testing.T, f func(w *world, ask func(request string) (net.Conn, *bufio.Reader, *http.Response))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, ctx, cancel, log := newNode(t, func(s *setting) { s.limits.Cut = 0 }) // time is the bubble's
		over := make(chan error, 3)
		go func() { over <- w.hub.Run(ctx) }()
		go func() { over <- w.server.Run(ctx) }()
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		edge := httpapi.New(httpapi.Options{Auth: w.door, Clock: w.clock, Epoch: w.hub.Epoch(), Log: log, Realtime: w.server})
		srv := httpapi.HTTPServer(edge.Handler(), log)
		go func() { _ = srv.Serve(l); over <- nil }()
		t.Cleanup(func() {
			for _, c := range w.server.all() {
				c.wire.cut()
			}
			_ = srv.Close()
			if err := w.engine.Close(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			for range cap(over) {
				if err := <-over; err != nil {
					t.Error(err)
				}
			}
		})
		f(w, func(request string) (net.Conn, *bufio.Reader, *http.Response) {
			client, server := net.Pipe()
			t.Cleanup(func() { _ = client.Close() })
			l.conns <- server
			if _, err := io.WriteString(client, request); err != nil {
				t.Fatal(err)
			}
			br := bufio.NewReader(client)
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			return client, br, res
		})
	})
}

// A healthy connection stays, and is pinged every 25 s, whatever is done to the
// time of day; one that says nothing is closed after a minute.
func TestStepsCloseNothing(t *testing.T) {
	for name, steps := range clocktest.Steps() {
		t.Run(name, func(t *testing.T) {
			inABubble(t, func(w *world, dial func() (net.Conn, *bufio.Reader)) {
				conn, br := dial()
				last := time.Now()
				step := func(i int) time.Duration { return steps[i%len(steps)] }
				for i := range 2 * len(steps) {
					time.AfterFunc(3*time.Second, func() { w.clock.Step(step(i)) })
					op, _ := readServerFrame(t, br)
					if took := time.Since(last); op != 0x89 || took < 25*time.Second || took > 27*time.Second {
						t.Fatalf("%x after %s, want a ping after 25 s", op, took)
					}
					last = time.Now()
					if _, err := conn.Write(clientFrame(0x8a, nil)); err != nil {
						t.Fatal(err)
					}
				}
				time.AfterFunc(time.Second, func() { w.clock.Step(step(0)) })
				ops := []byte{}
				for len(ops) == 0 || ops[len(ops)-1] != 0x88 {
					op, _ := readServerFrame(t, br)
					ops = append(ops, op)
				}
				if took := time.Since(last); took < time.Minute || took > 62*time.Second {
					t.Errorf("silent for %s, and then %x", took, ops)
				}
				_ = conn.Close()
				w.ended("ws silent")
			})
		})
	}
}

// A write that failed is the last one: a writer that waited behind it, such as
// the library with its close frame, does not wait for the client again.
func TestNothingIsWrittenAfterAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer func() { _ = client.Close() }()
		w := &wire{Conn: server, times: &protocolTimes}
		began := time.Now()
		_, err := w.Write([]byte{0x8a, 0})
		if took := time.Since(began); !errors.Is(err, errStalled) || took < 30*time.Second || took > 36*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		for _, first := range []byte{closeOpcode, 0x8a, 0x81} {
			began = time.Now()
			if _, err = w.Write([]byte{first, 0}); !errors.Is(err, errShut) || time.Since(began) != 0 {
				t.Errorf("%x: %v after %s", first, err, time.Since(began))
			}
		}
	})
}

// A client that sends pings and reads nothing is cut like any other that takes
// no byte.
func TestPingsAndReadsNothing(t *testing.T) {
	w := newWorld(t, timed(func(t *times) { t.stalled, t.pings = 300*time.Millisecond, 1<<30 }))
	w.tap.buffer.Store(4 << 10)
	s := w.rawConnect("ann")
	_ = s.conn.SetReadBuffer(4 << 10)
	pings := bytes.Repeat(clientFrame(0x89, bytes.Repeat([]byte("x"), 120)), 512)
	go func() {
		for {
			if _, err := s.conn.Write(pings); err != nil {
				return
			}
		}
	}()
	w.ended("ws stalled")
}

// Pings and pongs cost no allowance, and are not without bound: 64 in a second
// are answered, and a client that sends more is cut.
func TestTooManyPings(t *testing.T) {
	for name, first := range map[string]byte{"pings": 0x89, "pongs": 0x8a} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.rawConnect("ann")
			for range 64 {
				s.send(clientFrame(first, nil))
			}
			s.send(clientFrame(0x81, []byte(`{"op":"ping","id":"1"}`)))
			pongs := 0
			for op := byte(0); op != 0x81; {
				if op, _ = readServerFrame(t, s.br); op == 0x8a {
					pongs++
				}
			}
			if first == 0x89 && pongs != 64 {
				t.Errorf("%d pongs", pongs)
			}
			for range 128 { // of which some may be of the next second
				s.send(clientFrame(first, nil))
			}
			s.closed(4429)
			w.ended("ws rate_limited")
		})
	}
}

// The first ping of the server, and the first of the client, cost a connection
// neither stack nor buffers that stay.
func BenchmarkFirstPings(b *testing.B) {
	w := newWorld(b)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would shrink stacks
	var before, after runtime.MemStats
	var sockets []*rawSocket
	for b.Loop() {
		sockets = append(sockets, w.rawConnect(fmt.Sprint("u", len(sockets))))
	}
	w.until("all are open", func() bool { return w.hub.Stats().Sessions == len(sockets) })
	runtime.ReadMemStats(&before)
	for _, c := range w.server.all() {
		c.ping()
	}
	for _, s := range sockets {
		readServerFrame(b, s.br)
		s.send(clientFrame(0x8a, nil), clientFrame(0x89, []byte("and back")))
		readServerFrame(b, s.br)
	}
	runtime.ReadMemStats(&after)
	n := float64(len(sockets))
	b.ReportMetric((float64(after.StackInuse)-float64(before.StackInuse))/n, "stackB/conn")
	b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/n, "heapB/conn")
}
