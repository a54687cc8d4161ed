package realtime

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/store"
)

// Removal: no byte at or beyond its position, on any transport, and the answer
// to the remover only when that is so.
func TestRemoval(t *testing.T) {
	for _, home := range []bool{false, true} {
		t.Run(fmt.Sprint("home ", home), func(t *testing.T) { removal(t, home) })
	}
}

func removal(t *testing.T, home bool) {
	t.Helper()
	// No write is cut here because the machine is slow.
	w := newWorld(t)
	for round := range 8 {
		stream := w.thread("ann", "bob", "cici")
		governing := stream
		if home {
			governing, stream = w.homeThread("ann", "bob", "cici")
		}
		ws, cici := w.connect("bob"), w.connect("cici")
		start := ws.subscribe(stream, "")
		cici.subscribe(stream, "")
		other := w.thread("bob")
		ws.subscribe(other, "")
		sse := w.sse("bob", "?stream="+string(stream)+"&stream="+string(other), "")
		sse.want("subscribed")
		sse.want("subscribed")
		poll := w.polling("bob", "?wait=50s"+streams(other)+"&cursor="+cursorOf(stream, start.Head))
		stop := make(chan struct{})
		posted := make(chan struct{})
		go func() {
			defer close(posted)
			for i := range 300 { // as fast as it goes
				select {
				case <-stop:
					return
				default:
				}
				if _, err := w.try("cici", stream, thread.CmdPost, thread.Post{Body: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			}
		}()
		ann := w.connect("ann")
		ann.command(fmt.Sprint("remove", round), governing, "member.remove", map[string]any{"user_id": "bob"})
		r := ann.want("ack").Receipt
		close(stop)
		<-posted
		limit := w.seqAt(governing, stream, r)
		checkRemoved(t, ws.until("access_revoked"), stream, limit)
		sseFrames := []frame{}
		for {
			f := sse.next()
			sseFrames = append(sseFrames, f.frame)
			if f.Op == "access_revoked" {
				if list, err := gotong.ParseCursors(f.id); err != nil || len(list) != 1 || list[0].Stream != other {
					t.Errorf("the cursor after the end: %v %v", list, err)
				}
				break
			}
		}
		checkRemoved(t, sseFrames, stream, limit)
		a := <-poll
		checkRemoved(t, a.frames, stream, limit)
		// The other stream goes on, the revoked one is not mentioned again.
		w.post("bob", other, "of another stream")
		if f := ws.want("events"); f.Stream != other {
			t.Errorf("got %s", f.raw)
		}
		if f := sse.want("events"); f.Stream != other {
			t.Errorf("got %s", f.raw)
		}
		sse.close()
	}
}

// The answer to who removes waits for a write to who is removed, and such a
// write does not wait for its client: if it lasts, the connection is cut.
func TestRemovalDuringWrite(t *testing.T) {
	for name, cut := range map[string]time.Duration{"it ends": patience, "it is cut": 0} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(s *setting) { s.limits.Cut = cut })
			stream := w.thread("ann", "bob")
			bob := w.connect("bob")
			bob.subscribe(stream, "")
			c, workers := w.server.all()[0], 0
			p := &c.server.pumps
			w.until("all is written", func() bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				workers = p.workers
				return c.pumping.Load() == 0 && p.workers == p.waiting
			})
			c.wire.mu.Lock()
			w.post("ann", stream, "on its way")
			w.until("a worker waits for the wire", func() bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				return p.workers == workers-1
			})
			ann := w.connect("ann")
			ann.command("r", stream, thread.CmdRemove, map[string]any{"user_id": "bob"})
			if cut == 0 {
				if _, err := bob.read(); err == nil {
					t.Error("a frame came through a locked wire")
				}
				ann.want("ack") // nothing more can be written
				c.wire.mu.Unlock()
				return
			}
			w.until("the removal is done", func() bool { return w.hub.Stats().Subscriptions == 0 })
			ann.send("op", "ping", "id", "1")
			ann.want("pong") // and not the answer
			c.wire.mu.Unlock()
			ann.want("ack")
		})
	}
}

// The same where the client of SSE takes nothing: its write is cut after 100 ms,
// and the answer comes then.
func TestRemovalOfSlowSSE(t *testing.T) {
	onPipes(t, func(w *world, ask func(request string) (net.Conn, *bufio.Reader, *http.Response)) {
		stream := w.thread("ann", "bob")
		_, _, res := ask("GET /v1/realtime/sse?stream=" + string(stream) + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t-bob\r\n\r\n")
		defer func() { _ = res.Body.Close() }()
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() && !strings.Contains(lines.Text(), `"subscribed"`) { //nolint:revive // reads up to there
		}
		synctest.Wait()
		w.post("ann", stream, strings.Repeat("x", 3900)) // more than what reads ahead takes
		w.post("ann", stream, strings.Repeat("y", 3900))
		synctest.Wait()
		if w.hub.Stats().Subscriptions != 1 {
			t.Fatal("it does not follow")
		}
		began := time.Now()
		removal := w.remove("ann", stream, "bob")
		if err := w.hub.Await(w.t.Context(), removal.Partition, removal.Position); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("answered after %s", took)
		}
		w.ended("sse stalled")
	})
}

// until reads up to a frame of this op.
func (s *socket) until(op string) []frame {
	s.t.Helper()
	var all []frame
	for {
		f := s.next()
		all = append(all, f)
		if f.Op == op {
			return all
		}
	}
}

func checkRemoved(t *testing.T, frames []frame, stream gotong.Stream, limit uint64) {
	t.Helper()
	for _, f := range frames {
		if f.Op == "events" && f.Stream == stream && f.To >= limit {
			t.Errorf("at or beyond the removal (%d): %s", limit, f.raw)
		}
	}
}

// rows is the whole log of a stream.
func (w *world) rows(stream gotong.Stream) []store.Event {
	w.t.Helper()
	var rows []store.Event
	for {
		snap, err := w.store.Load(context.Background(), store.Need{
			Events: []store.EventRange{{Stream: stream, From: uint64(len(rows)), To: 1 << 40}},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(snap.Events[0]) == 0 {
			return rows
		}
		rows = append(rows, snap.Events[0]...)
	}
}

// seqAt is the first seq of a stream at or beyond a removal in another one of
// its partition.
func (w *world) seqAt(governing, stream gotong.Stream, r receipt) uint64 {
	w.t.Helper()
	removed := w.rows(governing)[r.Seq[0]-1]
	rows := w.rows(stream)
	for i := range rows {
		if rows[i].Position >= removed.Position {
			return rows[i].Seq
		}
	}
	return uint64(len(rows)) + 1
}

// homeThread is a thread that borrows the members of a group.
func (w *world) homeThread(owner string, others ...string) (home, stream gotong.Stream) {
	w.t.Helper()
	home = group.StreamOf(owner, fmt.Sprint("g", w.n.Add(1)))
	w.do(owner, home, group.CmdCreate, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
	for _, id := range others {
		w.do(owner, home, group.CmdAdd, group.Add{UserID: id})
	}
	stream = thread.StreamOf(owner, fmt.Sprint("t", w.n.Add(1)))
	w.do(owner, stream, thread.CmdCreate, thread.Create{ScopeID: home.ID(), Privacy: thread.Private, Members: thread.Home})
	return home, stream
}
