package surreal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Options bounds a Client. A zero field is its default.
type Options struct {
	Sockets    int           // of the pool; default 4. Config.Sockets wins
	InFlight   int           // calls on one socket; further ones wait; default 128
	Dial       time.Duration // to connect, sign in and enter the database; default 5 s
	Call       time.Duration // the longest call; default 30 s
	Ping       time.Duration // silence before a ping; default 2 s
	Stall      time.Duration // until a ping must be answered or a write accepted; default 2.5 s
	Backoff    time.Duration // the first pause after a failed connect; doubles; default 50 ms
	MaxBackoff time.Duration // the longest pause; default 2 s
	MaxMessage int64         // bytes of a request and of an answer; default 32 MiB
	Notes      int           // notifications that wait for Live.Next; default 4096
	TLS        *tls.Config   // for surreals://; nil for the system's roots
	// Changed is called for each socket that opens (with nil) or closes (with the
	// reason). It must not block.
	Changed func(err error)
}

func (o Options) withDefaults(cfg Config) Options {
	set(&o.Sockets, 4)
	set(&o.InFlight, 128)
	set(&o.Dial, 5*time.Second)
	set(&o.Call, 30*time.Second)
	set(&o.Ping, 2*time.Second)
	set(&o.Stall, 2500*time.Millisecond)
	set(&o.Backoff, 50*time.Millisecond)
	set(&o.MaxBackoff, 2*time.Second)
	set(&o.MaxMessage, 32<<20)
	set(&o.Notes, 4096)
	if cfg.Sockets > 0 {
		o.Sockets = cfg.Sockets
	}
	if o.Changed == nil {
		o.Changed = func(error) {}
	}
	return o
}

func set[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Client is a pool of sockets to one database. Safe for concurrent use.
type Client struct {
	cfg  Config
	opts Options
	http *http.Client

	ctx    context.Context //nolint:containedctx // ends with Close, for what outlives the call of Open
	cancel context.CancelCauseFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	ready   []*socket
	opened  uint64        // sockets, ever
	arrived chan struct{} // closed, and made anew, when a socket is ready or a connect fails
	failed  error         // of the last connect, nil after one that worked
	version Version
}

// Open connects one socket, signs in and enters the database; the other sockets
// connect in the background. If the login is rejected, the error wraps [ErrAuth].
func Open(ctx context.Context, cfg Config, opts Options) (*Client, error) {
	opts = opts.withDefaults(cfg)
	c := &Client{cfg: cfg, opts: opts, arrived: make(chan struct{})}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:     (&net.Dialer{Timeout: opts.Dial, KeepAlive: opts.Ping}).DialContext,
			TLSClientConfig: opts.TLS,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	first, err := c.connect(ctx, nil)
	if err != nil {
		c.cancel(ErrClosed)
		return nil, err
	}
	c.enter(first)
	for i := range opts.Sockets {
		var s *socket
		if i == 0 {
			s = first
		}
		c.ended.Go(func() { c.keep(s) })
	}
	return c, nil
}

// Close ends all sockets. Calls in flight and subscriptions fail at once with
// [ErrClosed]; their owners still close the subscriptions.
func (c *Client) Close() {
	c.cancel(ErrClosed)
	c.ended.Wait()
	c.http.CloseIdleConnections()
}

// Version returns the server's version, as the latest socket received it.
func (c *Client) Version() Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version
}

// Ready returns how many sockets can serve a call now.
func (c *Client) Ready() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ready)
}

// Opened returns how many sockets have been opened since Open.
func (c *Client) Opened() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened
}

// keep maintains one socket of the pool: it connects, waits for the socket's end,
// and connects again, after a pause that grows with each failure.
func (c *Client) keep(s *socket) {
	pause := c.opts.Backoff
	for {
		if s == nil {
			var err error
			if s, err = c.connect(c.ctx, nil); err != nil {
				c.missed(err)
				if !c.wait(pause) {
					return
				}
				pause = min(2*pause, c.opts.MaxBackoff)
				continue
			}
			c.enter(s)
		}
		pause = c.opts.Backoff
		select {
		case <-s.done:
			c.leave(s)
			s.stop(nil)
			s = nil
		case <-c.ctx.Done():
			c.leave(s)
			s.stop(ErrClosed)
			return
		}
	}
}

