package realtime

import (
	"context"
	"net/http"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
)

// follow is what SSE and poll share: a session for one request.
type follow struct {
	session   *live.Session
	principal httpapi.Principal
	streams   []gotong.Stream
}

// followRequest opens a session and subscribes to what the request names. The
// error is that of the request; a subscription that was refused among others
// that were not comes as a frame.
func (s *Server) followRequest(r *http.Request, cursor string) (*follow, error) {
	principal, err := s.authenticate(r, false)
	if err != nil {
		return nil, err
	}
	if principal == nil {
		return nil, gotong.NewError(gotong.CodeUnauthorized, "Send a bearer token.")
	}
	subs, err := subscriptions(r.URL.Query()["stream"], cursor)
	if err != nil {
		return nil, err
	}
	session, err := s.opts.Hub.Open(principal.Reader(), live.SessionOptions{})
	if err != nil {
		return nil, gotong.NewError(httpapi.CodeUnavailable, "This node takes no more sessions.")
	}
	f := &follow{session: session, principal: *principal}
	if err := f.subscribe(r.Context(), subs); err != nil {
		session.Close()
		return nil, err
	}
	return f, nil
}

// subscriptions merges the streams of the address with those of the cursor,
// which go on where it says. "start" in place of a cursor begins at the first
// visible event.
func subscriptions(names []string, cursor string) ([]live.Subscription, error) {
	var known []gotong.StreamCursor
	fresh := live.Now()
	switch cursor {
	case "":
	case "start":
		fresh = live.First()
	default:
		var err error
		if known, err = gotong.ParseCursors(cursor); err != nil {
			return nil, err
		}
	}
	var subs []live.Subscription
	for _, k := range known {
		subs = append(subs, live.Subscription{Stream: k.Stream, Start: live.At(k.Cursor), Resumed: true})
	}
	for _, name := range names {
		stream, err := gotong.ParseStream(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(subs, func(s live.Subscription) bool { return s.Stream == stream }) {
			subs = append(subs, live.Subscription{Stream: stream, Start: fresh})
		}
	}
	switch {
	case len(subs) == 0:
		return nil, gotong.Invalid("stream", "is missing: name at least one")
	case len(subs) > gotong.MaxCursors:
		return nil, gotong.Invalid("stream", "may be given 32 times at most")
	}
	return subs, nil
}

// subscribe waits until it is known of every stream whether it may be read.
// Where none may, the request fails with the error of the first.
func (f *follow) subscribe(ctx context.Context, subs []live.Subscription) error {
	var first error
	accepted := false
	for _, sub := range subs {
		if err := f.session.Subscribe(sub); err != nil {
			return err
		}
	}
	for _, sub := range subs {
		err := f.session.Outcome(ctx, sub.Stream)
		switch {
		case err == nil || sub.Resumed && len(subs) > 1:
			accepted = true
		case first == nil:
			first = err
		}
	}
	if !accepted {
		return first
	}
	return nil
}

// until is when the token ends, as a context.
func (s *Server) until(ctx context.Context, p httpapi.Principal) (context.Context, context.CancelFunc) {
	left := p.Expires.Sub(s.opts.Now().Time())
	return context.WithTimeout(ctx, max(left, time.Millisecond))
}
