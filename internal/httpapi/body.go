package httpapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/jsonx"
)

// The bounds of one body: its size and, if the options set none, the time for
// its arrival.
const (
	maxBody     = 256 << 10
	bodyTimeout = 10 * time.Second
)

// Body is the JSON object of a request. It is a field of an input, under any
// name but Body, which huma reserves.
type Body[T any] struct {
	Value T
	Raw   []byte // as received; it belongs to the handler
}

// Resolve reads the body; huma calls it.
func (b *Body[T]) Resolve(ctx huma.Context) []error {
	raw, err := readBody(ctx)
	if err == nil {
		b.Raw = raw
		err = decode(ctx, raw, &b.Value)
	}
	return faults(err)
}

func (b *Body[T]) bodyType() reflect.Type { return reflect.TypeFor[T]() }

// OptionalBody is a [Body] that may be missing.
type OptionalBody[T any] struct{ Body[T] }

// Resolve reads the body if there is one; huma calls it.
func (b *OptionalBody[T]) Resolve(ctx huma.Context) []error {
	raw, err := readBody(ctx)
	if err == nil && len(raw) > 0 {
		b.Raw = raw
		err = decode(ctx, raw, &b.Value)
	}
	return faults(err)
}

func (b *OptionalBody[T]) optional() {}

// NoBody is the body of an operation that accepts none: empty, or {}.
type NoBody struct{}

// Resolve reads the body and rejects all but {}; huma calls it.
func (b *NoBody) Resolve(ctx huma.Context) []error {
	raw, err := readBody(ctx)
	if err == nil && len(raw) > 0 {
		err = jsonx.Unmarshal(raw, &struct{}{})
	}
	return faults(err)
}

// faults returns an error as huma takes it.
func faults(err error) []error {
	if err != nil {
		return []error{err}
	}
	return nil
}

// Sent is the input of an operation that has only a body.
type Sent[B any] struct{ JSON Body[B] }

// SentTo is the input of an operation on one thing, with a body.
type SentTo[B any] struct {
	In
	JSON Body[B]
}

// MaybeSentTo is the input of an operation on one thing, with a body that may be missing.
type MaybeSentTo[B any] struct {
	In
	JSON OptionalBody[B]
}

// SentNothing is the input of an operation on one thing that accepts no body.
type SentNothing struct {
	In
	Empty NoBody
}

// Out is an answer that is only a body.
type Out[T any] struct{ Body T }

// NextPage implements [Paged], if the body does.
func (o *Out[T]) NextPage() (parameter, value string) {
	if paged, ok := any(o.Body).(Paged); ok {
		return paged.NextPage()
	}
	return "", ""
}

// Reply is the answer with this body, unless there is an error.
func Reply[T any](body T, err error) (*Out[T], error) { return &Out[T]{Body: body}, err }

// readBody reads all of the body, once, within its bounds.
func readBody(ctx huma.Context) ([]byte, error) {
	r, w := humago.Unwrap(ctx)
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		// The server continues to read in the background, to notice a client
		// that leaves; an old deadline would look like one. After a failure the
		// deadline stays, so that nothing waits for the rest of the body.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a recorder has none
	}
	var tooLarge *http.MaxBytesError
	var netErr net.Error
	switch {
	case err == nil:
		return raw, mediaType(r, len(raw))
	case errors.As(err, &tooLarge):
		return nil, gotong.NewError(gotong.CodeTooLarge, "The body is larger than 256 KiB.")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return nil, gotong.NewError(CodeTimeout, "The body did not arrive in time.")
	default:
		return nil, gotong.NewError(CodeBadRequest, "The body could not be read.")
	}
}

// boundBody bounds the time for the body's arrival, whether or not a handler
// reads it: the server waits for the rest of an unread body.
func boundBody(w http.ResponseWriter, r *http.Request, d time.Duration) {
	if r.ContentLength != 0 {
		at := time.Now().Add(d)                               //nolint:forbidigo // a socket's deadline
		_ = http.NewResponseController(w).SetReadDeadline(at) // a recorder has none
	}
}

func mediaType(r *http.Request, size int) error {
	if size == 0 {
		return nil
	}
	name, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	if err != nil || name != "application/json" || charset != "" && charset != "utf-8" {
		return gotong.NewError(CodeMediaType, "The body must be application/json in UTF-8.")
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return gotong.NewError(CodeMediaType, "The body must not be compressed.")
	}
	return nil
}

// decode reads raw strictly, then checks it against the published schema, then
// against the type's own rules.
func decode(ctx huma.Context, raw []byte, into any) error {
	if err := jsonx.Unmarshal(raw, into); err != nil {
		return err
	}
	if err := checkSchema(ctx, raw); err != nil {
		return err
	}
	return gotong.Validate(into)
}

func checkSchema(ctx huma.Context, raw []byte) error {
	op, api := ctx.Operation(), apiOf(ctx)
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		return gotong.NewError(gotong.CodeBadJSON, "The JSON is malformed.")
	}
	res := huma.ValidateResult{}
	schema := op.RequestBody.Content["application/json"].Schema
	huma.Validate(api.OpenAPI().Components.Schemas, schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, plain, &res)
	if len(res.Errors) > 0 {
		return invalid(res.Errors)
	}
	return nil
}

// Ban is the body of a request to ban a user from a thread or a group.
type Ban struct {
	UntilMS *int64 `json:"until_ms,omitempty" minimum:"1" doc:"Until when, in milliseconds since 1970; for ever if absent."`
}

// Of returns the ban that the body requests.
func (b Ban) Of() gotong.Ban {
	if b.UntilMS == nil {
		return gotong.Ban{Ever: true}
	}
	return gotong.Ban{UntilMS: cmp.Or(*b.UntilMS, -1)} // 0 is not a valid end of a ban
}
