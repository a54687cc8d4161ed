package realtime

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
)

// A client that is gone without a word takes what it is sent: the system buffers
// it. What the server writes is no sign of the client; after a minute without
// one the connection ends, and that of who says something goes on.
func TestHalfOpenWhileTheServerWrites(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann", "bob", "cici")
	gone, there := w.rawConnect("bob"), w.connect("cici")
	gone.send(clientFrame(0x81, []byte(`{"op":"subscribe","stream":"`+string(stream)+`"}`)))
	if _, b := readServerFrame(t, gone.br); !strings.Contains(string(b), `"subscribed"`) {
		t.Fatalf("got %s", b)
	}
	there.subscribe(stream, "")
	pings := 0
	for i := range 6 {
		w.post("ann", stream, fmt.Sprint("written ", i))
		for op := byte(0); op != 0x81; { // the server wrote it
			var b []byte
			if op, b = readServerFrame(t, gone.br); op == 0x89 {
				pings++
			} else if op != 0x81 {
				t.Fatalf("after %d s: %x %q", 10*i, op, b)
			}
		}
		there.want("events")
		there.send("op", "ping", "id", fmt.Sprint(i))
		there.want("pong")
		w.pass(10 * time.Second)
		w.server.sweep()
	}
	w.pass(time.Second)
	w.server.sweep()
	gone.closed(closeGoingAway)
	w.ended("ws silent")
	if pings == 0 {
		t.Error("it was never asked for a sign")
	}
	w.post("ann", stream, "the end")
	there.want("events")
}

// A connection is asked for a sign of life also while it is written to: else
// who only listens to a busy stream would seem to be gone.
func TestPingsWhileTheServerWrites(t *testing.T) {
	w := newWorld(t)
	s := w.rawConnect("bob")
	c := w.server.all()[0]
	w.until("nothing is written", func() bool { return c.pumping.CompareAndSwap(0, 1) })
	w.pass(26 * time.Second)
	w.server.sweep()
	if op, b := readServerFrame(t, s.br); op != 0x89 {
		t.Errorf("got %x %q", op, b)
	}
	c.pumping.Store(0)
}

// Clients do not all return at the same moment after a restart: each is sent its
// own wait, between 0 and the longest (contract D18).
func TestDrainHasJitter(t *testing.T) {
	w := newWorld(t)
	const n, longest = 64, 10_000
	var sessions []*live.Session
	for i := range n {
		s, err := w.hub.Open(gotong.Viewer{UserID: fmt.Sprint("user", i), Role: gotong.RoleUser}, live.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	drained := make(chan error, 1)
	go func() { drained <- w.hub.Drain(context.Background()) }()
	waits := map[int64]bool{}
	quarters := [4]int{}
	for _, s := range sessions {
		frames, _, err := s.Next(t.Context(), nil, 1)
		if err != nil || len(frames) != 1 {
			t.Fatal(len(frames), err)
		}
		var f frame
		if err := json.Unmarshal(frames[0].JSON(), &f); err != nil || f.Op != "going_away" || f.Retry < 0 || f.Retry > longest {
			t.Fatalf("got %s", frames[0].JSON())
		}
		waits[f.Retry] = true
		quarters[min(3, f.Retry*4/longest)]++
		s.Close()
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	// By chance, a quarter stays empty once in 30 million runs.
	if len(waits) < n/2 || quarters[0]*quarters[1]*quarters[2]*quarters[3] == 0 {
		t.Errorf("%d different waits for %d sessions, by quarters of the longest %v", len(waits), n, quarters)
	}
}
