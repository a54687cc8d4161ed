package realtime

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

// A subscription that is withdrawn before it was decided is answered too: each
// frame with an id gets one answer.
func TestUnsubscribeBeforeTheDecisionIsAnswered(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann")
	s := w.connect("ann")
	for range 3 {
		reading, decide := make(chan struct{}, 16), make(chan struct{})
		release := sync.OnceFunc(func() { close(decide) })
		t.Cleanup(release) // also where the test fails
		hold := func(*store.Snapshot) { reading <- struct{}{}; <-decide }
		w.source.load.Store(&hold)
		s.send("op", "subscribe", "id", "1", "stream", stream)
		<-reading
		s.send("op", "unsubscribe", "id", "2", "stream", stream)
		s.problem("1", gotong.CodeConflict)
		if f := s.want("unsubscribed"); f.ID != "2" {
			t.Fatalf("got %s", f.raw)
		}
		w.source.load.Store(nil)
		release()
		s.send("op", "ping", "id", "3")
		if f := s.want("pong"); f.ID != "3" {
			t.Fatalf("a second answer: %s", f.raw)
		}
	}
	s.subscribe(stream, "")
}

// served notes how requests end.
type served struct {
	status chan int
	code   chan string
}

func (s served) Served(_, _ string, status int, code string, _ time.Duration) {
	s.status <- status
	s.code <- code
}

// A client that leaves before its right to read was decided was not rejected.
func TestClientThatLeavesIsNotRejected(t *testing.T) {
	for _, path := range []string{"sse", "poll"} {
		t.Run(path, func(t *testing.T) {
			w := newWorld(t)
			stream := w.thread("ann")
			outcome := served{make(chan int, 1), make(chan string, 1)}
			edge := httpapi.New(httpapi.Options{Auth: w.door, Clock: w.clock, Epoch: w.hub.Epoch(), Log: slog.New(slog.DiscardHandler), Realtime: w.server, Observer: outcome})
			ctx, leave := context.WithCancel(context.Background())
			defer leave()
			gone := make(chan struct{})
			hold := func(*store.Snapshot) { leave(); <-gone }
			w.source.load.Store(&hold)
			defer w.source.load.Store(nil)
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/realtime/"+path+"?stream="+string(stream), http.NoBody)
			r.Header.Set("Authorization", "Bearer t-ann")
			rec := httptest.NewRecorder()
			edge.Handler().ServeHTTP(rec, r)
			close(gone)
			if status, code := <-outcome.status, <-outcome.code; status != httpapi.StatusClientGone || code != "" {
				t.Errorf("counted as %d %q", status, code)
			}
			if rec.Body.Len() > 0 {
				t.Errorf("written to nobody: %s", rec.Body)
			}
		})
	}
}
