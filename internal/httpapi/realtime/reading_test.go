package realtime

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// bothWays runs all tests with connections that the poller watches, and then
// with those that a goroutine each reads.
type bothWays struct{ *testing.M }

func (b bothWays) Run() int {
	code := b.M.Run()
	if portable = true; code == 0 {
		code = b.M.Run()
	}
	return code
}

// portable is set while the tests run the second way.
var portable bool

// An idle connection has no goroutine where the system reports what is to be
// read, whatever came before. It is still read.
func TestIdleConnectionHasNoGoroutine(t *testing.T) {
	if portable || runtime.GOOS != "linux" {
		t.Skip("each connection has a goroutine")
	}
	w := newWorld(t)
	const n = 200
	sockets := make([]*rawSocket, n)
	for i := range sockets {
		sockets[i] = w.rawConnect(fmt.Sprint("user", i))
		sockets[i].send(clientFrame(0x81, ping("1")), clientFrame(0x81, ping("2"))[:9]) // a part of a frame
	}
	for _, s := range sockets {
		readServerFrame(t, s.br)
	}
	w.until("all are idle", func() bool {
		idle := 0
		for _, c := range w.server.all() {
			if c.reading.Load() == 0 {
				idle++
			}
		}
		return idle == n && runtime.NumGoroutine() < n
	})
	for _, s := range sockets {
		s.send(clientFrame(0x81, ping("2"))[9:])
		if _, b := readServerFrame(t, s.br); string(b) != `{"op":"pong","id":"2"}` {
			t.Errorf("got %s", b)
		}
	}
}

// A connection whose descriptor was that of another one before is not touched
// by what was reported of that one.
func TestLateReportIsOfNoConnection(t *testing.T) {
	if portable || runtime.GOOS != "linux" {
		t.Skip("nothing is reported")
	}
	w := newWorld(t)
	s := w.rawConnect("ann")
	c := w.server.all()[0]
	w.until("it is idle", func() bool { return c.reading.Load() == 0 })
	c.hungUp.Store(true)
	c.rouse()
	w.until("it is idle again", func() bool { return c.reading.Load() == 0 && !c.hungUp.Load() })
	s.send(clientFrame(0x81, ping("1")))
	if _, b := readServerFrame(t, s.br); string(b) != `{"op":"pong","id":"1"}` {
		t.Errorf("got %s", b)
	}
}

// The end of the client's stream is noticed if it is reported together with the
// last frame: it is reported once.
func TestLastFrameTogetherWithTheEnd(t *testing.T) {
	if portable || runtime.GOOS != "linux" {
		t.Skip("nothing is reported")
	}
	w := newWorld(t)
	s := w.rawConnect("ann")
	c := w.server.all()[0]
	w.until("it is idle and then busy", func() bool { return c.reading.CompareAndSwap(0, 1) })
	s.send(clientFrame(0x81, ping("1")))
	if err := s.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	w.until("both are reported", c.hungUp.Load)
	w.server.readers.add(c)
	w.ended("ws cut")
}

// A client that leaves its end of a closed connection open keeps nothing open
// here.
func TestClientThatDoesNotClose(t *testing.T) {
	w := newWorld(t, timed(func(t *times) { t.lingering = 20 * time.Millisecond }))
	s := w.rawConnect("ann")
	w.server.EndLogin("s-ann")
	if op, _ := readServerFrame(t, s.br); op != closeOpcode {
		t.Fatalf("got %x", op)
	}
	w.ended("ws unauthorized")
}