func (c *Client) wait(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

func (c *Client) enter(s *socket) {
	c.mu.Lock()
	c.ready = append(c.ready, s)
	c.opened++
	c.failed = nil
	close(c.arrived)
	c.arrived = make(chan struct{})
	c.mu.Unlock()
	c.opts.Changed(nil)
}

func (c *Client) leave(s *socket) {
	c.mu.Lock()
	c.ready = slices.DeleteFunc(c.ready, func(r *socket) bool { return r == s })
	c.mu.Unlock()
	c.opts.Changed(s.reason())
}

func (c *Client) missed(err error) {
	c.mu.Lock()
	c.failed = err
	close(c.arrived)
	c.arrived = make(chan struct{})
	c.mu.Unlock()
	c.opts.Changed(err)
}

func (c *Client) connect(ctx context.Context, note func(Raw) error) (*socket, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Dial, errors.New("the server did not answer in time"))
	defer cancel()
	conn, response, err := websocket.Dial(ctx, c.cfg.rpc(), &websocket.DialOptions{
		HTTPClient:   c.http,
		Subprotocols: []string{"cbor"},
	})
	if response != nil && response.Body != nil {
		_ = response.Body.Close()
	}
	if err != nil {
		return nil, &ConnError{Err: fmt.Errorf("cannot connect to %s: %w", c.cfg.Address, err)}
	}
	if conn.Subprotocol() != "cbor" {
		_ = conn.CloseNow()
		return nil, &ConnError{Err: fmt.Errorf("%s does not offer SurrealDB's RPC in CBOR", c.cfg.Address)}
	}
	s := start(c.ctx, conn, c.opts, note)
	if err := c.prepare(ctx, s); err != nil {
		s.stop(err)
		return nil, &ConnError{Err: fmt.Errorf("%s: %w", c.cfg.Address, err)} // no call was sent yet
	}
	return s, nil
}

// prepare signs in, enters the database and asks for the version.
func (c *Client) prepare(ctx context.Context, s *socket) error {
	if login := c.cfg.Login; login.method != "" {
		if _, err := s.call(ctx, login.method, []any{login.params}); err != nil {
			return refused(err)
		}
	}
	if _, err := s.call(ctx, "use", []any{c.cfg.Namespace, c.cfg.Database}); err != nil {
		return fmt.Errorf("entering the database: %w", err)
	}
	raw, err := s.call(ctx, "version", nil)
	if _, refused := errors.AsType[*Error](err); refused {
		return nil // the user may not ask; then the version is unknown
	}
	if err != nil {
		return fmt.Errorf("asking for the version: %w", err)
	}
	var text string
	if err := Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("reading the version: %w", err)
	}
	c.mu.Lock()
	c.version = parseVersion(text)
	c.mu.Unlock()
	return nil
}

// refused adds [ErrAuth] to the error of a login that was rejected, as opposed to
// one without an answer.
func refused(err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return fmt.Errorf("%w: %w", ErrAuth, err)
	}
	return err
}

// Version is the version of a server. The zero Version means that the server does
// not report one.
type Version struct {
	Major, Minor, Patch int
	Text                string // as the server reports it
}

var versionForm = regexp.MustCompile(`(\d{1,4})\.(\d{1,4})\.(\d{1,4})`)

func parseVersion(text string) Version {
	v := Version{Text: text}
	if m := versionForm.FindStringSubmatch(text); m != nil {
		v.Major, _ = strconv.Atoi(m[1]) // digits, by the form
		v.Minor, _ = strconv.Atoi(m[2])
		v.Patch, _ = strconv.Atoi(m[3])
	}
	return v
}

// String returns the three numbers.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }
