package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
)

// The codes that only the edge uses; the others are in the root package.
const (
	CodeBadRequest  gotong.Code = "bad_request"            // a request that fits no operation
	CodeMethod      gotong.Code = "method_not_allowed"     // the path exists, not for this method
	CodeMediaType   gotong.Code = "unsupported_media_type" // a body that is not application/json
	CodeRange       gotong.Code = "range_not_satisfiable"  // beyond the end of a file
	CodeTimeout     gotong.Code = "request_timeout"        // the body did not arrive in time
	CodeUpgrade     gotong.Code = "upgrade_refused"        // not a WebSocket handshake that the server accepts
	CodeUnavailable gotong.Code = "unavailable"            // the node is draining
)

// Problem is the body of every error (RFC 9457).
type Problem struct { //nolint:errname // the word of RFC 9457
	Type    string              `json:"type" format:"uri-reference" doc:"The address of a page about this code."`
	Title   string              `json:"title" doc:"A short summary of the code."`
	Status  int                 `json:"status" doc:"The HTTP status."`
	Code    gotong.Code         `json:"code" doc:"The stable name of the kind of problem."`
	Detail  string              `json:"detail" doc:"An explanation of this occurrence."`
	TraceID string              `json:"trace_id" doc:"Quote this id when you report a fault."`
	Errors  []gotong.FieldError `json:"errors,omitempty" doc:"The fields that do not fit, each with the reason."`

	header http.Header
}

// ProblemOf returns the problem that reports err. An error without a code is
// internal: the problem shows nothing of it.
func ProblemOf(err error, traceID string) *Problem {
	var known *gotong.Error
	if !errors.As(err, &known) {
		known = gotong.NewError(gotong.CodeInternal, "The server failed to handle the request.")
	}
	entry := EntryOf(known.Code)
	p := &Problem{
		Type: entry.Type(), Title: entry.Title, Status: entry.Status, Code: entry.Code,
		Detail: known.Detail, TraceID: traceID, Errors: known.Fields,
	}
	var wait interface{ RetryAfter() int }
	switch {
	case known.RetryAfterS > 0:
		p.setHeader("Retry-After", strconv.Itoa(known.RetryAfterS))
	case errors.As(err, &wait):
		p.setHeader("Retry-After", strconv.Itoa(wait.RetryAfter()))
	case entry.Retry && entry.Status != http.StatusInternalServerError:
		p.setHeader("Retry-After", "1")
	}
	if entry.Status == http.StatusUnauthorized {
		p.setHeader("WWW-Authenticate", `Bearer realm="gotong"`)
	}
	return p
}

func (p *Problem) setHeader(name, value string) {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
}

func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// GetStatus returns the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers beside the body, for huma.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType returns application/problem+json, for huma.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// WriteProblem answers with the problem of err.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := problem(r.Context(), err)
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Del("Content-Length")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(p) // an error means that the client left
	}
}

// problem is [ProblemOf] for the call of this context, and records the code for
// the [Observer].
func problem(ctx context.Context, err error) *Problem {
	call := CallOf(ctx)
	p := ProblemOf(err, call.TraceID)
	call.code = p.Code
	return p
}

// huma makes its errors with these package variables. The defaults put the
// rejected value, even the whole body, into the answer.
func init() { //nolint:gochecknoinits // huma offers no other way
	huma.NewErrorWithContext = func(ctx huma.Context, status int, _ string, errs ...error) huma.StatusError {
		return humaProblem(ctx.Context(), status, errs)
	}
	huma.NewError = func(status int, _ string, errs ...error) huma.StatusError {
		return humaProblem(context.Background(), status, errs) //nolint:forbidigo // huma calls it while it makes the document
	}
	huma.DefaultArrayNullable = false
}

// humaProblem returns the problem for huma's findings: a [gotong.Error] as it
// is, several findings about fields as one, and never a value.
func humaProblem(ctx context.Context, status int, errs []error) *Problem {
	for _, err := range errs {
		var known *gotong.Error
		if errors.As(err, &known) && known.Code != gotong.CodeInvalid {
			return problem(ctx, err)
		}
	}
	if len(errs) > 0 && status < http.StatusInternalServerError {
		return problem(ctx, invalid(errs))
	}
	return problem(ctx, byStatus(status))
}

// invalid joins findings about fields in one error.
func invalid(errs []error) *gotong.Error {
	var fields []gotong.FieldError
	for _, err := range errs {
		var known *gotong.Error
		var detail *huma.ErrorDetail
		switch {
		case errors.As(err, &known):
			fields = append(fields, known.Fields...)
		case errors.As(err, &detail):
			fields = append(fields, fieldOfHuma(detail))
		}
	}
	return &gotong.Error{Code: gotong.CodeInvalid, Detail: "The request does not fit the operation.", Fields: fields}
}

// fieldOfHuma converts huma's finding about one parameter or field. The name of
// an unknown parameter is the client's invention and is not repeated.
func fieldOfHuma(d *huma.ErrorDetail) gotong.FieldError {
	if d.Message == "unknown query parameter" {
		return gotong.FieldError{Field: "query", Detail: "has an unknown parameter"}
	}
	return gotong.FieldError{Field: fieldName(d.Location), Detail: d.Message}
}

// fieldName returns huma's location without the part of the request that
// contains it.
func fieldName(location string) string {
	for _, part := range [...]string{"query.", "path.", "header.", "body."} {
		if rest, ok := strings.CutPrefix(location, part); ok {
			return rest
		}
	}
	if location == "" {
		return "body"
	}
	return location
}

func byStatus(status int) *gotong.Error {
	if status >= http.StatusInternalServerError || status == 0 {
		return gotong.NewError(gotong.CodeInternal, "The server failed to handle the request.")
	}
	return gotong.NewError(CodeBadRequest, "The request fits no operation.")
}
