package store

import (
	"errors"
	"fmt"
	"runtime/debug"

	"gotong.dev/gotong"
)

// Errors that remain, however often a call is repeated on this version of the
// program.
var (
	// ErrUnreadable: an event or a document is of a type or a shape that this
	// version does not know.
	ErrUnreadable = errors.New("store: this version cannot read what is stored")
	// ErrUnsettled: the rules of a kind name ever more documents that they need.
	ErrUnsettled = errors.New("store: a kind names ever more documents that it needs")
)

// classes is the table of what each error of a store means to a caller.
var classes = []struct {
	err   error
	means *gotong.Error
}{
	{ErrClock, gotong.NewError(gotong.CodeBusy,
		"This node's clock is wrong, so it accepts no writes; nothing was written. Reads continue. Repeat later, or on another node.")},
	{ErrBusy, gotong.NewError(gotong.CodeBusy,
		"Too many writes wait or collide, so this one was rejected; repeat with the same request id.")},
	{ErrSealed, sealed}, {ErrUnfinished, sealed},
	{ErrFull, gotong.NewError(gotong.CodeStorageFull, "The disk is full; nothing was written. Reads continue.")},
	{ErrFailed, gotong.NewError(gotong.CodeStorageFailed,
		"Storage failed; the outcome is unknown. Repeat with the same request id.")},
	{ErrClosed, gotong.NewError(gotong.CodeBusy, "The server is stopping; repeat with the same request id.")},
	{ErrCorrupt, gotong.NewError(gotong.CodeCorruptEvent,
		"An event is missing or does not match its commitment, so the server does not show it.")},
	{ErrUnreadable, gotong.NewError(gotong.CodeUnreadable,
		"This version of the server cannot read what is stored here; a newer one may be able to.")},
	{ErrUnsettled, ours}, {ErrMalformed, ours},
}

var (
	sealed = gotong.NewError(gotong.CodeStoreSealed, "The log is moving to another store, or has moved; nothing was written. "+
		"Reads continue. Repeat later, or ask the operator where the log is now.")
	ours    = gotong.NewError(gotong.CodeInternal, "Something went wrong in the server.")
	unknown = gotong.NewError(gotong.CodeBusy, "The outcome is unknown; repeat with the same request id.")
)

// Coded returns err with the code that says what it means to a caller; err stays
// in its chain, for the log. It returns nil for an error that is not in the
// table: a repetition may succeed, and the outcome of a write is unknown. An
// error that has a code is returned unchanged.
func Coded(err error) error {
	if _, known := errors.AsType[*gotong.Error](err); known {
		return err
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return fmt.Errorf("%w: %w", c.means, err)
		}
	}
	return nil
}

// CodedWrite is [Coded] for the error of a write: one that is not in the table
// gets [gotong.CodeBusy]. It returns nil for nil.
func CodedWrite(err error) error {
	if err == nil {
		return nil
	}
	if coded := Coded(err); coded != nil {
		return coded
	}
	return fmt.Errorf("%w: %w", unknown, err)
}

// ErrFault is a panic that [Guard] caught.
var ErrFault = errors.New("store: internal error")

// Guard runs f and returns a panic in it as an [ErrFault], with the stack for the
// log. So a fault ends the call in which it happens, and no other call waits for
// ever.
func Guard(f func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrFault, fault, debug.Stack())
		}
	}()
	return f()
}
