package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/netfault"
)

// load is several writers whose every request has an id and is repeated until
// it is answered, over a network that breaks.
type load struct {
	tb   testing.TB
	url  string
	gap  time.Duration // between two requests of a writer; 0 is none
	acks atomic.Int64

	mu      sync.Mutex
	written []written
	more    chan struct{} // closed at the next ack
}

// written is a request with its first answer.
type written struct {
	stream    gotong.Stream
	actor     string
	requestID string
	body      string
	id        gotong.EventID
	seq       uint64
}

func newLoad(tb testing.TB, url string) *load {
	tb.Helper()
	return &load{tb: tb, url: url, more: make(chan struct{})}
}

func (l *load) ack(w written) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written = append(l.written, w)
	l.acks.Add(1)
	close(l.more)
	l.more = make(chan struct{})
}

// await waits until so many requests were answered.
func (l *load) await(ctx context.Context, n int64) error {
	for {
		l.mu.Lock()
		more := l.more
		l.mu.Unlock()
		if l.acks.Load() >= n {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// post writes over REST until ctx ends; what is under way then has no answer,
// and is left out.
func (l *load) post(ctx context.Context, stream gotong.Stream, actor string) {
	c := dial(l.tb, l.url, actor)
	for n := 0; l.pause(ctx); n++ {
		w := l.next(stream, actor, "rest", n)
		m, err := c.Send(ctx, stream.ID(), client.NewMessage{Body: w.body}, client.RequestID(w.requestID))
		if err != nil {
			l.refused(ctx, w, err)
			return
		}
		w.id, w.seq = m.MessageID, m.Seq
		l.ack(w)
	}
}

// command writes over a WebSocket, some at once.
func (l *load) command(ctx context.Context, stream gotong.Stream, actor string) {
	conn := connect(l.tb, dial(l.tb, l.url, actor, client.WebSocket), client.ConnOptions{MaxPending: 8})
	var answers sync.WaitGroup
	defer answers.Wait()
	for n := 0; l.pause(ctx); n++ {
		w := l.next(stream, actor, "ws", n)
		call, err := conn.Submit(ctx, stream, "message.post", map[string]string{"body": w.body}, client.RequestID(w.requestID))
		if err != nil {
			l.refused(ctx, w, err)
			return
		}
		answers.Go(func() {
			r, err := call.Wait(ctx)
			if err != nil {
				l.refused(ctx, w, err)
				return
			}
			w.id, w.seq = r.EventIDs[0], r.First
			l.ack(w)
		})
	}
}

// pause is what a writer does between two requests; false where ctx ended.
func (l *load) pause(ctx context.Context) bool {
	if l.gap > 0 {
		return lull(ctx, int(l.gap.Milliseconds()))
	}
	return ctx.Err() == nil
}

func (l *load) next(stream gotong.Stream, actor, how string, n int) written {
	id := fmt.Sprintf("%s-%s-%d", how, actor, n)
	return written{stream: stream, actor: actor, requestID: id, body: "text of " + id}
}

func (l *load) refused(ctx context.Context, w written, err error) {
	if ctx.Err() == nil {
		l.tb.Errorf("%s of %s: %v", w.requestID, w.actor, err)
	}
}

// check compares the answers with the log: what was acknowledged is there, as
// it was said to be. It returns how many requests made an event without
// anybody hearing of it.
func (l *load) check(log *logbook) (unheard int) {
	l.tb.Helper()
	streams := map[gotong.Stream]int{}
	for _, w := range l.written {
		streams[w.stream]++
		events := log.requests[gotong.RequestKey{Stream: w.stream, Actor: w.actor, RequestID: w.requestID}]
		if len(events) != 1 {
			l.tb.Errorf("%s: acknowledged %s has %d events", w.stream, w.requestID, len(events))
			continue
		}
		if e := events[0]; e.Seq != w.seq || e.ID != w.id || payloadBody(l.tb, e) != w.body {
			l.tb.Errorf("%s: %s was acknowledged as %d %s, and is %d %s in the log", w.stream, w.requestID, w.seq, w.id, e.Seq, e.ID)
		}
	}
	for stream, n := range streams {
		for i := range log.streams[stream] {
			if log.streams[stream][i].Type == "message.posted" {
				n--
			}
		}
		unheard -= n
	}
	return unheard
}

// repeat sends every acknowledged request once more: the first answer must
// come again, however it was sent.
func (l *load) repeat() {
	l.tb.Helper()
	clients := map[string]*client.Client{}
	for _, w := range l.written {
		if clients[w.actor] == nil {
			clients[w.actor] = dial(l.tb, l.url, w.actor)
		}
	}
	each(l.written, func(w written) {
		var replayed bool
		m, err := clients[w.actor].Send(l.tb.Context(), w.stream.ID(), client.NewMessage{Body: w.body},
			client.RequestID(w.requestID), client.Replayed(&replayed))
		if err != nil || !replayed || m.MessageID != w.id || m.Seq != w.seq {
			l.tb.Errorf("%s repeated: replayed %v as %d %s, not %d %s: %v", w.requestID, replayed, m.Seq, m.MessageID, w.seq, w.id, err)
		}
	})
}

// TestKill kills a server under load again and again. Nothing that it had
// acknowledged is lost or doubled.
func TestKill(t *testing.T) {
	t.Parallel()
	kills, seed := size(40, 24), rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	front := netfault.For(t, "127.0.0.1:1")
	server := startChild(t, dir)
	if !server.ready() {
		t.Fatal("the server did not start")
	}
	front.Aim(host(server.url))
	streams := killStreams(t, front.URL())
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	l := newLoad(t, front.URL())
	var writers sync.WaitGroup
	for i, s := range streams {
		for k := range 2 {
			writers.Go(func() { l.post(ctx, s, fmt.Sprintf("rest-%d-%d", i, k)) })
			writers.Go(func() { l.command(ctx, s, fmt.Sprintf("ws-%d-%d", i, k)) })
		}
	}
	early := 0
	for range kills {
		up := killSoon(ctx, t, server, l, rnd)
		if !up {
			early++
		}
		server = startChild(t, dir)
		if rnd.IntN(10) == 0 { // in the middle of its start
			continue
		}
		if !server.ready() {
			t.Fatal("the server did not come back")
		}
		front.Aim(host(server.url))
	}
	if server.url == "" && !server.ready() {
		t.Fatal("the server did not come back")
	}
	front.Aim(host(server.url))
	if err := l.await(ctx, l.acks.Load()+100); err != nil {
		t.Error("after the last start:", err)
	}
	stop()
	writers.Wait()
	l.repeat()
	terminate(t, server)
	log := readLog(t, dir)
	unheard := l.check(log)
	t.Logf("%d kills (%d before the server listened), %d acknowledged, all there; %d written without an acknowledgement; %d events in all",
		kills, early, len(l.written), unheard, log.events)
}

// killStreams are threads of two partitions and one that borrows its members.
func killStreams(t *testing.T, url string) []gotong.Stream {
	t.Helper()
	users := func(i int) []string {
		return []string{fmt.Sprintf("rest-%d-0", i), fmt.Sprintf("rest-%d-1", i), fmt.Sprintf("ws-%d-0", i), fmt.Sprintf("ws-%d-1", i)}
	}
	_, one := makeThread(t, url, "owner", client.NewThread{ScopeID: "rt05", Privacy: "private"}, users(0)...)
	_, two := makeThread(t, url, "owner", client.NewThread{ScopeID: "rt06", Privacy: "private"}, users(1)...)
	c := dial(t, url, "owner")
	g := must(c.CreateGroup(t.Context(), client.NewGroup{Name: "G", EntityType: "kelompok", JoinPolicy: "terbuka"}))(t)
	for _, user := range users(2) {
		must(c.AddGroupMember(t.Context(), g.GroupID, user, ""))(t)
	}
	_, three := makeThread(t, url, "owner", client.NewThread{ScopeID: g.GroupID, Privacy: "private", Members: "home"})
	return []gotong.Stream{one, two, three}
}

// killSoon kills a server at a random moment: after some time, or after some
// answers. It reports whether the server had got as far as listening.
func killSoon(ctx context.Context, t *testing.T, server *child, l *load, rnd *rand.Rand) bool {
	t.Helper()
	up := server.url != ""
	within, cancel := context.WithTimeout(ctx, time.Duration(rnd.IntN(150_000))*time.Microsecond)
	defer cancel()
	if up && rnd.IntN(2) == 0 {
		if err := l.await(ctx, l.acks.Load()+1+rnd.Int64N(150)); err != nil {
			t.Fatal(err)
		}
	} else {
		<-within.Done()
	}
	if err := server.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := server.cmd.Wait(); err == nil || server.cmd.ProcessState.ExitCode() != -1 {
		t.Errorf("the server was not killed: %v", err)
	}
	return up
}

// terminate asks a server to end, which it must do well.
func terminate(t *testing.T, server *child) {
	t.Helper()
	if err := server.cmd.Process.Signal(os.Signal(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	if err := server.cmd.Wait(); err != nil {
		t.Error("the server ended with", err)
	}
}
