package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/view"
)

// core is the engine and the hub on a store, without an edge.
type core struct {
	*engine.Engine
	views *view.Views
	hub   *live.Hub
	store store.Whole
}

// adapters are the stores that every promise must hold on.
func adapters(t *testing.T, test func(t *testing.T, open func(t *testing.T) store.Whole)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		test(t, func(t *testing.T) store.Whole {
			t.Helper()
			s := memory.New("", memory.Options{})
			t.Cleanup(func() { _ = s.Close() })
			return s
		})
	})
	t.Run("sqlite", func(t *testing.T) {
		test(t, func(t *testing.T) store.Whole {
			t.Helper()
			s, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "gotong.db"),
				sqlite.Options{Collections: store.Collections(app.Kinds())})
			if err != nil {
				t.Fatal(err)
			}
			return s
		})
	})
}

func newCore(t *testing.T, s store.Whole, now func() gotong.Instant) *core {
	t.Helper()
	before := goleak.IgnoreCurrent()
	codec := store.NewCodec(app.Kinds())
	c := &core{store: s}
	c.views = view.New(view.Options{Store: s, Codec: codec})
	c.hub = live.New(live.Options{Store: s, Codec: codec, Views: c.views})
	c.Engine = engine.New(engine.Options{Store: s, Codec: codec, Clock: clocktest.Showing(now), Committed: c.hub.Offer})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.hub.Run(ctx) }()
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, before)
	})
	return c
}

// do runs a command of the kind thread.
func (c *core) do(ctx context.Context, stream gotong.Stream, actor, requestID, typ string, data any) (gotong.Receipt, error) {
	return c.Execute(ctx, gotong.Command{
		Stream: stream, Type: typ, RequestID: requestID, Data: data, Raw: []byte(encode(data)),
		Actor: gotong.Actor{UserID: actor, Role: gotong.RoleUser},
	})
}

// wrong is a clock that stands, jumps back by up to an hour, and jumps ahead.
func wrong() func() gotong.Instant {
	var n atomic.Int64
	return func() gotong.Instant {
		i := n.Add(1)
		jump := [...]time.Duration{0, -time.Hour, time.Second, -time.Microsecond, 0, -time.Minute, 3 * time.Second}[i%7]
		return gotong.Instant(1_700_000_000_000_000 + i*10).Add(jump)
	}
}

// TestOneOrder writes to threads with a clock that goes back as often as
// forward, from many sides. checkLog then finds that seq, (at, id) and id are
// one order, and positions too; readers get that order.
func TestOneOrder(t *testing.T) {
	adapters(t, func(t *testing.T, open func(*testing.T) store.Whole) {
		t.Helper()
		c := newCore(t, open(t), wrong())
		var streams []gotong.Stream
		for i := range 4 {
			id := fmt.Sprint("make-", i)
			s := thread.StreamOf("owner", id)
			if _, err := c.do(t.Context(), s, "owner", id, thread.CmdCreate,
				thread.Create{ScopeID: fmt.Sprint("rt0", i/2), Privacy: thread.Private}); err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		var group sync.WaitGroup
		posts := size(200, 50)
		for w := range 8 {
			group.Go(func() {
				for i := range posts {
					_, err := c.do(t.Context(), streams[(w+i)%4], "owner", fmt.Sprintf("post-%d-%d", w, i), thread.CmdPost,
						thread.Post{Body: fmt.Sprint(w, " ", i)})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		log := checkLog(t, c.store)
		if want := 4 + 8*posts; log.events != want {
			t.Errorf("%d events in the log, not %d", log.events, want)
		}
		back := 0
		for _, s := range streams {
			back += c.checkRead(t, s, log.streams[s])
		}
		if back == 0 {
			t.Error("the clock never stood or went back: the test shows nothing")
		}
	})
}

// checkRead reads a stream as its owner and compares. It counts how often the
// clock did not lead.
func (c *core) checkRead(t *testing.T, s gotong.Stream, rows []store.Event) (back int) {
	t.Helper()
	var got []view.Event
	for from, done := uint64(0), false; !done; {
		page, err := c.views.Read(t.Context(), gotong.Viewer{UserID: "owner", Role: gotong.RoleUser},
			view.Query{Stream: s, From: from, Limit: 37})
		if err != nil {
			t.Fatal(err)
		}
		got, from, done = append(got, page.Events...), page.To, page.Done
	}
	if len(got) != len(rows) {
		t.Fatalf("%s: %d events read, %d in the log", s, len(got), len(rows))
	}
	for i := range rows {
		if got[i].ID != rows[i].ID || got[i].Seq != rows[i].Seq {
			t.Fatalf("%s: event %d read is %d %s, in the log %d %s", s, i, got[i].Seq, got[i].ID, rows[i].Seq, rows[i].ID)
		}
		if i > 0 && rows[i].At == rows[i-1].At+1 {
			back++
		}
	}
	return back
}
