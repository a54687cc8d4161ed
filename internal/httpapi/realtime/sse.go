package realtime

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
)

// events streams frames as server-sent events (WHATWG HTML, section 9.2). Each
// id is the cursor after its frame; Last-Event-ID beats the query.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	cursor := r.Header.Get("Last-Event-ID")
	if cursor == "" {
		cursor = r.URL.Query().Get("cursor")
	}
	f, err := s.followRequest(r, cursor)
	if err != nil {
		httpapi.WriteProblem(w, r, err)
		return
	}
	defer f.session.Close()
	s.streams.Add(1)
	defer s.streams.Add(-1)
	s.opened("sse")
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	out := &eventStream{server: s, w: w, control: http.NewResponseController(w), session: f.session}
	ctx, cancel := s.until(r.Context(), f.principal)
	defer cancel()
	s.closed("sse", out.run(ctx))
}

// eventStream writes one response.
type eventStream struct {
	server  *Server
	w       http.ResponseWriter
	control *http.ResponseController
	session *live.Session
	buf     []byte
	frames  []live.Frame
	cursor  string
}

// run writes until the client is gone, the token ends or the hub asks for the
// end; it says why.
func (e *eventStream) run(ctx context.Context) string {
	// A browser comes back by itself: not all at the same moment.
	e.buf = append(e.buf, "retry: "...)
	e.buf = strconv.AppendInt(e.buf, 1000+rand.Int64N(4000), 10) //nolint:gosec // jitter
	e.buf = append(e.buf, "\n\n"...)
	if e.flush(0) != nil {
		return "cut"
	}
	for {
		err := e.next(ctx)
		if _, asked := e.session.Closing(); asked && len(e.frames) == 0 {
			return "closed"
		}
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			e.buf = append(e.buf, ": still here\n\n"...)
			err = e.flush(0)
		}
		switch {
		case ctx.Err() != nil:
			return "left"
		case err != nil:
			return "cut"
		}
	}
}

// next waits for frames and writes them, each with the cursor after it.
func (e *eventStream) next(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sseComment)
	defer cancel()
	e.frames = e.frames[:0]
	one, more, err := e.session.Next(ctx, nil, 1)
	if err != nil {
		return err
	}
	for {
		for _, f := range one {
			e.append(f)
		}
		e.frames = append(e.frames, one...)
		if !more || len(e.buf) >= batchBytes {
			break
		}
		one, more = e.session.Take(one[:0], 1)
	}
	err = e.flush(len(e.frames))
	e.session.Written()
	return err
}

// append renders one frame; the id is left out where the cursor did not move.
func (e *eventStream) append(f live.Frame) {
	if cursor := gotong.FormatCursors(e.session.Cursors()); f.Op() == live.Events || cursor != e.cursor {
		e.cursor = cursor
		e.buf = append(e.buf, "id: "...)
		e.buf = append(e.buf, cursor...)
		e.buf = append(e.buf, '\n')
	}
	e.buf = append(e.buf, "data: "...)
	e.buf = append(e.buf, f.JSON()...)
	e.buf = append(e.buf, "\n\n"...)
}

// flush writes what was rendered; the client may take its time as long as it
// takes anything for 30 s.
func (e *eventStream) flush(frames int) error {
	deadline := time.Now().Add(stalled) //nolint:forbidigo // a socket's deadline, not a time for a rule
	if err := e.control.SetWriteDeadline(deadline); err != nil {
		return err
	}
	n, err := e.w.Write(e.buf)
	if err == nil {
		err = e.control.Flush()
	}
	if frames > 0 {
		e.server.wrote("sse", e.frames, n)
	}
	e.buf = e.buf[:0]
	return err
}
