//go:build !race

package realtime

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// blank accepts every commit at once and keeps none: what a post costs before
// and after its store. Reads come from the store that it began with, so that
// only a warm lane can post.
type blank struct {
	*memory.Store
	mu        sync.Mutex
	positions [gotong.Partitions]uint64
	outcome   [1]store.Outcome
}

func (s *blank) Submit(
	_ context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &batch[0]
	p := gotong.PartitionOf(c.Home)
	s.positions[p]++
	s.outcome[0] = store.Outcome{Status: store.Committed, Record: store.Record{
		Request: c.Request, Partition: p, Position: s.positions[p], First: c.Events[0].Seq, Last: c.Head().Seq, At: c.At,
	}}
	announce(s.outcome[:])
	done(s.outcome[:], nil)
}

// poster is a connection without a socket, whose frames go all the way to the
// store and whose answers are thrown away.
type poster struct {
	conn   *conn
	stream gotong.Stream
	frame  []byte // of the next post
	at     int    // where its number begins in frame
	n      uint64
	drawn  []live.Frame
}

const postNumbers = 10 // digits

// newPoster is the only member of a thread, after its first post. keep says
// whether the store keeps posts.
func newPoster(tb testing.TB, keep bool) *poster {
	tb.Helper()
	w, _, cancel, _ := newNode(tb)
	tb.Cleanup(cancel)
	stream := w.thread("ann")
	var to engine.Store = w.store
	if !keep {
		to = &blank{Store: w.store}
	}
	if err := w.engine.Close(context.Background()); err != nil {
		tb.Fatal(err)
	}
	e := engine.New(engine.Options{Store: to, Codec: w.codec, Clock: w.clock})
	tb.Cleanup(func() { _ = e.Close(context.Background()) })
	w.server.opts.Engine = e
	p := &poster{stream: stream}
	p.conn = &conn{server: w.server, correlation: "c1"}
	who := w.door.principal("ann")
	p.conn.principal.Store(&who)
	p.conn.pumping.Store(1) // nobody writes
	session, err := w.hub.Open(who.Viewer(), live.SessionOptions{Wake: p.conn.wake})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(session.Close)
	p.conn.session.Store(session)
	p.frame = fmt.Appendf(nil, `{"op":"command","id":"p%0*d","stream":"%s","request_id":"0192f0c5-7e3a-7c41-9d2b-%012d","type":"message.post",`+
		`"data":{"body":"Air mulai surut di gang tiga; pompa kedua bisa dipindah ke balai warga sore ini."}}`, postNumbers, 0, stream, 0)
	p.at = bytes.Index(p.frame, []byte(`"request_id":"`)) + len(`"request_id":"0192f0c5-7e3a-7c41-9d2b-00`)
	if err := p.post(); err != nil {
		tb.Fatal(err)
	}
	return p
}

// post handles the frame of one post, whose answer must be that it is durable.
func (p *poster) post() error {
	p.n++
	digits := strconv.AppendUint(make([]byte, 0, 20), 1e10+p.n, 10)[1:] // always ten
	copy(p.frame[p.at:], digits)
	p.conn.handle(bytes.Clone(p.frame)) // the reader hands over a copy
	return p.drain()
}

// drain waits until the answer is out, and looks at how it begins.
func (p *poster) drain() error {
	p.conn.mu.Lock()
	for p.conn.inflight > 0 {
		p.conn.room.wait(&p.conn.mu)
	}
	p.conn.mu.Unlock()
	session := p.conn.session.Load()
	p.drawn, _ = session.Take(p.drawn[:0], 1<<20)
	session.Written()
	if len(p.drawn) != 1 || !bytes.HasPrefix(p.drawn[0].JSON(), []byte(`{"op":"ack","id":"p`)) {
		return fmt.Errorf("%d answers, which should be one ack", len(p.drawn))
	}
	return nil
}

// postAllocs is how many objects one post may make, from the bytes of its frame
// to its answer, its store left out.
const postAllocs = 15

// TestAllocationsOfAPost keeps the cost of a post from creeping up. The count
// does not depend on the machine.
func TestAllocationsOfAPost(t *testing.T) {
	p := newPoster(t, false)
	var err error
	got := testing.AllocsPerRun(500, func() { err = cmp.Or(err, p.post()) })
	if err != nil {
		t.Fatal(err)
	}
	if got > postAllocs {
		t.Errorf("a post makes %v objects, at most %d are allowed", got, postAllocs)
	}
	t.Logf("%v objects per post", got)
}

