package e2e_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/store"
)

// gate is a store that gives no snapshot from the commit of a removal on until
// it is opened: nobody can be authorised anew.
type gate struct {
	store.Whole
	mu     sync.Mutex
	shut   chan struct{} // closed when it opens; nil while open
	closed *moment
}

func (g *gate) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	g.Whole.Submit(ctx, batch, func(out []store.Outcome) {
		g.see(batch)
		announce(out)
	}, done)
}

// see shuts the gate at a removal.
func (g *gate) see(batch []store.Commit) {
	for _, c := range batch {
		if len(c.Events) > 0 && c.Events[0].Type == "member.removed" {
			g.mu.Lock()
			g.shut = make(chan struct{})
			g.mu.Unlock()
			g.closed.set()
		}
	}
}

func (g *gate) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		select {
		case <-shut:
		case <-ctx.Done():
			return store.Snapshot{}, ctx.Err()
		}
	}
	return g.Whole.Load(ctx, need)
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

// TestRemovalWaits: while it is not settled who may read, a removal does not
// say that it is done, and the removed user gets nothing.
func TestRemovalWaits(t *testing.T) {
	g := &gate{closed: newMoment()}
	n := startNode(t, func(o *app.Options) {
		o.Wrap = func(s store.Whole) store.Whole { g.Whole = s; return g }
	})
	th, stream := makeThread(t, n.url, "owner", client.NewThread{ScopeID: "rt05", Privacy: "private"}, "ann")
	kept := &tap{}
	ws := socket(t.Context(), t, kept.http(t), n.url, "ann")
	defer func() { _ = ws.CloseNow() }()
	if err := tell(t.Context(), ws, map[string]any{"op": "subscribe", "id": "1", "stream": stream}); err != nil {
		t.Fatal(err)
	}
	heard := func(what string) {
		for !strings.Contains(string(kept.text()), what) {
			if _, _, err := ws.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	heard(`"subscribed"`)
	must(dial(t, n.url, "owner").Send(t.Context(), th.ThreadID, client.NewMessage{Body: "before"}))(t)
	heard("before")
	owner := newPair(t, n.url, "owner")
	remove := func() receipt {
		return must(ask(t.Context(), owner.socket, stream, "member.remove", "k-remove", `{"user_id":"ann"}`))(t)
	}
	conn := connect(t, dial(t, n.url, "owner", client.WebSocket), client.ConnOptions{})
	var posting sync.WaitGroup
	posting.Go(func() {
		<-g.closed.c
		if _, err := conn.Post(t.Context(), stream, "afterwards"); err != nil {
			t.Error(err)
		}
	})
	// It is committed, and cannot be carried out: it waits as long as it may.
	if r := remove(); r.Problem.Code != string(gotong.CodeBusy) {
		t.Errorf("the removal was answered %+v", r)
	}
	g.open()
	if r := remove(); !r.Receipt.Replayed {
		t.Errorf("the removal was not the one of before: %+v", r)
	}
	posting.Wait()
	if err := tell(t.Context(), ws, map[string]any{"op": "ping", "id": "after-all"}); err != nil {
		t.Fatal(err)
	}
	heard("after-all")
	text := string(kept.text())
	if strings.Contains(text, "afterwards") || strings.Count(text, "access_revoked") != 1 ||
		strings.Index(text, "access_revoked") > strings.Index(text, "after-all") {
		t.Errorf("the removed user got %s", text)
	}
}
