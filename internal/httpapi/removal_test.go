package httpapi_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
)

// A removal is answered once nobody writes to who was removed any more, as over
// WebSocket.
func TestRemovalWaitsForDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ani, budi := w.signUp("ani"), w.signUp("budi")
		th := ani.thread("private")
		ani.post(th+"/members", map[string]any{"user_id": budi.id}).want(201)
		stream := gotong.Stream("thread/" + strings.TrimPrefix(th, "/v1/chat/threads/"))
		s, err := w.hub.Open(gotong.Viewer{UserID: budi.id, Role: gotong.RoleUser}, live.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Subscribe(live.Subscription{Stream: stream}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if frames, _ := s.Take(nil, 1<<20); len(frames) > 0 {
			s.Written()
		}
		ani.say(th, "on its way")
		synctest.Wait()
		if frames, _ := s.Take(nil, 1<<20); len(frames) == 0 {
			t.Fatal("nothing to write")
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			ani.do("DELETE", th+"/members/"+budi.id, nil).want(200)
		}()
		synctest.Wait()
		select {
		case <-answered:
			t.Error("answered while the write is under way")
		default:
		}
		s.Written()
		<-answered
	})
}
