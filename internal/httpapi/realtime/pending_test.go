package realtime

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/httpapi"
)

// A WebSocket counts among the connections that have not authenticated until
// its auth frame was good, or it is over.
func TestSocketsThatHaveNotAuthenticated(t *testing.T) {
	w := newWorld(t)
	w.behindEdge(2)
	first, second := w.dial(""), w.dial("")
	if _, _, err := w.tryDial(""); err == nil {
		t.Fatal("a third one was let in")
	}
	first.send("op", "auth", "token", "t-ann")
	first.want("welcome")
	third := w.dial("", bearer("bob")...)
	third.want("welcome")
	w.dial("") // in the place that the first one left
	if _, _, err := w.tryDial(""); err == nil {
		t.Fatal("one too many was let in")
	}
	_ = second.ws.CloseNow()
	w.until("the place of the second is free", func() bool { _, _, err := w.tryDial(""); return err == nil })
}

// A request that gets no session does not count as the user's: its connection
// counts for the address as before.
func TestRequestWithoutASessionCountsForItsAddress(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.limits.UserSessions = 1 })
	w.behindEdge(1)
	w.connect("ann")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test's
	_, err = io.WriteString(conn, "GET /v1/realtime/poll?stream=thread/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t-ann\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(got, " 429 ") {
		t.Fatal(got)
	}
	if _, _, err := w.tryDial(""); err == nil {
		t.Fatal("the place was given to somebody else")
	}
}

// behindEdge has the world served by an edge that takes so many connections of
// an address.
func (w *world) behindEdge(perAddress int) {
	w.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	edge := httpapi.New(httpapi.Options{
		Auth: w.door, Clock: w.clock, Epoch: w.hub.Epoch(), Log: slog.New(slog.DiscardHandler), Realtime: w.server,
		Conns: httpapi.ConnLimits{PerAddress: perAddress},
	})
	srv := httpapi.HTTPServer(edge.Handler(), slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(edge.Listener(listener)) }()
	w.t.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			w.t.Error(err)
		}
	})
	w.addr = listener.Addr().String()
}
