package realtime

import (
	"bytes"
	"context"
	"net/http"
	"regexp"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
)

// poll answers at once if there are frames. Otherwise it answers after the
// requested wait, with an empty list and a fresh cursor.
func (s *Server) poll(w http.ResponseWriter, r *http.Request) {
	parameters, err := query(r, "stream", "cursor", "wait")
	var wait time.Duration
	if err == nil {
		wait, err = waitOf(parameters.Get("wait"))
	}
	if err != nil {
		httpapi.WriteProblem(w, r, err)
		return
	}
	ctx, f, err := s.followRequest(w, r, "", parameters["stream"], given(parameters["cursor"]))
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer f.close()
	s.opened("poll")
	frames := f.gather(ctx, wait)
	if len(frames) == 0 && !f.session.Complete() { // an empty list would mean that there are no events
		httpapi.WriteProblem(w, r, gotong.NewError(gotong.CodeBusy,
			"The server could not read the stream in time; ask again with the same cursor."))
		s.closed("poll", "busy")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	n, err := f.out.write(renderPoll(f.cursor(), frames))
	f.session.Written()
	s.wrote("poll", frames, n)
	s.closed("poll", wordOfEnd(err))
}

// waitOf reads a duration such as 25s, from 0 to 55 s. An empty text is 25 s.
func waitOf(text string) (time.Duration, error) {
	if text == "" {
		return defaultWait, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d > maxWait || !durationForm.MatchString(text) {
		return 0, gotong.Invalid("wait", "must be a duration from 0s to 55s")
	}
	return d, nil
}

// durationForm is one number with its unit, without a sign or leading zeros.
var durationForm = regexp.MustCompile(`^(0|[1-9]\d*)(\.\d+)?(ms|s)$|^0$`)

// maxPoll is the approximate size of one answer in bytes.
const maxPoll = 256 << 10

// gather collects frames until one is worth an answer, then all others that
// fit. Without a wait, it reads all frames that exist, as far as they fit.
func (f *follow) gather(ctx context.Context, wait time.Duration) []live.Frame {
	patience := wait
	if wait == 0 {
		patience = f.server.times.read
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var kept []live.Frame
	size := 0
	keep := func(frames []live.Frame) {
		f.advance(frames)
		for _, frame := range frames {
			// The cursor already says where a subscription begins. And a client
			// that polls appears and disappears: answers that reported that
			// would make other clients do the same.
			if frame.Op() != live.Subscribed && !isPresence(frame) {
				kept = append(kept, frame)
				size += len(frame.JSON())
			}
		}
		if len(kept) == 0 {
			f.session.Written()
		}
	}
	for {
		frames, more := f.session.Take(nil, max(1, maxPoll-size))
		keep(frames)
		enough := len(kept) > 0
		if wait == 0 {
			enough = f.session.Complete()
		}
		switch {
		case size >= maxPoll, enough && !more:
			return kept
		case more:
			continue
		}
		frames, _, err := f.session.Next(ctx, nil, max(1, maxPoll-size))
		keep(frames)
		if err != nil {
			return kept
		}
	}
}

func isPresence(f live.Frame) bool {
	return f.Op() == live.SignalOp && bytes.Contains(f.JSON(), []byte(`","type":"presence",`))
}

func renderPoll(cursor string, frames []live.Frame) []byte {
	b := append(make([]byte, 0, 1024), `{"cursor":`...)
	b = appendString(b, cursor)
	b = append(b, `,"frames":[`...)
	for i, f := range frames {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, f.JSON()...)
	}
	return append(b, ']', '}')
}
