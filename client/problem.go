package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong"
)

// Problem is an error that the server returned (RFC 9457). It wraps a
// [gotong.Error], so that errors.As and [gotong.CodeOf] find the code.
type Problem struct { //nolint:errname // the word of RFC 9457
	Status     int // of HTTP
	Title      string
	TraceID    string        // to quote when asking for help
	RetryAfter time.Duration // 0 if the server named no wait
	Err        *gotong.Error

	fromServer bool // it has a code, so no proxy made it
}

func (p *Problem) Error() string { return fmt.Sprintf("%d %s", p.Status, p.Err.Error()) }

// Unwrap returns the code with its details.
func (p *Problem) Unwrap() error { return p.Err }

// Unknown reports whether the request may or may not have taken effect, so
// that repeating it with the same request id is right (contract D2).
func (p *Problem) Unknown() bool {
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusConflict:
		return p.Err.Code == gotong.CodeInProgress
	default:
		return p.Status >= 500
	}
}

// passes reports whether the same request may succeed later without a repair.
// It does not if the event is damaged, or if this version of the server cannot
// read it.
func (p *Problem) passes() bool { return p.Unknown() && !slices.Contains(unservedCodes, p.Err.Code) }

// UnknownError means that a command may or may not have taken effect: the
// context or the Conn ended before there was an answer. To find out, send the
// same command with the same request id.
type UnknownError struct {
	RequestID string
	Err       error // why there is no answer
}

func (e *UnknownError) Error() string {
	return "client: outcome unknown, repeat with request id " + e.RequestID + ": " + e.Err.Error()
}

// Unwrap returns why there is no answer.
func (e *UnknownError) Unwrap() error { return e.Err }

type wireProblem struct {
	Status       int                 `json:"status"`
	Title        string              `json:"title"`
	Code         gotong.Code         `json:"code"`
	Detail       string              `json:"detail"`
	TraceID      string              `json:"trace_id"`
	Errors       []gotong.FieldError `json:"errors"`
	RetryAfterMS int64               `json:"retry_after_ms"`
}

func (w wireProblem) problem() *Problem {
	fromServer := w.Code != ""
	if !fromServer {
		w.Code = codeOfStatus(w.Status)
	}
	return &Problem{
		Status: w.Status, Title: w.Title, TraceID: w.TraceID,
		fromServer: fromServer,
		RetryAfter: time.Duration(w.RetryAfterMS) * time.Millisecond,
		Err:        &gotong.Error{Code: w.Code, Detail: w.Detail, Fields: w.Errors},
	}
}

// maxAnswer bounds the body of an answer in bytes.
const maxAnswer = 16 << 20

// problemOf reads an answer that is not a success. A proxy may answer in a
// format of its own; then the status alone determines the code.
func problemOf(res *http.Response) *Problem {
	w := wireProblem{}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") {
		if b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20)); err != nil || json.Unmarshal(b, &w) != nil {
			w = wireProblem{}
		}
	}
	if w.Detail == "" {
		w.Detail = "The answer had status " + strconv.Itoa(res.StatusCode) + " and no explanation."
	}
	w.Status = res.StatusCode
	p := w.problem()
	if d, ok := retryAfter(res.Header); ok {
		p.RetryAfter = d
	}
	return p
}

// retryAfter returns the wait in Retry-After (RFC 9110, section 10.2.3). A date
// is compared with the answer's own Date, so that the local clock does not
// matter.
func retryAfter(h http.Header) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(h.Get("Date"))
	return max(until.Sub(now), 0), err == nil
}

func codeOfStatus(status int) gotong.Code {
	switch {
	case status == http.StatusUnauthorized:
		return gotong.CodeUnauthorized
	case status == http.StatusForbidden:
		return gotong.CodeForbidden
	case status == http.StatusNotFound:
		return gotong.CodeNotFound
	case status == http.StatusRequestEntityTooLarge:
		return gotong.CodeTooLarge
	case status == http.StatusTooManyRequests:
		return gotong.CodeRateLimited
	case status == http.StatusPreconditionFailed:
		return gotong.CodePrecondition
	case status >= 500:
		return gotong.CodeBusy
	default:
		return gotong.CodeInvalid
	}
}

func problemIn(err error) *Problem {
	p, _ := errors.AsType[*Problem](err)
	return p
}
