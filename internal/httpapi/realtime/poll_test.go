package realtime

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// An empty list means that there are no events. If that could not be
// determined, the answer is a problem or a frame that names the cause.
func TestPollThatCouldNotReadIsNotEmpty(t *testing.T) {
	hurry := func(s *setting) { s.times = append(s.times, func(t *times) { t.read = 50 * time.Millisecond }) }
	pages := func(snap *store.Snapshot) bool { return len(snap.Events) > 0 && len(snap.Events[0]) > 1 }
	for _, test := range []struct {
		name   string
		limit  func(*setting)
		load   func(release <-chan struct{}) func(*store.Snapshot)
		status int
		code   gotong.Code // of the problem, or of the only frame's
	}{
		{"slow store", hurry, func(release <-chan struct{}) func(*store.Snapshot) {
			return func(snap *store.Snapshot) {
				if pages(snap) {
					<-release
				}
			}
		}, http.StatusServiceUnavailable, gotong.CodeBusy},
		{"silent partition", func(s *setting) { hurry(s); s.limits.Fresh = time.Nanosecond }, nil,
			http.StatusServiceUnavailable, gotong.CodeBusy},
		{"unreadable event", hurry, func(<-chan struct{}) func(*store.Snapshot) {
			return func(snap *store.Snapshot) {
				if len(snap.Events) > 0 && len(snap.Events[0]) > 0 {
					snap.Events[0][0].Type = "of.a.newer.version"
				}
			}
		}, http.StatusOK, gotong.CodeUnreadable},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.limit)
			stream := w.thread("ann")
			w.post("ann", stream, "one")
			release := make(chan struct{})
			let := sync.OnceFunc(func() { close(release) })
			t.Cleanup(let)
			if test.load != nil {
				load := test.load(release)
				w.source.load.Store(&load)
				defer w.source.load.Store(nil)
			}
			a := w.get("/v1/realtime/poll?wait=0&cursor=start&stream="+string(stream), bearer("ann")...)
			if test.status != http.StatusOK {
				refused(t, a, test.status, test.code)
				return
			}
			let()
			if f := w.poll("ann", "?wait=0&cursor=start&stream="+string(stream)).frames; len(f) != 1 || f[0].Op != "error" || f[0].Problem.Code != test.code {
				t.Errorf("got %s", a.body)
			}
		})
	}
}
