package live

import (
	"context"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/view"
)

// Whoever is woken for a removal's frame is stale already: marks come first.
func TestMarksBeforeFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kind := gotong.Kind{
			Name: "room", Events: []gotong.EventType{gotong.EventOf[struct{}]("left")},
			Affects: func(gotong.Event) gotong.Affected { return gotong.Affected{Everyone: true} },
			Access: func(gotong.State, gotong.Viewer) gotong.Grant {
				return gotong.Grant{Readable: true, Spans: []gotong.Span{{Stream: "room/1"}}}
			},
		}
		db := memory.New("test", memory.Options{})
		t.Cleanup(func() { _ = db.Close() })
		codec := store.NewCodec([]gotong.Kind{kind})
		h := New(Options{Store: db, Codec: codec, Views: view.New(view.Options{Store: db, Codec: codec})})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()

		var prev gotong.Head
		commit := func() {
			e := store.Event{
				Stream: "room/1", Partition: gotong.PartitionOf("room/1"), Seq: prev.Seq + 1, ID: gotong.NewEventID(prev.At+1, 0),
				Type: "left", At: prev.At + 1, Prev: prev.Chain,
				Data: []byte(`{"payload":{}}`), ContentCommit: gotong.CommitContent(gotong.Salt{}, nil),
			}
			e.Chain = e.Header("test").Chain()
			c := store.Commit{
				Request: gotong.RequestKey{Stream: "room/1", RequestID: gotong.SeqName(e.Seq)},
				Home:    "room/1", Prev: prev, Events: []store.Event{e},
			}
			outcome, err := store.CommitAll(ctx, db, []store.Commit{c})
			if err != nil || outcome[0].Status != store.Committed {
				t.Fatal(outcome, err)
			}
			e.Partition, e.Position = outcome[0].Record.Partition, outcome[0].Record.Position
			prev = c.Head()
			h.Offer(ctx, []store.Event{e})
		}
		commit()
		var followed *sub
		woken := 0
		s, err := h.Open(gotong.Viewer{UserID: "ann"}, SessionOptions{Wake: func() {
			if followed != nil {
				woken++
				if followed.marks.Load() == 0 {
					t.Error("woken before the mark")
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Subscribe(Subscription{Stream: "room/1"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if frames, _ := s.Take(nil, 1<<20); len(frames) != 1 {
			t.Fatalf("%d frames", len(frames))
		}
		s.Written()
		followed = s.subs[0]
		commit()
		synctest.Wait()
		if woken == 0 {
			t.Error("never woken")
		}
	})
}
