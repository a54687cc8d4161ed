package realtime

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"

	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
)

// events streams frames as server-sent events (WHATWG HTML, section 9.2). Each
// id is the cursor after its frame. Last-Event-ID takes precedence over the
// query.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	parameters, err := query(r, "stream", "cursor", "ticket")
	if err != nil {
		httpapi.WriteProblem(w, r, err)
		return
	}
	cursor := given(r.Header.Values("Last-Event-Id"), parameters["cursor"])
	ctx, f, err := s.followRequest(w, r, parameters.Get("ticket"), parameters["stream"], cursor)
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer f.close()
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	s.opened("sse")
	out := &eventStream{follow: f}
	s.closed("sse", out.run(ctx))
}

type eventStream struct {
	*follow
	buf    []byte
	frames []live.Frame
	id     string // the last one sent
}

// run writes until the client leaves, the token expires or the hub ends the
// stream. It returns the reason, as a label of a metric.
func (e *eventStream) run(ctx context.Context) string {
	// Browsers reconnect by themselves; the random time spreads them.
	e.buf = append(e.buf, "retry: "...)
	e.buf = strconv.AppendInt(e.buf, 1000+rand.Int64N(4000), 10) //nolint:gosec // jitter
	e.buf = append(e.buf, "\n\n"...)
	err := e.flush()
	for err == nil {
		err = e.next(ctx)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			e.buf = append(e.buf, ": still here\n\n"...)
			err = e.flush()
		}
	}
	return wordOfEnd(err)
}

// wordOfEnd returns why a request ended, as a label of a metric.
func wordOfEnd(err error) string {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "left"
	case errors.Is(err, live.ErrClosed):
		return "closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "stalled"
	default:
		return "cut"
	}
}

// next waits for frames and writes them, each with the cursor after it.
func (e *eventStream) next(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.server.times.comment)
	defer cancel()
	// One at a time, so that the cursor after each is known.
	one, more, err := e.session.Next(ctx, nil, 1)
	if err != nil {
		return err
	}
	for {
		e.append(one)
		if !more || len(e.buf) >= batchBytes {
			break
		}
		one, more = e.session.Take(one[:0], 1)
	}
	err = e.flush()
	e.session.Written()
	return err
}

// append renders the frames of one Take. Only the last has an id: it is the
// cursor after all of them, and a client that received only the first frames
// must not skip the rest.
func (e *eventStream) append(frames []live.Frame) {
	e.advance(frames)
	for i, f := range frames {
		if id := e.cursor(); i == len(frames)-1 && id != "" && id != e.id {
			e.id = id
			e.buf = append(e.buf, "id: "...)
			e.buf = append(e.buf, id...)
			e.buf = append(e.buf, '\n')
		}
		e.buf = append(e.buf, "data: "...)
		e.buf = append(e.buf, f.JSON()...)
		e.buf = append(e.buf, "\n\n"...)
	}
	e.frames = append(e.frames, frames...)
}

func (e *eventStream) flush() error {
	n, err := e.out.write(e.buf)
	if len(e.frames) > 0 {
		e.server.wrote("sse", e.frames, n)
	}
	clear(e.frames)
	e.frames, e.buf = e.frames[:0], e.buf[:0]
	if cap(e.buf) > 2*batchBytes {
		e.buf = nil // an idle stream keeps no page
	}
	return err
}
