package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
)

// Principal is the user that a token stands for.
type Principal struct {
	auth.Principal
	Token string // as presented; empty if the principal came by ticket
}

var anonymous = Principal{Principal: auth.Principal{Role: gotong.RoleAnonymous}}

// Tokens returns the [Authenticator] that verifies with s.
func Tokens(s *auth.Service) Authenticator { return tokens{s} }

type tokens struct{ *auth.Service }

func (t tokens) Authenticate(ctx context.Context, token string) (Principal, error) {
	p, err := t.Verify(ctx, token)
	return Principal{p, token}, err
}

// Actor returns the principal as events store it.
func (p Principal) Actor() gotong.Actor { return gotong.Actor{UserID: p.UserID, Role: p.Role} }

// Viewer returns the principal as the visibility function sees it.
func (p Principal) Viewer() gotong.Viewer { return gotong.Viewer{UserID: p.UserID, Role: p.Role} }

// Authenticator returns the principal of a bearer token, or
// [gotong.CodeUnauthorized] if the token is not valid.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Principal, error)
}

// Call describes a request beside its parameters.
type Call struct {
	Principal     Principal // zero for a public route
	RequestID     string    // the idempotency key; empty for a read
	Keyed         bool      // the client sent the key: it may repeat the request
	CorrelationID string
	TraceID       string
	Address       string // of the client, behind trusted proxies
	Agent         string // what the client calls itself
	Token         string // the bearer token as presented, verified or not
	epoch         gotong.Epoch
	pending       *Pending // of the connection; nil if it has no place
	kept          bool     // the caller of Pending frees it
	crowded       bool     // there was no place
	header        http.Header
	url           *url.URL
	guard         *guard
	code          gotong.Code // of the problem in the answer
}

type callKey struct{}

// CallOf returns the call of a request. Every handler of this package has one.
func CallOf(ctx context.Context) *Call {
	c, ok := ctx.Value(callKey{}).(*Call)
	if !ok {
		return &Call{Principal: anonymous, header: http.Header{}}
	}
	return c
}

// As returns a context for a read by the server itself that gets what a user would.
func As(ctx context.Context, viewer gotong.Viewer) context.Context {
	p := Principal{Principal: auth.Principal{UserID: viewer.UserID, Role: viewer.Role}}
	return context.WithValue(ctx, callKey{}, &Call{Principal: p, header: http.Header{}})
}

// TraceID returns the id of the request in traces, logs and problems.
func TraceID(ctx context.Context) string { return CallOf(ctx).TraceID }

// Command returns a command of this call. raw is the body as received, which
// the fingerprint covers. targets are the parts of path and header that name
// what the command changes and that the body does not repeat.
func (c *Call) Command(stream gotong.Stream, name string, data any, raw []byte, targets ...string) gotong.Command {
	return gotong.Command{
		Stream: stream, Type: name, Actor: c.Principal.Actor(), RequestID: c.RequestID,
		CorrelationID: c.CorrelationID, Data: data, Raw: raw, Targets: targets,
	}
}

// Executor runs commands; the engine is one.
type Executor interface {
	Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error)
}

// runTimeout bounds the wait for an outcome. If the store does not answer
// within it, the client learns that the outcome is unknown.
const runTimeout = 10 * time.Second

// Run executes a command of this call. It sets the headers of the answer: the
// cursor after the written events, with which a read can wait for them
// (contract D21), and whether the receipt is that of an earlier request.
func Run(ctx context.Context, exec Executor, cmd gotong.Command) (gotong.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	receipt, err := exec.Execute(ctx, cmd)
	if receipt.Last > 0 {
		call := CallOf(ctx)
		call.header.Set("X-Cursor", gotong.Cursor{Epoch: call.epoch, Seq: receipt.Last}.String())
	}
	if receipt.Replayed {
		Replayed(ctx)
	}
	return receipt, err
}

// Replayed sets the header that marks the answer as that of an earlier request.
func Replayed(ctx context.Context) { CallOf(ctx).header.Set("Idempotency-Replayed", "true") }

// Names returns the names of those of the users who have one.
type Names func(ctx context.Context, ids []string) map[string]string

// Awaiter waits for delivery; live.Hub is one.
type Awaiter interface {
	Await(ctx context.Context, p gotong.Partition, position uint64) error
}

// awaitTimeout bounds how long a removal waits for its own node.
const awaitTimeout = 5 * time.Second

// Settled returns when this node no longer sends anybody events that the commit
// withdrew from them (contract D13).
func Settled(ctx context.Context, hub Awaiter, r gotong.Receipt) error {
	if r.First == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, awaitTimeout)
	defer cancel()
	if hub.Await(ctx, r.Partition, r.Position) != nil {
		return gotong.NewError(gotong.CodeBusy, "Committed, but not yet effective on all nodes; repeat with the same request id.")
	}
	return nil
}

// ReceiptView is the bare answer to a write, for a user who may not (or no
// longer) read the stream.
type ReceiptView struct {
	Stream   gotong.Stream    `json:"stream"`
	Seq      []uint64         `json:"seq" doc:"First and last seq; empty if nothing had to change."`
	EventIDs []gotong.EventID `json:"event_ids"`
	At       gotong.Instant   `json:"at" format:"date-time"`
	Replayed bool             `json:"replayed"`
}

// ViewReceipt renders a receipt.
func ViewReceipt(r gotong.Receipt) ReceiptView {
	v := ReceiptView{Stream: r.Stream, Seq: []uint64{}, EventIDs: []gotong.EventID{}, At: r.At, Replayed: r.Replayed}
	if r.First > 0 {
		v.Seq, v.EventIDs = []uint64{r.First, r.Last}, r.EventIDs
	}
	return v
}
