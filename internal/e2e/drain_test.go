package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/netfault"
)

// farewell is what a WebSocket hears of a server that ends in good order.
type farewell struct {
	away  int   // going_away frames
	after int64 // the wait that the first one asks for
	code  websocket.StatusCode
}

// listen follows a stream until the server closes.
func listen(ctx context.Context, t *testing.T, url, user string, stream gotong.Stream, ready func()) farewell {
	t.Helper()
	ws := socket(ctx, t, new(tap).http(t), url, user)
	defer func() { _ = ws.CloseNow() }()
	if err := tell(ctx, ws, map[string]any{"op": "subscribe", "id": "1", "stream": stream}); err != nil {
		t.Error(err)
	}
	var bye farewell
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			bye.code = websocket.CloseStatus(err)
			return bye
		}
		var f struct {
			Op    string `json:"op"`
			After int64  `json:"retry_after_ms"`
		}
		if err := json.Unmarshal(b, &f); err != nil {
			t.Error(err)
		}
		switch f.Op {
		case "subscribed":
			ready()
		case "going_away":
			bye.away++
			bye.after = f.After
		}
	}
}

// TestDrain ends a server under load with SIGTERM and starts another: it ends before
// its grace does and without a fault, tells everybody, and nobody loses anything.
func TestDrain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	front := netfault.For(t, "127.0.0.1:1")
	start := func() *child {
		c := startChild(t, dir)
		if !c.ready() {
			t.Fatal("the server did not start")
		}
		front.Aim(host(c.url))
		return c
	}
	server := start()
	writers := []string{"rest-0", "rest-1", "ws-0", "ws-1"}
	watchers := names("watcher", size(12, 8))
	_, stream := makeThread(t, front.URL(), "owner", client.NewThread{ScopeID: "rt05", Privacy: "private"}, append(writers, watchers...)...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l := newLoad(t, front.URL())
	writing, enough := context.WithCancel(ctx)
	var load, watching, listening sync.WaitGroup
	for i, w := range writers {
		if i < 2 {
			load.Go(func() { l.post(writing, stream, w) })
		} else {
			load.Go(func() { l.command(writing, stream, w) })
		}
	}
	kept, transports := newPool(), []client.Transport{client.WebSocket, client.SSE, client.Poll}
	followers := make([]*follower, len(watchers))
	for i, user := range watchers {
		f := &follower{
			name: fmt.Sprint(user, " over ", transports[i%3]), stream: stream, pool: kept,
			clients: []*client.Client{dial(t, front.URL(), user, transports[i%3])},
			last:    func(e client.Event) bool { return strings.Contains(string(e.Data), lastWords) },
		}
		followers[i] = f
		watching.Go(func() {
			if err := f.run(ctx, rand.New(rand.NewPCG(0, 0))); err != nil {
				t.Errorf("%s, after %d events: %v", f.name, len(f.got), err)
			}
		})
	}
	rounds, byes := size(3, 1), []farewell{}
	var slowest time.Duration
	for round := range rounds {
		var ready sync.WaitGroup
		var mu sync.Mutex
		for _, user := range watchers[:4] {
			ready.Add(1)
			listening.Go(func() {
				bye := listen(ctx, t, server.url, user, stream, sync.OnceFunc(ready.Done))
				mu.Lock()
				defer mu.Unlock()
				byes = append(byes, bye)
			})
		}
		ready.Wait()
		if err := l.await(ctx, l.acks.Load()+100); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		began := time.Now()
		terminate(t, server)
		slowest = max(slowest, time.Since(began))
		listening.Wait()
		server = start()
	}
	if slowest >= grace {
		t.Errorf("a server took %s to end: connections held it", slowest)
	}
	for _, bye := range byes {
		if bye.away != 1 || bye.code != 1012 || bye.after < 0 || bye.after > 10_000 {
			t.Errorf("a connection heard %+v of the end", bye)
		}
	}
	if err := l.await(ctx, l.acks.Load()+100); err != nil {
		t.Error("after the last start:", err)
	}
	enough()
	load.Wait()
	must(dial(t, front.URL(), "owner").Send(ctx, stream.ID(), client.NewMessage{Body: lastWords}))(t)
	watching.Wait()
	terminate(t, server)
	log := readLog(t, dir)
	unheard := l.check(log)
	rows := upToLastWords(t, log.streams[stream])
	for _, f := range followers {
		f.check(t, rows)
		if len(f.got) != len(rows) {
			t.Errorf("%s got %d of %d events", f.name, len(f.got), len(rows))
		}
	}
	t.Logf("%d ends, the slowest in %s; %d acknowledged, all there; %d written that nobody waited for; %d followers have all of it",
		rounds, slowest.Round(time.Millisecond), len(l.written), unheard-1, len(followers))
}

// TestSecondServer: a file belongs to one process at a time.
func TestSecondServer(t *testing.T) {
	dir := t.TempDir()
	first := startChild(t, dir)
	if !first.ready() {
		t.Fatal("the server did not start")
	}
	second := startChild(t, dir)
	if second.ready() {
		t.Error("a second server listens on the same data")
	}
	if err := second.cmd.Wait(); err == nil {
		t.Error("the second server ended without an error")
	}
	if a := must(rest(t.Context(), new(tap).http(t), first.url, "ann", "GET", "/readyz", ""))(t); a.status != 200 {
		t.Errorf("the first server says %s", a)
	}
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := first.cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
