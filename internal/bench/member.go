package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
)

// member is a connection with the streams to which it posts and which it
// follows.
type member struct {
	*Socket
	t        *trial
	threads  []*thread
	posts    bool              // it posts to them, in turns
	tracks   map[string]*track // of the streams that it follows; complete before its reader starts
	complete bool              // at the end it must have received everything
	cut      bool              // its connection ended early; the reader's until it has ended
	timed    bool              // the latency of what is delivered to it counts
	asleep   time.Duration     // how long it reads nothing, beginning a quarter into the measurement
	again    atomic.Bool       // a subscription was put off
	leaving  atomic.Bool       // it closes the connection itself
	gone     chan struct{}     // closed when nothing reads any more

	slots chan struct{} // a post in flight holds one
	until atomic.Int64  // the server asked for silence, in nanoseconds of the book
	text  string
}

// usualText is a message of everyday length.
const usualText = "Air mulai surut di gang tiga; pompa kedua bisa dipindah ke balai warga sore ini, tolong dua orang."

// maxInFlight bounds the posts in flight of an open schedule on a connection; a
// server reads no further command beyond 128.
const maxInFlight = 100

func (t *trial) member(s *Socket) *member {
	window := t.Window
	if window == 0 {
		window = maxInFlight
	}
	return &member{
		Socket: s, t: t, tracks: map[string]*track{}, text: usualText,
		slots: make(chan struct{}, window), gone: make(chan struct{}),
	}
}

func requestID() string {
	return gotong.NewEventID(gotong.InstantOf(time.Now()), rand.Uint64()).String()
}

// post sends the next post, which was due at due, to the thread of this turn.
func (m *member) post(due time.Time, turn int) error {
	n, ok := m.t.book.add(due)
	if !ok {
		return fmt.Errorf("bench: more than %d posts in one scenario", maxPosts)
	}
	m.t.outstanding.Add(1)
	id := strconv.FormatUint(n, 16)
	return m.WriteText("%s", command(id, m.threads[turn%len(m.threads)].stream, "message.post",
		fmt.Sprintf(`{"body":"#%08x %s"}`, n, m.text)))
}

// sendOpen posts at fixed instants until end, however the server responds.
func (m *member) sendOpen(ctx context.Context, first time.Time, every time.Duration, end time.Time) error {
	for turn := 0; ; turn++ {
		due := first.Add(time.Duration(turn) * every)
		if !due.Before(end) {
			return nil
		}
		if err := pause(ctx, time.Until(due)); err != nil {
			return err
		}
		if err := m.slot(ctx); err != nil {
			return err
		}
		if err := m.post(due, turn); err != nil {
			return err
		}
	}
}

// sendClosed keeps a post in flight in each slot, until end or until this
// number of posts; 0 is no bound.
func (m *member) sendClosed(ctx context.Context, end time.Time, posts int) error {
	for turn := 0; posts == 0 || turn < posts; turn++ {
		if err := m.slot(ctx); err != nil {
			return err
		}
		due := time.Now()
		if !due.Before(end) {
			<-m.slots
			return nil
		}
		if err := m.post(due, turn); err != nil {
			return err
		}
	}
	return nil
}

// slot waits for a free slot, and for the end of a wait that the server
// requested.
func (m *member) slot(ctx context.Context) error {
	select {
	case m.slots <- struct{}{}:
	case <-m.gone:
		return errCut
	case <-ctx.Done():
		return ctx.Err()
	}
	return pause(ctx, time.Until(m.t.book.origin.Add(time.Duration(m.until.Load()))))
}

// over reports whether the reader of the connection has ended.
func (m *member) over() bool {
	select {
	case <-m.gone:
		return true
	default:
		return false
	}
}

// read processes frames until the connection ends.
func (m *member) read(ctx context.Context) {
	defer close(m.gone)
	slept := false
	for {
		if !slept && m.asleep > 0 && m.t.begun(m.t.opts.For/4) {
			slept = true
			_ = pause(ctx, m.asleep)
		}
		frame, err := m.ReadText()
		if err == nil {
			err = m.take(frame)
		}
		if err != nil {
			if !m.t.ended.Load() && !m.leaving.Load() {
				m.cut = true
				m.t.broken.Add(1)
				m.t.fail(err)
			}
			return
		}
	}
}

var errCut = errors.New("bench: the connection ended")

var errRevoked = errors.New("bench: the server ended a subscription")

func (m *member) take(frame []byte) error {
	switch {
	case bytes.HasPrefix(frame, eventsFrame):
		m.events(frame)
	case bytes.HasPrefix(frame, ackFrame):
		m.acked(frame)
	case bytes.HasPrefix(frame, errorFrame):
		return m.refusal(frame)
	case bytes.HasPrefix(frame, []byte(`{"op":"access_revoked"`)), bytes.HasPrefix(frame, []byte(`{"op":"resync_required"`)):
		return errRevoked
	}
	return nil
}

func (m *member) events(frame []byte) {
	name, _, _ := bytes.Cut(frame[len(eventsFrame):], []byte(`"`))
	track := m.tracks[string(name)]
	if track == nil {
		return
	}
	at := time.Since(m.t.book.origin)
	eventsIn(frame, func(seq, n uint64, numbered bool) {
		track.see(seq)
		if !numbered {
			return
		}
		due, known, twice := m.t.book.committed(n, seq)
		if twice {
			m.t.doubled.Add(1)
		}
		if known && m.t.recorded(due) {
			m.t.delivered.Add(1)
			if m.timed {
				m.t.delivery.record(at - time.Duration(due))
			}
		}
	})
}

// acked records the answer to a post. Answers to other commands were read
// before the reader began.
func (m *member) acked(frame []byte) {
	n, seq := ackOf(frame)
	due, known, twice := m.t.book.committed(n, seq)
	if !known {
		return
	}
	if twice {
		m.t.doubled.Add(1)
	}
	if th := m.t.streams[between(string(frame), `"stream":"`, `"`)]; th != nil {
		raise(&th.head, seq)
	}
	if m.t.recorded(due) {
		m.t.ack.record(time.Since(m.t.book.origin) - time.Duration(due))
	}
	m.answered()
}

func (m *member) answered() {
	m.t.outstanding.Add(-1)
	select {
	case <-m.slots:
	default: // the server answered twice
	}
}

// refusal records an error frame. A rejected post is not sent again; any other
// error ends the connection.
func (m *member) refusal(frame []byte) error {
	id, refused := refusedBy(frame)
	_, odd := strconv.ParseUint(id, 16, 64)
	post := odd == nil
	if !post && !refused.passes() {
		return refused
	}
	if refused.passes() {
		m.until.Store(int64(time.Since(m.t.book.origin) + max(refused.RetryAfter, 10*time.Millisecond)))
	}
	switch {
	case refused.Status == http.StatusTooManyRequests:
		m.t.limited.Add(1)
	case post:
		m.t.refused.Add(1)
		m.t.fail(fmt.Errorf("bench: the server rejected a post: %w", refused))
	}
	if !post {
		m.again.Store(true)
		return nil
	}
	m.answered()
	return nil
}

func raise(to *atomic.Uint64, n uint64) {
	for {
		if old := to.Load(); old >= n || to.CompareAndSwap(old, n) {
			return
		}
	}
}
