package realtime

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
)

// poll answers at once where there is something, else after the wait asked
// for, with an empty list and a fresh cursor.
func (s *Server) poll(w http.ResponseWriter, r *http.Request) {
	wait, err := waitOf(r.URL.Query().Get("wait"))
	if err != nil {
		httpapi.WriteProblem(w, r, err)
		return
	}
	f, err := s.followRequest(r, r.URL.Query().Get("cursor"))
	if err != nil {
		httpapi.WriteProblem(w, r, err)
		return
	}
	defer f.session.Close()
	s.streams.Add(1)
	defer s.streams.Add(-1)
	s.opened("poll")
	ctx, cancel := s.until(r.Context(), f.principal)
	defer cancel()
	frames := gather(ctx, f.session, wait)
	body := renderPoll(f.session, frames)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	n, err := w.Write(body)
	f.session.Written()
	s.wrote("poll", frames, n)
	reason := "left"
	if err != nil {
		reason = "cut"
	}
	s.closed("poll", reason)
}

// waitOf reads a duration such as 25s: 0 to 55 s, 25 s where none is given.
func waitOf(text string) (time.Duration, error) {
	if text == "" {
		return heartbeat, nil
	}
	if n, err := strconv.Atoi(text); err == nil && n == 0 {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxPollWait {
		return 0, gotong.Invalid("wait", "must be a duration from 0s to 55s")
	}
	return d, nil
}

// readWithin bounds how long a poll without a wait lets a read of the store
// take.
const readWithin = 2 * time.Second

// maxPoll is about how many bytes one answer holds.
const maxPoll = 256 << 10

// gather takes frames until there is one worth answering, then all that fit.
// Without a wait it still lets reads that are under way finish: it is a plain
// read of the log.
func gather(ctx context.Context, session *live.Session, wait time.Duration) []live.Frame {
	patience := wait
	if wait == 0 {
		patience = readWithin
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var kept []live.Frame
	size := 0
	keep := func(frames []live.Frame) {
		for _, f := range frames {
			if f.Op() != live.Subscribed {
				kept = append(kept, f)
				size += len(f.JSON())
			}
		}
	}
	for size < maxPoll {
		frames, more := session.Take(nil, maxPoll-size)
		keep(frames)
		switch {
		case more:
			continue
		case len(kept) > 0, wait == 0 && !session.Behind():
			return kept
		}
		session.Written()
		frames, _, err := session.Next(ctx, nil, maxPoll)
		keep(frames)
		if err != nil {
			return kept
		}
	}
	return kept
}

func renderPoll(session *live.Session, frames []live.Frame) []byte {
	b := append(make([]byte, 0, 1024), `{"cursor":`...)
	b = appendString(b, gotong.FormatCursors(session.Cursors()))
	b = append(b, `,"frames":[`...)
	for i, f := range frames {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, f.JSON()...)
	}
	return append(b, ']', '}')
}
