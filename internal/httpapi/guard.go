package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// guard runs before every operation: it authenticates, counts, and sets the
// idempotency key.
type guard struct {
	auth   Authenticator
	clock  clock.Clock
	log    *slog.Logger
	user   *Limiter
	strict *Limiter
	login  *Limiter
}

// deprecated is since when routes with a successor are deprecated: 2026-11-30 (RFC 9745).
const deprecated = "@1795996800"

// before is huma's middleware of every operation.
func (g *guard) before(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	route, call := routeOf(ctx), CallOf(ctx.Context())
	if route.Successor != "" {
		w.Header().Set("Deprecation", deprecated)
		w.Header().Add("Link", "<"+route.Successor+`>; rel="successor-version"`)
	}
	err := g.admit(r, route, call)
	if err == nil {
		err = strictParams(ctx)
	}
	if err == nil && route.Write {
		err = g.key(r, call)
		if call.RequestID != "" {
			w.Header().Set("Idempotency-Key", call.RequestID)
		}
	}
	if err != nil {
		g.note(r.Context(), err)
		WriteProblem(w, r, err)
		return
	}
	next(ctx)
}

// admit authenticates and counts. Authentication runs before anything that
// could reveal state (contract I11).
func (g *guard) admit(r *http.Request, route Route, call *Call) error {
	call.guard = g
	if route.Strict && !route.Counts {
		if err := g.strict.allow(r.Context(), call.Address, g.clock.Mono()); err != nil {
			return err
		}
	}
	call.Token = BearerToken(r)
	if route.Public {
		return call.Crowded()
	}
	if call.Token == "" {
		return gotong.NewError(gotong.CodeUnauthorized, "Send a token as Authorization: Bearer.")
	}
	principal, err := g.auth.Authenticate(r.Context(), call.Token)
	if err != nil {
		return err
	}
	call.Principal = principal
	if err := g.user.allow(r.Context(), principal.UserID, g.clock.Mono()); err != nil {
		return err
	}
	call.Authenticated() // requests without a bounded user stay bounded by address
	return nil
}

// Count spends one of the allowance of a route that counts by itself: if the
// caller proved an existing login, one of that login's, and otherwise one of
// the address, as the guard does for other strict routes.
func Count(ctx context.Context, login string) error {
	call := CallOf(ctx)
	g := call.guard
	switch {
	case g == nil: // no route matched the call
		return nil
	case login != "":
		return g.login.allow(ctx, login, g.clock.Mono())
	default:
		return g.strict.allow(ctx, call.Address, g.clock.Mono())
	}
}

// BearerToken returns the token in the Authorization header, or "". Tokens are
// accepted nowhere else.
func BearerToken(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// key returns the idempotency key, or makes one: a single attempt without retry
// protection (contract I1).
func (g *guard) key(r *http.Request, call *Call) error {
	sent := r.Header.Values("Idempotency-Key")
	if len(sent) == 0 {
		call.RequestID = g.newID()
		return nil
	}
	if err := validKey(sent[0]); err != nil {
		return err
	}
	call.RequestID, call.Keyed = sent[0], true
	return nil
}

func (g *guard) newID() string { return newID(g.clock.Now()) }

// newID returns a new UUIDv7.
func newID(now gotong.Instant) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return gotong.NewEventID(now, binary.BigEndian.Uint64(b[:])).String()
}

// public returns err as the client receives it. An internal error is logged
// under the trace id.
func (g *guard) public(ctx context.Context, err error) error {
	switch coded := store.Coded(err); {
	case coded != nil:
		err = coded
	case errors.Is(err, context.DeadlineExceeded): // the database does not answer
		g.note(ctx, err)
		err = store.CodedWrite(err)
	case ctx.Err() != nil: // the client left before the end
		err = store.CodedWrite(err)
	}
	g.note(ctx, err)
	return problem(ctx, err)
}

func (g *guard) note(ctx context.Context, err error) {
	if code := gotong.CodeOf(err); code != gotong.CodeInternal && code != gotong.CodeUnreadable {
		return
	}
	call := CallOf(ctx)
	g.log.ErrorContext(ctx, "request failed", "error", err, "trace_id", call.TraceID, "correlation_id", call.CorrelationID)
}
