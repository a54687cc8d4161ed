package store

import (
	"errors"
	"fmt"

	"gotong.dev/gotong"
)

// Faults that no repetition mends while this version of the program runs.
var (
	// ErrUnreadable: an event or a document is of a type or a shape that this
	// version does not know.
	ErrUnreadable = errors.New("store: this version cannot read what is stored")
	// ErrUnsettled: the rules of a kind never stop naming what they need.
	ErrUnsettled = errors.New("store: the needs of a kind do not settle")
)

// classes is the one table of what an error of a store means to a caller.
var classes = []struct {
	err   error
	means *gotong.Error
}{
	{ErrClock, gotong.NewError(gotong.CodeBusy,
		"This node's clock is wrong, so it takes no writes; nothing was written. Reads go on. Repeat later, or on another node.")},
	{ErrBusy, gotong.NewError(gotong.CodeBusy,
		"Too many writes wait, so this one was not accepted; repeat with the same request id.")},
	{ErrSealed, sealed}, {ErrUnfinished, sealed},
	{ErrFull, gotong.NewError(gotong.CodeStorageFull, "The disk is full; nothing was written. Reads go on.")},
	{ErrFailed, gotong.NewError(gotong.CodeStorageFailed,
		"Storage failed; the outcome is not known. Repeat with the same request id.")},
	{ErrClosed, gotong.NewError(gotong.CodeBusy, "The server is stopping; repeat with the same request id.")},
	{ErrCorrupt, gotong.NewError(gotong.CodeCorruptEvent,
		"An event is missing or does not match its commitment, so the server does not show it.")},
	{ErrUnreadable, gotong.NewError(gotong.CodeUnreadable,
		"This version of the server cannot read what is stored here; a newer one may be able to.")},
	{ErrUnsettled, ours}, {ErrMalformed, ours},
}

var (
	sealed = gotong.NewError(gotong.CodeStoreSealed, "The log is moving to another store, or has moved; nothing was written. "+
		"Reads go on. Repeat later, or ask the operator where the log is now.")
	ours    = gotong.NewError(gotong.CodeInternal, "Something went wrong in the server.")
	unknown = gotong.NewError(gotong.CodeBusy, "The outcome is not known yet; repeat with the same request id.")
)

// Coded is err with the code that tells a caller what it means; err stays in
// its chain, for the log. It is nil where nothing is known of err: it may pass
// by itself, and what a write did is not known. An error that has a code is
// returned as it is.
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

// CodedWrite is Coded where a write may have been under way: what nothing is
// known of is [gotong.CodeBusy]. Nil for nil.
func CodedWrite(err error) error {
	if err == nil {
		return nil
	}
	if coded := Coded(err); coded != nil {
		return coded
	}
	return fmt.Errorf("%w: %w", unknown, err)
}
