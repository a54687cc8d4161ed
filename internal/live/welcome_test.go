package live

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/view"
)

// TestWelcomeIsQueuedUnderTheLock: while a session gets its welcome, no drain can find the session.
// A sign of a restart is therefore never the first frame.
func TestWelcomeIsQueuedUnderTheLock(t *testing.T) {
	db := memory.New("test", memory.Options{})
	t.Cleanup(func() { _ = db.Close() })
	codec := store.NewCodec(nil)
	h := New(Options{Store: db, Codec: codec, Views: view.New(view.Options{Store: db, Codec: codec})})
	woken := 0
	s, err := h.Open(gotong.Viewer{UserID: "ann"}, SessionOptions{
		Welcome: func(id string) Frame { return NewFrame([]byte(`{"op":"welcome","session":"` + id + `"}`)) },
		Wake: func() {
			if woken++; woken == 1 && h.mu.TryRLock() { // closing wakes it again
				h.mu.RUnlock()
				t.Error("a drain may find the session before it has its welcome")
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	frames, _ := s.Take(nil, 1)
	if len(frames) != 1 || woken != 1 || string(frames[0].JSON()) != `{"op":"welcome","session":"`+s.ID()+`"}` {
		t.Errorf("%d frames, woken %d times", len(frames), woken)
	}
}
