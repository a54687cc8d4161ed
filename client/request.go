package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"gotong.dev/gotong"
)

// CallOption changes one request or command.
type CallOption func(*callOptions)

type callOptions struct {
	requestID     string
	correlationID string
	traceparent   string
	replayed      *bool
	cursor        *From
	ifMatch       string
	device        string
}

// RequestID sets the request id of a write, instead of a new UUIDv7: the id of
// a request whose outcome is unknown, or an id that the program chooses.
func RequestID(id string) CallOption { return func(o *callOptions) { o.requestID = id } }

// Device sends the device token of an earlier sign-in with [Client.SignIn].
func Device(token string) CallOption { return func(o *callOptions) { o.device = token } }

// CorrelationID groups commands that belong together.
func CorrelationID(id string) CallOption { return func(o *callOptions) { o.correlationID = id } }

// Traceparent continues a trace (W3C Trace Context).
func Traceparent(v string) CallOption { return func(o *callOptions) { o.traceparent = v } }

// Replayed stores whether the answer was that of an earlier, equal request.
func Replayed(into *bool) CallOption { return func(o *callOptions) { o.replayed = into } }

// Cursor stores the cursor after a write, so that a [Range] can ask for what
// was written.
func Cursor(into *From) CallOption { return func(o *callOptions) { o.cursor = into } }

func optionsOf(list []CallOption) (callOptions, error) {
	var o callOptions
	for _, set := range list {
		set(&o)
	}
	if o.requestID == "" {
		o.requestID = NewRequestID()
	}
	if !gotong.ValidRequestID(o.requestID) {
		return o, gotong.Invalid("request_id", "must be 1 to 128 of A-Za-z0-9._:-")
	}
	return o, nil
}

// NewRequestID returns a new UUIDv7.
func NewRequestID() string {
	id, err := uuid.NewV7()
	if err != nil { // the machine has no randomness: nothing would be safe
		panic(err)
	}
	return id.String()
}

type op struct {
	method string
	path   string
	query  url.Values
	body   any
	raw    []byte       // in place of body
	sends  http.Header  // beside the usual ones
	open   bool         // sent without a token: to sign up and in
	once   bool         // not repeated, except with another token
	header *http.Header // receives the answer's header
	opts   []CallOption
}

// readTries is the number of times that a read is tried. A write is tried until
// ctx ends: it may have taken effect, so the client cannot report that it has
// not.
const readTries = 4

// do runs an operation and decodes its answer into out, unless out is nil. The
// body is encoded once, because the server compares the bytes of a repeated
// request.
func (c *Client) do(ctx context.Context, o op, out any) error {
	set, err := optionsOf(o.opts)
	if err != nil {
		return err
	}
	body := o.raw
	if o.body != nil {
		if body, err = json.Marshal(o.body); err != nil {
			return fmt.Errorf("client: encode %s: %w", o.path, err)
		}
	}
	write := o.method != http.MethodGet
	refused, unauthorized := "", 0
	for n := 0; ; n++ {
		token, err := c.try(ctx, o, set, body, refused, out)
		p := problemIn(err)
		switch {
		case err == nil:
			return nil
		case p != nil && p.Status == http.StatusUnauthorized && !o.open && unauthorized < 2:
			refused, unauthorized = token, unauthorized+1
			continue
		case o.once || !repeatable(err) || !write && n+1 >= readTries:
			return err
		}
		if !sleep(ctx, c.waitFor(err, n)) {
			if !write {
				return err
			}
			return &UnknownError{RequestID: set.requestID, Err: fmt.Errorf("%w: %w", ctx.Err(), err)}
		}
	}
}

// waitFor returns the wait after try number n, which failed.
func (c *Client) waitFor(err error, n int) time.Duration {
	if p := problemIn(err); p != nil && p.RetryAfter > 0 {
		return p.RetryAfter
	}
	return c.backoff(n)
}

// repeatable reports whether the outcome is unknown: the network failed, or the
// server reports it. Errors of the calling program are not repeatable.
func repeatable(err error) bool {
	var local *localError
	if errors.As(err, &local) || errors.Is(err, ErrTokenRefused) {
		return false
	}
	p := problemIn(err)
	return p == nil || p.Unknown()
}

// localError is an error on this side that a repetition does not solve.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// try sends the request once and returns the token that it carried.
func (c *Client) try(ctx context.Context, o op, set callOptions, body []byte, refused string, out any) (string, error) {
	req, err := http.NewRequestWithContext(ctx, o.method, c.address(o.path, o.query), bytes.NewReader(body))
	if err != nil {
		return "", &localError{err}
	}
	token := ""
	if !o.open {
		if token, err = c.token(ctx, refused); err != nil {
			return "", fmt.Errorf("client: token: %w", err)
		}
	}
	header(req.Header, o.method, set, token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, o.sends)
	res, err := c.http.Do(req)
	if err != nil {
		return token, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end or dropped
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return token, problemOf(res)
	}
	if o.header != nil {
		*o.header = res.Header
	}
	if set.replayed != nil {
		*set.replayed = res.Header.Get("Idempotency-Replayed") == "true"
	}
	if set.cursor != nil {
		*set.cursor = From(res.Header.Get("X-Cursor"))
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil || out == nil || len(b) == 0 {
		return token, err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return token, &localError{fmt.Errorf("client: decode %s: %w", o.path, err)}
	}
	return token, nil
}

func header(h http.Header, method string, set callOptions, token string) {
	h.Set("Accept", "application/json, application/problem+json")
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	if method != http.MethodGet {
		h.Set("Idempotency-Key", set.requestID)
	}
	for name, v := range map[string]string{
		"X-Correlation-Id": set.correlationID, "Traceparent": set.traceparent, "If-Match": set.ifMatch,
	} {
		if v != "" {
			h.Set(name, v)
		}
	}
}
