package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"gotong.dev/gotong"
)

// The codes that only the edge uses; the others are in the root package.
const (
	CodeBadRequest  gotong.Code = "bad_request"            // a request that fits no operation
	CodeMethod      gotong.Code = "method_not_allowed"     // the path exists, not for this method
	CodeMediaType   gotong.Code = "unsupported_media_type" // a body that is not application/json
	CodeTimeout     gotong.Code = "request_timeout"        // the body did not arrive in time
	CodeUpgrade     gotong.Code = "upgrade_refused"        // not a WebSocket handshake that the server accepts
	CodeUnavailable gotong.Code = "unavailable"            // the node is draining
)

// Entry is the row of one code: its status, title and meaning.
type Entry struct {
	Code   gotong.Code
	Status int    // of HTTP
	Title  string // the same for every occurrence
	Retry  bool   // the same request may succeed later
	Close  int    // the close code of a WebSocket that ends for this reason; 0 if none does
}

// Type returns the URI reference of the code's documentation on this host.
func (e Entry) Type() string { return problemBase + string(e.Code) }

const problemBase = "/problems/"

// entries is the one table of errors: every error that a client receives, over
// any transport, is made from it.
var entries = index([]Entry{
	{gotong.CodeBadJSON, http.StatusBadRequest, "Not readable JSON", false, 1007},
	{CodeBadRequest, http.StatusBadRequest, "Bad request", false, 4400},
	{gotong.CodeCursorInvalid, http.StatusBadRequest, "Malformed cursor", false, 0},
	{gotong.CodeUnauthorized, http.StatusUnauthorized, "Not authenticated", false, 4401},
	{gotong.CodeForbidden, http.StatusForbidden, "Not allowed", false, 4403},
	{gotong.CodeNotFound, http.StatusNotFound, "Not found", false, 0},
	{CodeMethod, http.StatusMethodNotAllowed, "Method not allowed", false, 0},
	{CodeTimeout, http.StatusRequestTimeout, "Request timeout", true, 0},
	{gotong.CodeConflict, http.StatusConflict, "The request does not fit the state", false, 0},
	{gotong.CodeExists, http.StatusConflict, "Already exists", false, 0},
	{gotong.CodeVersion, http.StatusConflict, "A newer revision exists", false, 0},
	{gotong.CodeArchived, http.StatusConflict, "The thread is archived", false, 0},
	{gotong.CodeTargetDeleted, http.StatusConflict, "The target was deleted", false, 0},
	{gotong.CodeGateClosed, http.StatusConflict, "The gate has closed", false, 0},
	{gotong.CodeGateClosing, http.StatusConflict, "A gate is about to close", true, 0},
	{gotong.CodeNoSuchStep, http.StatusConflict, "The track has no such step", false, 0},
	{gotong.CodeInProgress, http.StatusConflict, "The same request is in progress", true, 0},
	{gotong.CodeCursorAhead, http.StatusConflict, "The cursor is ahead of the stream", false, 0},
	{gotong.CodeEpochChanged, http.StatusConflict, "The cursor is of another epoch", false, 0},
	{gotong.CodePrecondition, http.StatusPreconditionFailed, "Precondition failed", false, 0},
	{gotong.CodeTooLarge, http.StatusRequestEntityTooLarge, "Content too large", false, 1009},
	{CodeMediaType, http.StatusUnsupportedMediaType, "Unsupported media type", false, 1003},
	{gotong.CodeInvalid, http.StatusUnprocessableEntity, "The request does not fit the operation", false, 0},
	{gotong.CodeUnsupported, http.StatusUnprocessableEntity, "Not supported yet", false, 0},
	{gotong.CodeReused, http.StatusUnprocessableEntity, "The request id was used for another request", false, 0},
	{CodeUpgrade, http.StatusUpgradeRequired, "Not a valid WebSocket handshake", false, 0},
	{gotong.CodePrecondRequired, http.StatusPreconditionRequired, "Precondition required", false, 0},
	{gotong.CodeRateLimited, http.StatusTooManyRequests, "Too many requests", true, 4429},
	{gotong.CodeCorruptEvent, http.StatusInternalServerError, "Damaged event", false, 0},
	{gotong.CodeUnreadable, http.StatusInternalServerError, "Event not readable by this version", false, 0},
	{gotong.CodeInternal, http.StatusInternalServerError, "Internal server error", true, 1011},
	{gotong.CodeBusy, http.StatusServiceUnavailable, "Busy; the outcome is unknown", true, 1013},
	{gotong.CodeNotYet, http.StatusServiceUnavailable, "The event is not there yet", true, 0},
	{gotong.CodeStorageFailed, http.StatusServiceUnavailable, "Storage failed", true, 1012},
	{gotong.CodeStoreSealed, http.StatusServiceUnavailable, "The store is sealed", true, 0},
	{CodeUnavailable, http.StatusServiceUnavailable, "Service unavailable", true, 1012},
	{gotong.CodeStorageFull, http.StatusInsufficientStorage, "Storage full", true, 1013},
})

func index(list []Entry) map[gotong.Code]Entry {
	m := make(map[gotong.Code]Entry, len(list))
	for _, e := range list {
		m[e.Code] = e
	}
	return m
}

// EntryOf returns the row of a code, or that of [gotong.CodeInternal] for an
// unknown code.
func EntryOf(code gotong.Code) Entry {
	if e, ok := entries[code]; ok {
		return e
	}
	return entries[gotong.CodeInternal]
}

// Entries returns the whole table, by status and then code.
func Entries() []Entry {
	return slices.SortedFunc(maps.Values(entries), func(a, b Entry) int {
		if a.Status != b.Status {
			return a.Status - b.Status
		}
		return slices.Compare([]byte(a.Code), []byte(b.Code))
	})
}

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

// limited is an error with the time after which to retry.
type limited struct {
	err  *gotong.Error
	wait time.Duration
}

func (l *limited) Error() string { return l.err.Error() }

// RetryAfter returns the wait in whole seconds.
func (l *limited) RetryAfter() int { return max(1, int(math.Ceil(l.wait.Seconds()))) }

func (l *limited) Unwrap() error { return l.err }

// problem is [ProblemOf] for the call of this context, and records the code for
// the [Observer].
func problem(ctx context.Context, err error) *Problem {
	call := CallOf(ctx)
	p := ProblemOf(err, call.TraceID)
	call.code = p.Code
	return p
}
