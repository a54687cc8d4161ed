package realtime

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"gotong.dev/gotong/internal/httpapi"
)

// A WebSocket counts among the connections that have not authenticated until
// its auth frame was good, or it is over.
func TestSocketsThatHaveNotAuthenticated(t *testing.T) {
	w := newWorld(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	edge := httpapi.New(httpapi.Options{
		Auth: w.door, Clock: w.clock, Epoch: w.hub.Epoch(), Log: slog.New(slog.DiscardHandler), Realtime: w.server,
		Conns: httpapi.ConnLimits{PerAddress: 2},
	})
	srv := httpapi.HTTPServer(edge.Handler(), slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(edge.Listener(listener)) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	w.addr = listener.Addr().String()
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
