package httpapi

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
)

// edge handles every request before the mux.
type edge struct {
	next    http.Handler
	clock   clock.Clock
	epoch   gotong.Epoch
	log     *slog.Logger
	proxies *proxies
	conns   *conns
	cors    cors
	address *Limiter
	watch   Observer
	trace   Tracer

	bodyTimeout time.Duration
}

// StatusClientGone is the status under which a request counts whose client left
// before it was answered. It is never sent.
const StatusClientGone = 499

// Observer receives each request when it has ended: the pattern that matched it,
// empty if none did, and the code of the problem, empty if there was none.
type Observer interface {
	Served(method, route string, status int, code string, took time.Duration)
}

// Tracer begins a request's part of a trace. The returned context is that of
// the request's handler; the function ends the part.
type Tracer func(r *http.Request) (context.Context, func(route string, status int))

// ServeHTTP gives the request its ids, serves or rejects it, and reports it
// when it has ended.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now() //nolint:forbidigo // a duration for the observer
	ctx, end := e.trace(r)
	call := &Call{
		Principal: anonymous, TraceID: traceID(ctx),
		CorrelationID: e.correlation(r), Address: addressKey(e.proxies.client(r)), Agent: r.UserAgent(), epoch: e.epoch, header: w.Header(),
		url: r.URL,
	}
	r = r.WithContext(context.WithValue(ctx, callKey{}, call))
	tap := &writer{ResponseWriter: w}
	boundBody(w, r, e.bodyTimeout)
	safeHeader(w.Header())
	w.Header().Set("X-Correlation-Id", call.CorrelationID)
	if ends(r) {
		w.Header().Set("Connection", "close")
	}
	defer func() {
		if tap.status == 0 && r.Context().Err() != nil {
			tap.status = StatusClientGone
		}
		if !call.kept {
			call.pending.Leave()
		}
		end(r.Pattern, tap.status)
		e.over(tap, r, call, time.Since(began)) //nolint:forbidigo // a duration
	}()
	defer func() { // runs before the report, which must happen even if this panics again
		if cause := recover(); cause != nil {
			e.failed(tap, r, cause)
		}
	}()
	if err := checkOnce(r.Header); err != nil {
		WriteProblem(tap, r, err)
		return
	}
	e.count(r, call)
	if e.cors.answer(tap, r) {
		return
	}
	if err := e.admit(r, call); err != nil {
		WriteProblem(tap, r, err)
		return
	}
	e.next.ServeHTTP(tap, r)
}

// unstorable reports whether some database rejects a text, also as the key of a search.
func unstorable(s string) bool { return !utf8.ValidString(s) || strings.Contains(s, "\x00") }

func (e *edge) admit(r *http.Request, call *Call) error {
	if err := e.address.allow(r.Context(), call.Address, e.clock.Mono()); err != nil {
		return err
	}
	if r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery) // an invalid part could be a position and must not be ignored
	for _, name := range [...]string{"access_token", "token", "jwt", "authorization"} {
		if query.Has(name) {
			return gotong.NewError(CodeBadRequest, "Do not send a token in a URL, because logs keep URLs; send Authorization: Bearer.")
		}
	}
	if err != nil {
		return gotong.NewError(CodeBadRequest, "The query of the URL is malformed.")
	}
	for name, list := range query {
		switch {
		case len(list) > 1 && name != "stream": // stream is the only list
			return gotong.Invalid("query", "has a parameter twice")
		case slices.ContainsFunc(list, unstorable) && name != "min_seq" && !slices.Contains(positions[:], name):
			return gotong.Invalid("query", "has a parameter that is no text")
		case !slices.Contains(list, ""): // an empty value is not an absent one
		case name == "cursor":
			return cursorInvalid()
		default:
			return gotong.Invalid("query", "has a parameter without a value")
		}
	}
	return nil
}

func (e *edge) correlation(r *http.Request) string {
	if id := r.Header.Get("X-Correlation-Id"); gotong.ValidRequestID(id) {
		return id
	}
	return newID(e.clock.Now())
}

// TraceOf returns the id of ctx's trace, or otherwise.
func TraceOf(ctx context.Context, otherwise string) string {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		return span.TraceID().String()
	}
	return otherwise
}

// traceID returns the id of the request's trace, or a random one.
func traceID(ctx context.Context) string {
	if id := TraceOf(ctx, ""); id != "" {
		return id
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// failed answers after a panic. Its cause is logged and never sent.
func (e *edge) failed(w *writer, r *http.Request, cause any) {
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	e.log.ErrorContext(r.Context(), "panic", "cause", cause, "trace_id", TraceID(r.Context()), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // an answer has begun; the connection is cut
	}
	WriteProblem(w, r, gotong.NewError(gotong.CodeInternal, "The server failed to handle the request."))
}

// over logs and counts a request that has ended. Both use the pattern, neither
// path nor query, which contain ids and cursors.
func (e *edge) over(w *writer, r *http.Request, call *Call, took time.Duration) {
	if e.watch != nil {
		e.watch.Served(r.Method, r.Pattern, w.status, string(call.code), took)
	}
	clientID := r.Header.Get("X-Request-Id")
	if !gotong.ValidRequestID(clientID) {
		clientID = ""
	}
	level := slog.LevelInfo
	if slices.Contains(healthRoutes[:], r.Pattern) {
		level = slog.LevelDebug // a line per check would hide the others
	}
	e.log.Log(r.Context(), level, "request", "method", r.Method, "route", r.Pattern, "status", w.status,
		"bytes", w.bytes, "took_ms", float64(took.Microseconds())/1000, "code", string(call.code),
		"user_id", call.Principal.UserID, "request_id", call.RequestID,
		"correlation_id", call.CorrelationID, "trace_id", call.TraceID, "client_request_id", clientID)
}

// safeHeader sets the headers of every answer; the pages for people set more.
func safeHeader(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
}

type writer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap gives http.ResponseController access to the connection.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends what is buffered.
func (w *writer) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack releases the connection to a WebSocket.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && w.status == 0 {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}
