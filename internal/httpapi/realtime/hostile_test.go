package realtime

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"gotong.dev/gotong/internal/httpapi"
)

// hog is a raw client of a connection on which a write waits.
func (w *world) hog() (*rawSocket, *conn) {
	w.t.Helper()
	s := w.rawConnect("ann")
	c := w.server.all()[0]
	w.until("all is written", func() bool { return c.pumping.Load() == 0 })
	c.wire.mu.Lock()
	w.t.Cleanup(c.wire.mu.Unlock)
	return s, c
}

// A client that breaks the protocol, or leaves, while a write to it waits is
// disconnected in the time for a close frame, however slowly it reads.
func TestCloseFrameDoesNotWaitForASlowClient(t *testing.T) {
	for name, frame := range map[string][]byte{
		"violation": clientFrame(0x83, nil), "close": clientFrame(0x88, []byte{3, 0xe8}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, timed(func(t *times) { t.closing = 20 * time.Millisecond }))
			s, c := w.hog()
			s.send(frame)
			w.until("it ends", func() bool { return c.closing.Load() })
			if _, err := s.br.ReadByte(); err == nil {
				t.Error("a byte came through a locked wire")
			}
		})
	}
}

// What follows one control frame too many is not processed, though it arrived in
// the same piece.
func TestNothingIsReadAfterAFloodOfPings(t *testing.T) {
	w := newWorld(t, timed(func(t *times) { t.lingering = time.Millisecond }))
	c := w.server.newConn(&httpapi.Call{})
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	c.wire.over(here)
	flood := bytes.Repeat(clientFrame(0x8a, nil), w.server.times.pings+100)
	if err := c.take(flood, new(attempt)); !errors.Is(err, errShut) || c.pings != w.server.times.pings+1 {
		t.Errorf("%d were processed, %v", c.pings, err)
	}
}

// A message that is never completed is no sign of life, and neither are the
// control frames in between: what it holds is released after a minute.
func TestUnfinishedMessageIsNoSignOfLife(t *testing.T) {
	w := newWorld(t)
	s := w.rawConnect("ann")
	s.send(clientFrame(0x01, make([]byte, maxFrame/2)))
	for range 7 {
		w.pass(9 * time.Second)
		s.send(clientFrame(0x89, []byte("alive")))
		for op := byte(0); op != 0x8a; {
			op, _ = readServerFrame(t, s.br)
		}
		w.server.sweep()
	}
	s.closed(closeGoingAway)
	w.ended("ws silent")
}

// Frames that wait to be handled are bounded by their bytes too, and the next
// one is read when there is room again.
func TestWaitingFramesAreBoundedByBytes(t *testing.T) {
	c := &conn{server: &Server{}, working: true}
	c.principal.Store(&httpapi.Principal{})
	crowded := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.crowded()
	}
	for range 2 {
		c.push(make([]byte, maxFrame-1))
		if crowded() {
			t.Error("one frame fills the inbox")
		}
		c.push(make([]byte, 1))
		if !crowded() {
			t.Errorf("%d bytes wait, and more are read", c.queued)
		}
		for range 2 {
			c.pull()
		}
	}
}
