package realtime

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stamped is a response that notes when each write came.
type stamped struct {
	*httptest.ResponseRecorder
	began time.Time

	mu  sync.Mutex
	at  []time.Duration
	raw []string
}

func (h *stamped) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = append(h.at, time.Since(h.began))
	h.raw = append(h.raw, string(b))
	return h.ResponseRecorder.Write(b)
}

// SetWriteDeadline implements what http.ResponseController asks for.
func (h *stamped) SetWriteDeadline(time.Time) error { return nil }

// timeless is a world whose clock stands still while somebody works, without a
// socket.
func timeless(t *testing.T, f func(w *world, ask func(ctx context.Context, address string) *stamped)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, ctx, cancel, _ := newNode(t)
		done := make(chan error, 1)
		go func() { done <- w.hub.Run(ctx) }()
		f(w, func(ctx context.Context, address string) *stamped {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
			r.Header.Set("Authorization", "Bearer t-ann")
			h := &stamped{ResponseRecorder: httptest.NewRecorder(), began: time.Now()}
			w.server.ServeHTTP(h, r)
			return h
		})
		if err := w.engine.Close(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The seconds of long-poll: it waits as long as it was asked to, 25 s where it
// was not, and answers at once where there is something (contract D19).
func TestPollWaits(t *testing.T) {
	timeless(t, func(w *world, ask func(context.Context, string) *stamped) {
		stream := w.thread("ann")
		address := "/v1/realtime/poll?cursor=" + cursorOf(stream, 1)
		for wait, want := range map[string]time.Duration{"": 25 * time.Second, "&wait=55s": 55 * time.Second, "&wait=3s": 3 * time.Second} {
			h := ask(context.Background(), address+wait)
			var a struct {
				Cursor string            `json:"cursor"`
				Frames []json.RawMessage `json:"frames"`
			}
			if err := json.Unmarshal(h.Body.Bytes(), &a); err != nil || h.Code != http.StatusOK {
				t.Fatal(h.Code, err)
			}
			if h.at[0] != want || len(a.Frames) != 0 || a.Cursor != cursorOf(stream, 1) {
				t.Errorf("%q: after %s %s", wait, h.at[0], h.Body)
			}
		}
		time.AfterFunc(10*time.Second, func() { w.post("ann", stream, "now") })
		h := ask(context.Background(), address+"&wait=55s")
		if h.at[0] < 10*time.Second || h.at[0] > 11*time.Second || !strings.Contains(h.Body.String(), "now") {
			t.Errorf("the event of 10 s arrived after %s: %s", h.at[0], h.Body)
		}
		if h := ask(context.Background(), address); h.at[0] > time.Second {
			t.Errorf("the existing events arrived after %s", h.at[0])
		}
		for _, bad := range []string{"56s", "%2B5s", "-1s", "05s", "1m", "1s1s", "5", "+0", "1e1s", "-0"} {
			if h := ask(context.Background(), address+"&wait="+bad); h.Code != http.StatusUnprocessableEntity {
				t.Errorf("a wait of %q: %d", bad, h.Code)
			}
		}
	})
}

// The seconds of SSE: a comment after each 20 s of silence.
func TestCommentsOfSilence(t *testing.T) {
	timeless(t, func(w *world, ask func(context.Context, string) *stamped) {
		stream := w.thread("ann")
		ctx, leave := context.WithTimeout(context.Background(), 75*time.Second)
		defer leave()
		time.AfterFunc(30*time.Second, func() { w.post("ann", stream, "now") })
		h := ask(ctx, "/v1/realtime/sse?stream="+string(stream))
		var comments []time.Duration
		for i, text := range h.raw {
			if strings.HasPrefix(text, ":") {
				comments = append(comments, h.at[i].Round(time.Second))
			}
		}
		want := []time.Duration{20 * time.Second, 50 * time.Second, 70 * time.Second} // silence is counted from the event at 30 s
		if !slices.Equal(comments, want) {
			t.Errorf("comments after %v, want %v", comments, want)
		}
	})
}
