package realtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
)

func TestSignals(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann", "bob", "cici", "dedi")
	ann, bob, cici, dedi := w.connect("ann"), w.connect("bob"), w.connect("cici"), w.connect("dedi")
	ann2 := w.connect("ann")
	for _, s := range []*socket{ann, ann2, bob, cici} {
		s.subscribe(stream, "")
	}
	dedi.send("op", "signal", "id", "x", "stream", stream, "type", "typing")
	dedi.problem("x", gotong.CodeNotFound)
	ann.send("op", "signal", "id", "x", "stream", stream, "type", "typing")
	for _, s := range []*socket{bob, cici} {
		if f := s.want("signal"); f.Type != "typing" || f.Stream != stream || f.Actor["user_id"] != "ann" {
			t.Errorf("got %s", f.raw)
		}
	}
	ann.raw(`{"op":"signal","id":"y","stream":"` + string(stream) + `","type":"dancing"}`)
	ann.problem("y", gotong.CodeInvalid)
	for _, s := range []*socket{ann, ann2, dedi} {
		s.send("op", "ping")
		s.want("pong")
	}
	// A removed user neither sends nor receives any.
	w.remove("ann", stream, "bob")
	bob.want("access_revoked")
	bob.send("op", "signal", "id", "z", "stream", stream, "type", "typing")
	bob.problem("z", gotong.CodeNotFound)
	cici.want("events")
	ann.send("op", "signal", "stream", stream, "type", "typing")
	cici.want("signal")
	bob.send("op", "ping")
	bob.want("pong")
}

// The server drops the typing signals of a muted member until the mute ends.
func TestMutedDoNotType(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann", "bob")
	ann, bob := w.connect("ann"), w.connect("bob")
	ann.subscribe(stream, "")
	bob.subscribe(stream, "")
	typing := func() { bob.send("op", "signal", "id", "t", "stream", stream, "type", "typing") }
	mute := func(until gotong.Instant) {
		w.do("ann", stream, thread.CmdMute, thread.Mute{UserID: "bob", UntilMS: until.Milli()})
	}
	mute(w.now().Add(time.Hour))
	ann.want("events")
	bob.want("events")
	typing()
	bob.problem("t", gotong.CodeForbidden)
	mute(0)
	ann.want("events")
	bob.want("events")
	typing()
	if f := ann.want("signal"); f.Type != "typing" {
		t.Errorf("got %s", f.raw)
	}
	mute(w.now().Add(10 * time.Second))
	w.pass(20 * time.Second)
	w.post("ann", stream, "again")
	bob.bodies("again")
	ann.bodies("again")
	typing()
	ann.want("signal")
}

func TestPings(t *testing.T) {
	w := newWorld(t)
	s := w.rawConnect("ann")
	quiet := func() {
		t.Helper()
		if n := len(w.server.all()); n != 1 {
			t.Fatalf("%d connections", n)
		}
	}
	c := w.server.all()[0]
	resting := func() { // who writes is not idle, and is pinged by a later sweep
		t.Helper()
		w.until("the pump rests", func() bool { return c.pumping.Load() == 0 })
	}
	w.pass(24 * time.Second)
	w.server.sweep()
	w.pass(2 * time.Second)
	resting()
	w.server.sweep()
	w.server.sweep() // not twice
	if op, b := readServerFrame(t, s.br); op != 0x89 || len(b) != 0 {
		t.Fatalf("got %x %q, want a ping", op, b)
	}
	s.send(clientFrame(0x8a, nil))
	s.send(clientFrame(0x89, []byte("and back")))
	if op, b := readServerFrame(t, s.br); op != 0x8a || string(b) != "and back" {
		t.Fatalf("got %x %q, want a pong", op, b)
	}
	w.pass(59 * time.Second)
	resting()
	w.server.sweep()
	quiet()
	if op, _ := readServerFrame(t, s.br); op != 0x89 {
		t.Fatalf("got %x, want a ping", op)
	}
	w.pass(2 * time.Second)
	w.server.sweep()
	s.closed(1001)
	w.ended("ws silent")
}

// Many waiting frames are written at once.
func TestWaitingFramesShareOneWrite(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann", "bob")
	bob := w.connect("bob")
	bob.subscribe(stream, "")
	c := w.server.all()[0]
	c.wire.mu.Lock() // a slow moment of the network
	w.post("ann", stream, "first")
	w.until("the pump is at it", func() bool { return c.pumping.Load() != 0 })
	const n = 200
	for i := range n {
		w.post("ann", stream, fmt.Sprint("text ", i))
	}
	w.until("all can be sent", func() bool { return w.hub.Stats().RingBytes > n*300 })
	before := w.tap.writes.Load()
	c.wire.mu.Unlock()
	bob.bodies(fmt.Sprint("text ", n-1))
	if writes := w.tap.writes.Load() - before; writes > 5 {
		t.Errorf("%d writes for %d frames", writes, n)
	}
}

func TestUnexpectedFaults(t *testing.T) {
	w := newWorld(t, with(func(o *Options) {
		o.Allow = func(string) (bool, time.Duration) { panic("on purpose") }
	}))
	s := w.connect("ann")
	s.send("op", "subscribe", "stream", "thread/1")
	s.closed(1011)
	w.ended("ws fault")
	w.connect("bob")
	if !strings.Contains(w.log.String(), "on purpose") {
		t.Error("the fault is not in the log")
	}
}

func TestNoRoom(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.limits.Sessions = 1 })
	w.connect("ann")
	w.dial("", bearer("bob")...).closed(1013)
	refused(t, w.get("/v1/realtime/sse?stream=thread/1", bearer("bob")...), 503, httpapi.CodeUnavailable)
	refused(t, w.get("/v1/realtime/poll?stream=thread/1", bearer("bob")...), 503, httpapi.CodeUnavailable)
}