// crowdAllocs is how many objects one event may make on its way from its commit
// to the hands of 100 readers, and crowd how many they are.
const (
	crowdAllocs = 45
	crowd       = 100
)

// readers are sessions that follow a thread and throw away what they get.
type readers struct {
	node     *world
	stream   gotong.Stream
	row      store.Event // the newest
	sessions []*live.Session
	drawn    []live.Frame
}

func newReaders(tb testing.TB) *readers {
	tb.Helper()
	w, ctx, cancel, _ := newNode(tb, func(s *setting) { s.limits.Poll, s.limits.UserSessions = time.Hour, crowd })
	ended := make(chan error)
	go func() { ended <- w.hub.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, w.engine.Close(context.Background())); err != nil {
			tb.Error(err)
		}
	})
	r := &readers{node: w, stream: w.thread("ann")}
	for range crowd {
		who := w.door.principal("ann")
		s, err := w.hub.Open(who.Viewer(), live.SessionOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		r.sessions = append(r.sessions, s)
		if err := s.Subscribe(live.Subscription{Stream: r.stream}); err != nil {
			tb.Fatal(err)
		}
	}
	err := r.draw(live.Subscribed)
	w.post("ann", r.stream, "Air mulai surut di gang tiga; pompa kedua bisa dipindah ke balai warga sore ini.")
	err = cmp.Or(err, r.draw(live.Events))
	snap, again := w.store.Load(tb.Context(), store.Need{Events: []store.EventRange{store.LastEvent(r.stream)}})
	if err := errors.Join(err, again); err != nil {
		tb.Fatal(err)
	}
	r.row = snap.Events[0][0]
	if err := r.event(); err != nil {
		tb.Fatal(err)
	}
	return r
}

// event is one event for all of them.
func (r *readers) event() error {
	r.row.Seq++
	r.row.Count++
	r.row.Position++
	r.node.hub.Offer(context.Background(), []store.Event{r.row})
	return r.draw(live.Events)
}

// draw reads from every session until each has received one frame of this sort;
// frames about presence do not count.
func (r *readers) draw(op live.Op) error {
	for _, s := range r.sessions {
		for had := 0; had == 0; runtime.Gosched() {
			r.drawn, _ = s.Take(r.drawn[:0], 1<<20)
			s.Written()
			for _, f := range r.drawn {
				switch f.Op() {
				case op:
					had++
				case live.SignalOp:
				default:
					return fmt.Errorf("a frame of sort %d, not %d: %s", f.Op(), op, f.JSON())
				}
			}
			if had > 1 {
				return errors.New("a frame came twice")
			}
		}
	}
	return nil
}

// TestAllocationsOfADelivery: what an event costs is its own, not each reader's.
func TestAllocationsOfADelivery(t *testing.T) {
	r := newReaders(t)
	var err error
	got := testing.AllocsPerRun(200, func() { err = cmp.Or(err, r.event()) })
	if err != nil {
		t.Fatal(err)
	}
	if got > crowdAllocs {
		t.Errorf("an event for %d readers makes %v objects, at most %d are allowed", crowd, got, crowdAllocs)
	}
	t.Logf("%v objects per event for %d readers", got, crowd)
}

// BenchmarkDelivery is an event from its commit to the hands of 100 readers,
// without sockets.
func BenchmarkDelivery(b *testing.B) {
	r := newReaders(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := r.event(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPost is a post from the bytes of its frame to its answer, without
// sockets: before a store that keeps nothing, and before the one in memory.
func BenchmarkPost(b *testing.B) {
	for _, store := range []string{"none", "memory"} {
		b.Run("store="+store, func(b *testing.B) {
			p := newPoster(b, store == "memory")
			b.ReportAllocs()
			for b.Loop() {
				if err := p.post(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodeFrame is the reading of a post's frame alone, its data left as
// it is.
func BenchmarkDecodeFrame(b *testing.B) {
	p := newPoster(b, false)
	b.ReportAllocs()
	for b.Loop() {
		if f, err := decodeFrame(p.frame); err != nil || f.Type != thread.CmdPost {
			b.Fatal(err)
		}
	}
}
