package realtime

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// Submitter accepts commands in order and answers later; the engine is one.
type Submitter interface {
	Submit(ctx context.Context, cmd gotong.Command, done func(gotong.Receipt, error))
}

// Options configure the transports. All but Clock, Recheck, Origins, Allow,
// Observe and Trace are required.
type Options struct {
	// Context is the context of commands over a WebSocket, which continue after
	// their connection has ended.
	Context context.Context //nolint:containedctx // the process's, not a request's

	Hub    *live.Hub
	Engine Submitter
	Codec  *store.Codec
	Auth   httpapi.Authenticator
	Clock  clock.Clock // nil: the machine's
	Log    *slog.Logger

	// Ticket redeems a single-use ticket (browsers cannot set headers).
	Ticket func(ctx context.Context, ticket string) (auth.Principal, error)

	// Recheck returns an error if a principal that came by ticket is no longer
	// valid.
	Recheck func(ctx context.Context, p auth.Principal) error

	// Creates lists the kinds whose commands clients may send, each with a
	// function that returns the stream which a request of this actor creates.
	Creates map[string]func(actor, requestID string) gotong.Stream

	// Origins are the pages that may open a connection, beside the server's
	// own; "*" is all.
	Origins httpapi.Origins

	// Allow spends one command of a user's allowance. It returns false and the
	// time to wait if nothing is left.
	Allow func(userID string) (bool, time.Duration)

	// Observe receives the events of connections.
	Observe Observer

	// Trace continues the trace of a frame's traceparent.
	Trace func(ctx context.Context, traceparent, operation string) (context.Context, func())
}

// Observer receives events of the transports. Nil fields are not called.
type Observer struct {
	Opened func(transport string)
	Closed func(transport, reason string)
	Wrote  func(transport string, frames, bytes int, oldest gotong.Instant)
}

// times are the times of the protocol; only tests use others.
type times struct {
	heartbeat  time.Duration // between two pings of an idle connection
	silence    time.Duration // without a frame of the client, the connection is closed
	authWithin time.Duration // for the first auth frame
	stalled    time.Duration // a write without any progress
	closing    time.Duration // for writing the close frame
	asked      time.Duration // for commands in flight when the hub asks to close
	lingering  time.Duration // how long a closed connection is still read
	comment    time.Duration // between two comments on SSE
	read       time.Duration // how long a poll without a wait waits for the store
	pings      int           // control frames of a client in a second
}

var protocolTimes = times{
	heartbeat: 25 * time.Second, silence: time.Minute, authWithin: 5 * time.Second, stalled: 30 * time.Second,
	closing: 5 * time.Second, asked: 8 * time.Second, lingering: 2 * time.Second,
	comment: 20 * time.Second, read: 2 * time.Second, pings: 64,
}

const (
	defaultWait = 25 * time.Second
	maxWait     = 55 * time.Second
	maxFrame    = 64 << 10
	subprotocol = "gotong.v1"
	maxSpare    = 64 // workers that wait for frames
)

// Server serves everything under /v1/realtime/ except tickets.
type Server struct {
	opts     Options
	times    times
	portable bool // each connection is read by a goroutine of its own; for tests

	mu       sync.Mutex
	conns    map[*conn]struct{}
	follows  map[*follow]struct{}
	poller   poller
	readers  pool
	handlers pool // of frames
	pumps    pool
	running  running
	last     sync.WaitGroup // what readers have started since running was closed

	unfinished unfinished
}

// New returns the transports; [Server.Run] supervises their connections.
func New(opts Options) *Server {
	if opts.Clock == nil {
		opts.Clock = clock.System()
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Recheck == nil {
		opts.Recheck = func(context.Context, auth.Principal) error { return nil }
	}
	if opts.Allow == nil {
		opts.Allow = func(string) (bool, time.Duration) { return true, 0 }
	}
	if opts.Trace == nil {
		opts.Trace = func(ctx context.Context, _, _ string) (context.Context, func()) { return ctx, func() {} }
	}
	s := &Server{
		opts: opts, times: protocolTimes,
		conns: map[*conn]struct{}{}, follows: map[*follow]struct{}{},
		unfinished: unfinished{most: maxUnfinished, conns: map[*conn]holding{}},
	}
	s.readers.init(&s.running, (*conn).read, runtime.GOMAXPROCS(0), runtime.GOMAXPROCS(0))
	s.handlers.init(&s.running, (*conn).work, math.MaxInt, maxSpare)
	s.pumps.init(&s.running, (*conn).pump, runtime.GOMAXPROCS(0), runtime.GOMAXPROCS(0))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var handle http.HandlerFunc
	switch r.URL.Path {
	case "/v1/realtime/ws":
		handle = s.webSocket
	case "/v1/realtime/sse":
		handle = s.events
	case "/v1/realtime/poll":
		handle = s.poll
	}
	if handle == nil {
		httpapi.WriteProblem(w, r, gotong.NotFound())
		return
	}
	handle(w, r)
}

// Run pings idle connections and closes those that are silent, whose token has
// expired or that did not authenticate in time, until ctx ends. It then cuts
// those that are still open (the hub's drain, which closes sessions in good
// order, comes before) and returns nil when no goroutine of a connection runs
// any more. The Context of the options must end with ctx.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.end()
			return nil
		case <-tick.C:
			s.sweep()
		}
	}
}

