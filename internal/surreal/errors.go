package surreal

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	// ErrClosed is the error of calls after Close.
	ErrClosed = errors.New("surreal: the client is closed")
	// ErrAuth is wrapped by the errors of a login that was rejected or has expired.
	ErrAuth = errors.New("surreal: the server rejected the login")
	// ErrTooBig is the error of a request larger than Options.MaxMessage. It was not
	// sent.
	ErrTooBig = errors.New("surreal: the request is too big")
	// ErrSlow ends a subscription whose notifications were not read in time.
	ErrSlow = errors.New("surreal: notifications arrived faster than they were read")
)

// Error is an error that the server returned.
type Error struct {
	Code      int    // JSON-RPC's, 0 for a statement
	Kind      string // the server's name for it, 3.x only: "AlreadyExists", "Thrown"
	Text      string // the server's sentence; it may quote stored values
	Statement int    // index among the results, -1 for the whole request
}

// quoted matches from the first quotation mark to the last one, or to the end if
// there is only one, because values hold quotation marks too. An apostrophe within
// a word is no quotation mark.
var quoted = regexp.MustCompile("(?s)(^|[^\\pL])[\"'`](?:.*[\"'`]|[^\"'`]*$)")

const shownText = 300 // bytes of a server's sentence in Error

// Error returns the first line of the server's sentence, without quoted text.
func (e *Error) Error() string {
	text, _, _ := strings.Cut(quoted.ReplaceAllString(e.Text, "${1}"+dots), "\n")
	if len(text) > shownText {
		text = strings.ToValidUTF8(text[:shownText], "") + dots
	}
	if e.Statement >= 0 {
		return fmt.Sprintf("surreal: statement %d: %s", e.Statement, text)
	}
	return fmt.Sprintf("surreal: %s (code %d)", text, e.Code)
}

// ConnError is the error of a call that got no answer.
type ConnError struct {
	Sent bool // the server may have carried the call out, or may still do so
	Err  error

	lost bool // its socket ended
}

// Error says what happened and whether the server may have carried the call out.
func (e *ConnError) Error() string {
	if e.Sent {
		return fmt.Sprintf("surreal: no answer, the outcome is unknown: %v", e.Err)
	}
	return fmt.Sprintf("surreal: not sent: %v", e.Err)
}

// Unwrap returns the cause: the context's error, or the socket's.
func (e *ConnError) Unwrap() error { return e.Err }

// Unknown reports whether the server may have carried out a call that failed with
// err. Any other error means that it did not.
func Unknown(err error) bool {
	var conn *ConnError
	return errors.As(err, &conn) && conn.Sent
}

// Conflict reports whether a transaction collided with another one and may be
// repeated.
func Conflict(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return strings.Contains(e.Text, "can be retried") || strings.Contains(e.Text, "ransaction conflict") ||
		strings.Contains(e.Text, "retry the transaction")
}

// Exists reports whether a record, or a value of a unique index, exists already.
func Exists(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.thrown() {
		return false
	}
	return e.Kind == "AlreadyExists" || strings.HasSuffix(e.Text, "already exists") ||
		(strings.HasPrefix(e.Text, "Database index") && strings.Contains(e.Text, "already contains"))
}

const thrownPrefix = "An error occurred: "

func (e *Error) thrown() bool {
	return e.Statement >= 0 && strings.HasPrefix(e.Text, thrownPrefix) && (e.Kind == "" || e.Kind == "Thrown")
}

// Thrown returns the text of a THROW statement, and whether err is of one.
func Thrown(err error) (string, bool) {
	var e *Error
	if !errors.As(err, &e) || !e.thrown() {
		return "", false
	}
	return strings.TrimPrefix(e.Text, thrownPrefix), true
}

// followed reports whether a statement failed only because another one of its
// transaction did.
func (e *Error) followed() bool {
	return strings.HasPrefix(e.Text, "The query was not executed due to a") && !strings.Contains(e.Text, "can be retried")
}

func (e *Error) expired() bool {
	return strings.Contains(e.Text, "session has expired") || strings.Contains(e.Text, "token has expired")
}
