package realtime

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lxzan/gws"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// Submitter takes commands in order and answers later; the engine is one.
type Submitter interface {
	Submit(ctx context.Context, cmd gotong.Command, done func(gotong.Receipt, error))
}

// Options configure the transports. All but Origins, Allow, Observe and Trace
// are required.
type Options struct {
	// Context is what commands over a WebSocket run under: they go on when
	// their connection is gone.
	Context context.Context //nolint:containedctx // the process's, not a request's

	Hub    *live.Hub
	Engine Submitter
	Codec  *store.Codec
	Auth   httpapi.Authenticator
	Now    func() gotong.Instant
	Log    *slog.Logger

	// Ticket redeems a single-use ticket (browsers cannot set headers).
	Ticket func(ctx context.Context, ticket string) (httpapi.Principal, error)

	// Creates lists the kinds whose commands clients may send, each with the
	// stream that a creating request of this actor makes.
	Creates map[string]func(actor, requestID string) gotong.Stream

	// Origins are the pages that may open a connection beside the server's own;
	// "*" is all.
	Origins []string

	// Allow spends one command of a user's allowance; false is refused with
	// how long to wait.
	Allow func(userID string) (bool, time.Duration)

	// Observe is told of connections and what they write.
	Observe Observer

	// Trace continues the trace of a frame's traceparent.
	Trace func(ctx context.Context, traceparent, operation string) (context.Context, func())
}

// Observer is told what the transports do; nil fields are not called.
type Observer struct {
	Opened func(transport string)
	Closed func(transport, reason string)
	Wrote  func(transport string, frames, bytes int, oldest gotong.Instant)
}

// The fixed times of the protocol.
const (
	heartbeat   = 25 * time.Second // between two pings of an idle connection
	silence     = 60 * time.Second // without a byte from the client it is gone
	authWithin  = 5 * time.Second  // for the first auth frame
	stalled     = 30 * time.Second // a write without any progress
	sseComment  = 20 * time.Second
	maxPollWait = 55 * time.Second
	maxFrame    = 64 << 10
	subprotocol = "gotong.v1"
)

// Server serves everything under /v1/realtime/ but tickets.
type Server struct {
	opts     Options
	upgrader *gws.Upgrader
	mux      *http.ServeMux

	mu    sync.Mutex
	conns map[*conn]struct{}

	streams atomic.Int64 // open SSE and poll requests
}

// New makes the transports; [Server.Run] keeps their times.
func New(opts Options) *Server {
	if opts.Allow == nil {
		opts.Allow = func(string) (bool, time.Duration) { return true, 0 }
	}
	if opts.Trace == nil {
		opts.Trace = func(ctx context.Context, _, _ string) (context.Context, func()) { return ctx, func() {} }
	}
	s := &Server{opts: opts, conns: map[*conn]struct{}{}, mux: http.NewServeMux()}
	s.upgrader = newUpgrader()
	s.mux.HandleFunc("GET /v1/realtime/ws", s.webSocket)
	s.mux.HandleFunc("GET /v1/realtime/sse", s.events)
	s.mux.HandleFunc("GET /v1/realtime/poll", s.poll)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := s.mux.Handler(r); pattern == "" {
		if slices.Contains([]string{"/v1/realtime/ws", "/v1/realtime/sse", "/v1/realtime/poll"}, r.URL.Path) {
			w.Header().Set("Allow", http.MethodGet)
			httpapi.WriteProblem(w, r, gotong.NewError(httpapi.CodeMethod, "Only GET is answered here."))
			return
		}
		httpapi.WriteProblem(w, r, gotong.NotFound())
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Run pings idle connections and closes those that are silent, whose token has
// expired or who never authenticated, until ctx ends. It closes none at its
// end; that is the hub's drain.
func (s *Server) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.sweep()
		}
	}
}

func (s *Server) sweep() {
	now := s.opts.Now()
	for _, c := range s.all() {
		c.tick(now)
	}
}

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// EndLogin closes every connection that was opened by this login
// (contract D13: the time bound of a logout).
func (s *Server) EndLogin(session string) {
	for _, c := range s.all() {
		if p := c.principal.Load(); p != nil && p.SessionID == session {
			c.close(CloseUnauthorized, "logged out")
		}
	}
}

// Open is how many connections and requests are open, by transport.
func (s *Server) Open() (webSockets, streams int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), int(s.streams.Load())
}

// authenticate reads who opens the connection: from the header, or, for a
// WebSocket only, from a ticket. Without either the principal is nil. A token
// in the address is refused whatever else is there.
func (s *Server) authenticate(r *http.Request, tickets bool) (*httpapi.Principal, error) {
	query := r.URL.Query()
	if query.Has("token") || query.Has("access_token") {
		return nil, gotong.NewError(httpapi.CodeBadRequest, "A token never travels in an address; use the header or a ticket.")
	}
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, gotong.NewError(gotong.CodeUnauthorized, "Only bearer tokens are taken.")
		}
		p, err := s.opts.Auth.Authenticate(r.Context(), strings.TrimSpace(token))
		return &p, err
	}
	if ticket := query.Get("ticket"); tickets && ticket != "" {
		p, err := s.opts.Ticket(r.Context(), ticket)
		return &p, err
	}
	return nil, nil
}

// originAllowed tells whether the page that asks may: programs send no Origin,
// the server's own pages come from its host, others must be on the list.
func (s *Server) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(s.opts.Origins, "*") || slices.Contains(s.opts.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

func (s *Server) opened(transport string) {
	if s.opts.Observe.Opened != nil {
		s.opts.Observe.Opened(transport)
	}
}

func (s *Server) closed(transport, reason string) {
	if s.opts.Observe.Closed != nil {
		s.opts.Observe.Closed(transport, reason)
	}
}

func (s *Server) wrote(transport string, frames []live.Frame, bytes int) {
	if s.opts.Observe.Wrote == nil {
		return
	}
	var oldest gotong.Instant
	for _, f := range frames {
		if f.At() > 0 && (oldest == 0 || f.At() < oldest) {
			oldest = f.At()
		}
	}
	s.opts.Observe.Wrote(transport, len(frames), bytes, oldest)
}