// end cuts the connections and waits for everything that runs. A connection
// whose close frame is being written is not cut: it lingers for a bounded time,
// so that the frame arrives.
func (s *Server) end() {
	s.running.close() // every connection that was started is among all
	for _, c := range s.all() {
		if c.stop("cut") {
			c.wire.cut()
		}
	}
	s.poller.close()
	s.readers.close()
	s.handlers.close()
	s.pumps.close()
	s.running.wait()
	s.readers.drain()
	s.last.Wait()
}

func (s *Server) sweep() {
	now := s.opts.Clock.Mono()
	for _, c := range s.all() {
		c.tick(now)
	}
}

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}

// Logins returns the logins with open connections or requests, each once.
func (s *Server) Logins() []auth.Principal {
	found := map[string]auth.Principal{}
	for _, c := range s.all() {
		if p := c.principal.Load(); p != nil {
			found[p.LoginID] = p.Principal
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.follows {
		found[f.principal.LoginID] = f.principal.Principal
	}
	return slices.Collect(maps.Values(found))
}

// LoginsOf returns the logins of a user that have an open connection.
func (s *Server) LoginsOf(userID string) map[string]bool {
	of := map[string]bool{}
	for _, p := range s.Logins() {
		if p.UserID == userID {
			of[p.LoginID] = true
		}
	}
	return of
}

// EndLogin closes every connection that was opened by this login
// (contract D13: the time bound of a logout).
func (s *Server) EndLogin(loginID string) {
	for _, c := range s.all() {
		if p := c.principal.Load(); p != nil && p.LoginID == loginID {
			c.close(CloseUnauthorized, "logged out")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.follows {
		if f.principal.LoginID == loginID {
			f.end()
		}
	}
}

// Open returns the number of open connections and of open requests.
func (s *Server) Open() (webSockets, streams int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), len(s.follows)
}

// authenticate returns the principal of the header or of a ticket. Without
// either, it returns nil.
func (s *Server) authenticate(r *http.Request, ticket string) (p *httpapi.Principal, err error) {
	defer func() {
		if err == nil && p != nil {
			httpapi.CallOf(r.Context()).Principal = *p // for the log
		}
	}()
	if header := r.Header.Get("Authorization"); header != "" {
		token := httpapi.BearerToken(r)
		if token == "" {
			return nil, gotong.NewError(gotong.CodeUnauthorized, "Only bearer tokens are accepted.")
		}
		p, err := s.opts.Auth.Authenticate(r.Context(), token)
		return &p, err
	}
	if ticket != "" {
		p, err := s.opts.Ticket(r.Context(), ticket)
		return &httpapi.Principal{Principal: p}, err
	}
	return nil, nil
}

// lasts returns how long a token that expires then is valid. The time is
// measured from the opening of its connection, so that a step of the time of
// day does not end it.
func (s *Server) lasts(expires gotong.Instant) time.Duration {
	return expires.Sub(s.opts.Clock.Now())
}

// stillGood verifies the principal again, now that a logout can find the
// connection: a login that ended while the connection was being opened is not
// missed.
func (s *Server) stillGood(ctx context.Context, p *httpapi.Principal) bool {
	var err error
	if p.Token == "" { // it came by ticket
		err = s.opts.Recheck(ctx, p.Principal)
	} else {
		_, err = s.opts.Auth.Authenticate(ctx, p.Token)
	}
	return gotong.CodeOf(err) != gotong.CodeUnauthorized // an error of the store proves nothing
}

// query reads the parameters of an address and rejects all others. The edge has
// checked their form, and that none contains a token.
func query(r *http.Request, names ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, gotong.NewError(httpapi.CodeBadRequest, "The query of the URL is malformed.")
	}
	for name := range values {
		if !slices.Contains(names, name) {
			return nil, gotong.Invalid("query", "has an unknown parameter; known are "+strings.Join(names, ", "))
		}
	}
	return values, nil
}

// originAllowed reports whether the page may connect: programs send no Origin,
// the server's own pages come from its host, and others must be on the list.
func (s *Server) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || s.opts.Origins.Has(origin) || httpapi.Own(r, origin)
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
