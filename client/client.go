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
	// BaseURL is where the server is: http or https, a host, perhaps a path.
	BaseURL string

	// Token gives the bearer token of each request; nil sends none.
	Token TokenSource

	// HTTPClient carries everything, WebSockets too. Its Timeout bounds REST
	// requests only. Nil is a client of its own with HTTP defaults.
	HTTPClient *http.Client

	// Dial opens the network connections where HTTPClient is nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Transports are tried in this order; nil is WebSocket, SSE, Poll.
	Transports []Transport

	// Backoff is the wait before try number n (from 0) of whatever failed,
	// unless the server said when. Nil is [FullJitter].
	Backoff func(n int) time.Duration

	// Climb is how often a better transport is tried; 0 is 30 s.
	Climb time.Duration

	// Log receives lost connections and ended subscriptions, never content or
	// tokens. Nil logs nothing.
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

// Client is safe for concurrent use. Close it to close idle connections.
type Client struct {
	opts   Options
	base   *url.URL
	http   *http.Client // REST
	stream *http.Client // the same without a Timeout
	good   atomic.Int32 // index of the transport that worked last
}

// New checks the options.
func New(opts Options) (*Client, error) {
	base, err := url.Parse(opts.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("client: BaseURL %q is no http or https address", opts.BaseURL)
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
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{opts: opts, base: base, http: opts.HTTPClient}
	if c.http == nil {
		c.http = &http.Client{Transport: defaultTransport(opts.Dial)}
	}
	streaming := *c.http
	streaming.Timeout = 0
	c.stream = &streaming
	return c, nil
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

// Close closes idle connections. Conns end with the context they run in.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// The spread of waits, as the protocol asks.
const (
	backoffBase = 500 * time.Millisecond
	backoffCap  = 30 * time.Second
)

// FullJitter is the default wait before try n: anything between 0 and 0.5 s
// doubled n times, 30 s at most, so that clients that failed together do not
// come back together.
func FullJitter(n int) time.Duration {
	most := backoffCap
	if n < 6 {
		most = min(backoffCap, backoffBase<<max(n, 0))
	}
	return rand.N(most) //nolint:gosec // spreads load; nobody gains by guessing it
}

// TokenSource gives bearer tokens. A [Session] is one.
type TokenSource interface {
	// Token gives the token to send. Refused is empty, or the token that the
	// server has just answered with 401 (or close code 4401), in which case
	// the same one will not do.
	Token(ctx context.Context, refused string) (string, error)
}

// ErrTokenRefused is in the error of whatever failed because the server did
// not take the token and there was no other.
var ErrTokenRefused = errors.New("client: the server rejects the token, and there is no other")

// StaticToken is a source of this one token.
func StaticToken(token string) TokenSource {
	return TokenFunc(func(context.Context) (string, error) { return token, nil })
}

// TokenFunc makes a source of a function. It is asked for each request; where
// it answers the refused token again, the request fails with [ErrTokenRefused].
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

// address is the URL of an escaped path below the base.
func (c *Client) address(path string, query url.Values) string {
	u := c.base.String() + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u
}

// sleep waits; false where ctx ended first.
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
