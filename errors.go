package gotong

import "errors"

// Code is the stable name of an error; the edge maps it to a status.
type Code string

// The codes of errors from rules, engine, store and delivery.
const (
	CodeInvalid         Code = "invalid"               // does not fit the operation
	CodeUnauthorized    Code = "unauthorized"          // not, or no longer, authenticated
	CodeForbidden       Code = "forbidden"             // known to the caller, but not allowed
	CodeNotFound        Code = "not_found"             // absent, or not for the caller to know
	CodeConflict        Code = "state_conflict"        // does not fit the state
	CodeExists          Code = "already_exists"        // a claim exists
	CodeVersion         Code = "version_conflict"      // a stale revision
	CodeTargetDeleted   Code = "target_deleted"        // an edit after a delete
	CodeArchived        Code = "thread_archived"       // a write in an archived thread
	CodeGateClosed      Code = "gate_closed"           // the window of a gate is over
	CodeGateClosing     Code = "gate_closing"          // a gate is over, and its outcome about to follow
	CodeNoSuchStep      Code = "invalid_transition"    // a step that the track does not have
	CodeReused          Code = "request_id_reused"     // an equal key, another request
	CodeInProgress      Code = "request_in_progress"   // an operation of several steps is still running
	CodeCursorInvalid   Code = "cursor_invalid"        // a malformed cursor
	CodeCursorAhead     Code = "cursor_ahead"          // beyond the head
	CodeEpochChanged    Code = "epoch_changed"         // a cursor of another history
	CodeNotYet          Code = "not_yet"               // min_seq not reached in time
	CodeRateLimited     Code = "rate_limited"          // too many requests
	CodeTooLarge        Code = "too_large"             // beyond a size limit
	CodeBusy            Code = "busy"                  // outcome unknown: repeat with the same request id
	CodeStorageFull     Code = "storage_full"          // disk full: reads continue
	CodeStorageFailed   Code = "storage_failed"        // I/O error: the node stops
	CodeStoreSealed     Code = "store_sealed"          // no writes: the log moved to another store
	CodeCorruptEvent    Code = "corrupt_event"         // a commitment does not match
	CodeUnreadable      Code = "unreadable"            // of a type that this version does not know
	CodeInternal        Code = "internal"              // an internal error
	CodeBadJSON         Code = "bad_json"              // not readable JSON
	CodeUnsupported     Code = "unsupported"           // not supported yet
	CodePrecondition    Code = "precondition_failed"   // a stale If-Match
	CodePrecondRequired Code = "precondition_required" // a required If-Match is missing
)

// FieldError is an error in one field of a request. It never holds the rejected
// value.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error is an error of the rules or the engine. Detail is written for the
// caller: no internals, no content of other users.
type Error struct {
	Code   Code
	Detail string
	Fields []FieldError

	RetryAfterS int // the whole seconds after which it may succeed; 0: unknown
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Is makes errors.Is compare by code alone.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// There is no Errorf: a detail is a fixed sentence, so that no value of a
// request can slip into it.

// NewError returns an error with this code and sentence.
func NewError(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }

// Invalid returns an error in one field.
func Invalid(field, detail string) *Error {
	return &Error{Code: CodeInvalid, Detail: field + " " + detail, Fields: []FieldError{{field, detail}}}
}

// NotFound returns the one error for everything that the caller may not know
// of.
func NotFound() *Error {
	return NewError(CodeNotFound, "It does not exist, or you may not see it.")
}

// CodeOf returns the code of err: [CodeInternal] for an error without one,
// empty for nil.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	default:
		return CodeInternal
	}
}
