package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
)

// follow is the session of one SSE or poll request.
type follow struct {
	server    *Server
	session   *live.Session
	out       *outlet
	principal httpapi.Principal
	end       context.CancelFunc // ends the request when its login ends
	cursors   []gotong.StreamCursor
}

// followRequest opens a session and subscribes to the streams that the request
// names. The returned context ends with the request, the token or the login. An
// error rejects the request; if only some subscriptions are rejected, each
// becomes a frame.
func (s *Server) followRequest(
	w http.ResponseWriter, r *http.Request, ticket string, names []string, cursor *string,
) (context.Context, *follow, error) {
	principal, err := s.authenticate(r, ticket)
	if err != nil {
		return nil, nil, err
	}
	if principal == nil {
		return nil, nil, gotong.NewError(gotong.CodeUnauthorized, "Send a bearer token.")
	}
	subs, err := subscriptions(names, cursor, httpapi.TraceID(r.Context()))
	if err != nil {
		return nil, nil, err
	}
	out := s.newOutlet(w)
	session, err := s.opts.Hub.Open(principal.Viewer(), live.SessionOptions{Kill: out.kill})
	switch {
	case gotong.CodeOf(err) == gotong.CodeRateLimited:
		return nil, nil, err
	case err != nil:
		return nil, nil, goingAway()
	}
	httpapi.CallOf(r.Context()).Authenticated() // now it counts as a session of the user
	ctx, cancel := context.WithTimeout(r.Context(), s.lasts(principal.Expires))
	f := &follow{server: s, session: session, out: out, principal: *principal, end: cancel}
	s.mu.Lock()
	s.follows[f] = struct{}{}
	s.mu.Unlock()
	good := s.stillGood(ctx, principal)
	if good {
		err = f.subscribe(ctx, subs)
		f.advance(nil)
	}
	_, asked := session.Closing()
	switch {
	case r.Context().Err() != nil:
		err = errLeft
	case !good, ctx.Err() != nil:
		err = gotong.NewError(gotong.CodeUnauthorized, "The token is not valid, or no longer valid.")
	case asked:
		err = goingAway()
	}
	if err != nil {
		f.close()
		return nil, nil, err
	}
	return ctx, f, nil
}

// given returns the first text that is present, or nil.
func given(texts ...[]string) *string {
	for _, list := range texts {
		if len(list) > 0 {
			return &list[0]
		}
	}
	return nil
}

func (f *follow) close() {
	f.end()
	f.server.mu.Lock()
	delete(f.server.follows, f)
	f.server.mu.Unlock()
	f.session.Close()
}

var errLeft = errors.New("realtime: the client left")

// refuse answers a request that cannot be followed. A client that left gets no
// answer.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, errLeft) {
		httpapi.WriteProblem(w, r, err)
	}
}

func goingAway() error {
	return gotong.NewError(httpapi.CodeUnavailable, "This node accepts no more sessions; try again.")
}

// subscriptions merges the streams of the address with those of the cursor,
// which continue where it says. With "start" in place of a cursor, streams
// begin at the first visible event; without a cursor, they begin now.
func subscriptions(names []string, cursor *string, trace string) ([]live.Subscription, error) {
	var known []gotong.StreamCursor
	fresh := live.Now()
	switch {
	case cursor == nil:
	case *cursor == "start":
		fresh = live.First()
	default:
		var err error
		if known, err = gotong.ParseCursors(*cursor); err != nil {
			return nil, err
		}
	}
	var subs []live.Subscription
	for _, k := range known {
		subs = append(subs, live.Subscription{Trace: trace, Stream: k.Stream, Start: live.At(k.Cursor), Resumed: true})
	}
	for _, name := range names {
		stream, err := gotong.ParseStream(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(subs, func(s live.Subscription) bool { return s.Stream == stream }) {
			subs = append(subs, live.Subscription{Trace: trace, Stream: stream, Start: fresh})
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

// subscribe waits until every subscription was accepted or rejected. If all are
// rejected, or a cursor does not fit the log, it returns the error.
func (f *follow) subscribe(ctx context.Context, subs []live.Subscription) error {
	for _, sub := range subs {
		if err := f.session.Subscribe(sub); err != nil {
			return goingAway()
		}
	}
	var first error
	accepted := false
	for _, sub := range subs {
		err := f.session.Outcome(ctx, sub.Stream)
		code := gotong.CodeOf(err)
		switch {
		case err == nil:
			accepted = true
		case errors.Is(err, live.ErrClosed), ctx.Err() != nil:
			return goingAway()
		case sub.Resumed && code != gotong.CodeNotFound:
			return err // never "from now", never "from the beginning" (contract D10)
		case first == nil:
			first = err
		}
	}
	if !accepted {
		return first
	}
	return nil
}

// advance sets the cursors to those after these frames, the frames of the last
// Take. An ended stream keeps its cursor until a frame has reported the end:
// otherwise the client would continue from now, and miss events.
func (f *follow) advance(frames []live.Frame) {
	current := f.session.Cursors()
	for _, was := range f.cursors {
		if slices.ContainsFunc(current, func(c gotong.StreamCursor) bool { return c.Stream == was.Stream }) {
			continue
		}
		if at, reported := reported(was, frames); !reported {
			current = append(current, at)
		}
	}
	f.cursors = current
}

// reported returns the cursor that an ended stream reached in these frames, and
// whether they report its end to the client.
func reported(at gotong.StreamCursor, frames []live.Frame) (gotong.StreamCursor, bool) {
	for _, f := range frames {
		var in struct {
			Op     string        `json:"op"`
			Stream gotong.Stream `json:"stream"`
			To     uint64        `json:"to"`
		}
		if err := json.Unmarshal(f.JSON(), &in); err != nil || in.Stream != at.Stream {
			continue
		}
		switch in.Op {
		case "events":
			at.Cursor.Seq = in.To
		case "access_revoked", "resync_required":
			return at, true
		}
	}
	return at, false
}

func (f *follow) cursor() string { return gotong.FormatCursors(f.cursors) }
