package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Options configure a Client. Only BaseURL is required.
type Options struct {
	// BaseURL is the server's http or https address, which may have a path.
	BaseURL string

	// Token returns the bearer token of each request; nil sends none.
	Token TokenSource

	// HTTPClient carries all requests and WebSockets. Its Timeout applies to
	// REST requests only. Nil means a client of its own with the defaults of
	// net/http.
	HTTPClient *http.Client

	// Dial opens the network connections where HTTPClient is nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Transports are tried in this order; nil is WebSocket, SSE, Poll.
	Transports []Transport

	// Backoff returns the wait before try number n (from 0) of an operation
	// that failed, unless the server named a wait. Nil is [FullJitter].
	Backoff func(n int) time.Duration

	// Climb is the interval at which better transports are tried; 0 is 30 s.
	Climb time.Duration

	// OpenWithin is the time that one transport has to open, up to the first sign
	// of life of the server; 0 is 10 s.
	OpenWithin time.Duration

	// Scale multiplies every wait and limit of silence that the client chooses
	// itself, Climb and Backoff included, but no wait that the server names. It is
	// for tests; 0 is 1.
	Scale float64

	// Log receives lost connections and ended subscriptions, never content or
	// tokens. If it is nil, nothing is logged.
	Log *slog.Logger
}

// Transport is a way to follow streams.
type Transport string

// The transports.
const (
	WebSocket Transport = "websocket"
	SSE       Transport = "sse"
	Poll      Transport = "poll"
)

// Client sends requests to one server. It is safe for concurrent use. Close it
// to close idle connections.
type Client struct {
	opts   Options
	base   *url.URL
	http   *http.Client // REST
	stream *http.Client // the same without a Timeout
	good   atomic.Int32 // index of the transport that worked last
}

// New returns a Client, or an error if the options are invalid.
func New(opts Options) (*Client, error) {
	base, err := url.Parse(opts.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("client: BaseURL %q is not an http or https address", opts.BaseURL)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	base.RawQuery, base.Fragment = "", ""
	if len(opts.Transports) == 0 {
		opts.Transports = []Transport{WebSocket, SSE, Poll}
	}
	for _, t := range opts.Transports {
		if t != WebSocket && t != SSE && t != Poll {
			return nil, fmt.Errorf("client: unknown transport %q", t)
		}
	}
	if opts.Backoff == nil {
		opts.Backoff = FullJitter
	}
	if opts.Climb == 0 {
		opts.Climb = 30 * time.Second
	}
	if opts.OpenWithin == 0 {
		opts.OpenWithin = 10 * time.Second
	}
	if opts.Scale == 0 {
		opts.Scale = 1
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{opts: opts, base: base, http: opts.HTTPClient}
	if c.http == nil {
		c.http = &http.Client{Transport: defaultTransport(opts.Dial)}
	}
	streaming := *c.http
	streaming.Timeout = 0
	if streaming.CheckRedirect == nil {
		streaming.CheckRedirect = checkRedirect // of net/http's own limit, a WebSocket handshake knows nothing
	}
	c.stream = &streaming
	return c, nil
}

// maxRedirects is the limit of net/http.
const maxRedirects = 10

func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("client: more than %d redirects", maxRedirects)
	}
	return nil
}

func defaultTransport(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dial,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// scaled returns a wait that the client chooses itself.
func (c *Client) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * c.opts.Scale)
}

// backoff returns the wait before try number n.
func (c *Client) backoff(n int) time.Duration { return c.scaled(c.opts.Backoff(n)) }

// Close closes idle connections. Each Conn ends with the context of its Run.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// The range of the waits, as the protocol requires.
const (
	backoffBase = 500 * time.Millisecond
	backoffCap  = 30 * time.Second
)

// FullJitter is the default Backoff. It returns a random wait between 0 and 0.5
// s × 2ⁿ, at most 30 s, so that clients that failed at the same time do not
// return at the same time.
func FullJitter(n int) time.Duration {
	most := backoffCap
	if n < 6 {
		most = min(backoffCap, backoffBase<<max(n, 0))
	}
	return rand.N(most) //nolint:gosec // spreads load; nobody gains by guessing it
}

// TokenSource returns bearer tokens. A [Session] is one.
type TokenSource interface {
	// Token returns the token to send. Refused is empty, or the token that the
	// server has just rejected with 401 or close code 4401; Token must then
	// return another one or an error.
	Token(ctx context.Context, refused string) (string, error)
}

// ErrTokenRefused is wrapped by the error of an operation that failed because
// the server rejected the token and the source had no other.
var ErrTokenRefused = errors.New("client: the server rejects the token, and there is no other")

// StaticToken returns a source of this one token.
func StaticToken(token string) TokenSource {
	return TokenFunc(func(context.Context) (string, error) { return token, nil })
}

// TokenFunc is a function as a TokenSource. It is called for each request. If
// it returns the rejected token again, the request fails with
// [ErrTokenRefused].
type TokenFunc func(ctx context.Context) (string, error)

// Token implements [TokenSource].
func (f TokenFunc) Token(ctx context.Context, refused string) (string, error) {
	t, err := f(ctx)
	if err == nil && t == refused && refused != "" {
		err = ErrTokenRefused
	}
	return t, err
}

func (c *Client) token(ctx context.Context, refused string) (string, error) {
	if c.opts.Token == nil {
		if refused != "" {
			return "", ErrTokenRefused
		}
		return "", nil
	}
	return c.opts.Token.Token(ctx, refused)
}

func (c *Client) address(path string, query url.Values) string {
	u := c.base.String() + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u
}

// sleep waits for d. It returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
