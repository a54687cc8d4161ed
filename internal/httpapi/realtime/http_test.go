package realtime

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"

	"gotong.dev/gotong"
)

// eventSource is a client of SSE, read by a parser that is not ours.
type eventSource struct {
	t      testing.TB
	status int
	header http.Header
	body   io.ReadCloser
	cancel context.CancelFunc
	frames chan eventFrame
	done   chan error
}

// narrow is a client whose kernel holds little of what it does not read.
var narrow = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if tcp, ok := c.(*net.TCPConn); ok {
		err = tcp.SetReadBuffer(4 << 10)
	}
	return c, err
}}}

type eventFrame struct {
	frame
	id string
}

// sse opens a stream, which must be accepted.
func (w *world) sse(as, query, lastID string) *eventSource {
	w.t.Helper()
	e := w.trySSE(as, query, lastID)
	if e.status != http.StatusOK || e.header.Get("Content-Type") != "text/event-stream" ||
		e.header.Get("Cache-Control") != "no-store" || e.header.Get("X-Accel-Buffering") != "no" {
		b, _ := io.ReadAll(e.body)
		w.t.Fatalf("got %d %v %s", e.status, e.header, b)
	}
	go e.read()
	return e
}

func (w *world) trySSE(as, query, lastID string) *eventSource {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.addr+"/v1/realtime/sse"+query, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	if as != "" {
		r.Header.Set("Authorization", "Bearer t-"+as)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	through := plain
	if w.tap.buffer.Load() > 0 {
		through = narrow
	}
	res, err := through.Do(r) //nolint:bodyclose // the source closes it
	if err != nil {
		w.t.Fatal(err)
	}
	e := &eventSource{t: w.t, status: res.StatusCode, header: res.Header, body: res.Body, cancel: cancel, frames: make(chan eventFrame, 1<<14), done: make(chan error, 1)}
	w.t.Cleanup(e.close)
	return e
}

func (e *eventSource) close() {
	e.cancel()
	_ = e.body.Close()
}

func (e *eventSource) read() {
	defer close(e.frames)
	for ev, err := range sse.Read(e.body, &sse.ReadConfig{MaxEventSize: 16 << 20}) {
		if err != nil {
			e.done <- err
			return
		}
		theContract().check(e.t, fromServer, []byte(ev.Data))
		f := frame{raw: ev.Data}
		if err := json.Unmarshal([]byte(ev.Data), &f); err != nil {
			e.t.Errorf("%v: %s", err, ev.Data)
		}
		if !f.presence() {
			e.frames <- eventFrame{f, ev.LastEventID}
		}
	}
	e.done <- nil
}

func (e *eventSource) next() eventFrame {
	e.t.Helper()
	select {
	case f, ok := <-e.frames:
		if !ok {
			e.t.Fatal("the stream has ended")
		}
		return f
	case <-time.After(patience):
		e.t.Fatal("no frame came")
	}
	panic("unreachable")
}

func (e *eventSource) want(op string) eventFrame {
	e.t.Helper()
	f := e.next()
	if f.Op != op {
		e.t.Fatalf("got %s, want %s", f.raw, op)
	}
	return f
}

// over waits for the end of the stream.
func (e *eventSource) over() {
	e.t.Helper()
	for {
		select {
		case f, ok := <-e.frames:
			if !ok {
				return
			}
			if f.Op == "events" {
				e.t.Errorf("events before the end: %s", f.raw)
			}
		case <-time.After(patience):
			e.t.Fatal("the stream goes on")
		}
	}
}

// polled is the answer to a poll.
type polled struct {
	Cursor string            `json:"cursor"`
	Frames []json.RawMessage `json:"frames"`
	frames []frame
	status int
}

// poll asks and wants an answer.
func (w *world) poll(as, query string) polled {
	w.t.Helper()
	select {
	case a := <-w.polling(as, query):
		if a.status != http.StatusOK {
			w.t.Fatalf("got %d for %s", a.status, query)
		}
		return a
	case <-time.After(patience):
		w.t.Fatal("no answer")
	}
	panic("unreachable")
}

// polling sends a poll and returns once it follows its streams: later events are
// in its answer, and earlier ones may have rejected it.
func (w *world) polling(as, query string) <-chan polled {
	w.t.Helper()
	answer, before := make(chan polled, 1), w.polls.Load()
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.addr+"/v1/realtime/poll"+query, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer t-"+as)
	go func() {
		a := polled{status: -1}
		defer func() { answer <- a }()
		res, err := plain.Do(r)
		if err != nil {
			return
		}
		defer func() { _ = res.Body.Close() }()
		a.status = res.StatusCode
		b, err := io.ReadAll(res.Body)
		if err != nil || a.status != http.StatusOK {
			return
		}
		theContract().checkPoll(w.t, b)
		if err := json.Unmarshal(b, &a); err != nil {
			w.t.Errorf("%v: %s", err, b)
		}
		for _, raw := range a.Frames {
			if f := parseFrame(w.t, raw); !f.presence() {
				a.frames = append(a.frames, f)
			}
		}
	}()
	w.until("the poll follows, or has its answer", func() bool { return w.polls.Load() > before || len(answer) > 0 })
	return answer
}

func (p polled) seqs(s gotong.Stream) []uint64 {
	var seqs []uint64
	for _, f := range p.frames {
		for _, e := range f.Events {
			if f.Stream == s {
				seqs = append(seqs, e.Seq)
			}
		}
	}
	return seqs
}

func cursorOf(s gotong.Stream, seq uint64) string {
	return gotong.FormatCursors([]gotong.StreamCursor{{Stream: s, Cursor: gotong.Cursor{Epoch: "test", Seq: seq}}})
}

func bearer(id string) []string { return []string{"Authorization", "Bearer t-" + id} }

func streams(list ...gotong.Stream) string {
	q := ""
	for _, s := range list {
		q += fmt.Sprint("&stream=", s)
	}
	return q
}
