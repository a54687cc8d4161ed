package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// What an error of a store means is the same for everyone who asks: the code,
// whether the fault may pass by itself, and the cause for the log.
func TestErrorsOfAStoreHaveOneCodeEach(t *testing.T) {
	const passes = gotong.Code("") // nothing is known: a read may be tried again
	for _, test := range []struct {
		err   error
		read  gotong.Code
		write gotong.Code
	}{
		{nil, passes, ""},
		{errors.New("no answer"), passes, gotong.CodeBusy},
		{context.DeadlineExceeded, passes, gotong.CodeBusy},
		{store.ErrConflict, passes, gotong.CodeBusy},
		{store.ErrFull, gotong.CodeStorageFull, gotong.CodeStorageFull},
		{store.ErrFailed, gotong.CodeStorageFailed, gotong.CodeStorageFailed},
		{store.ErrClosed, gotong.CodeBusy, gotong.CodeBusy},
		{store.ErrClock, gotong.CodeBusy, gotong.CodeBusy},
		{store.ErrSealed, gotong.CodeStoreSealed, gotong.CodeStoreSealed},
		{store.ErrUnfinished, gotong.CodeStoreSealed, gotong.CodeStoreSealed},
		{store.ErrCorrupt, gotong.CodeCorruptEvent, gotong.CodeCorruptEvent},
		{store.ErrUnreadable, gotong.CodeUnreadable, gotong.CodeUnreadable},
		{store.ErrUnsettled, gotong.CodeInternal, gotong.CodeInternal},
		{store.ErrMalformed, gotong.CodeInternal, gotong.CodeInternal},
		{gotong.NotFound(), gotong.CodeNotFound, gotong.CodeNotFound},
	} {
		cause := test.err
		if cause != nil {
			cause = fmt.Errorf("wrapped: %w", cause)
		}
		read, write := store.Coded(cause), store.CodedWrite(cause)
		if gotong.CodeOf(read) != test.read || gotong.CodeOf(write) != test.write {
			t.Errorf("%v: got %v and %v", test.err, read, write)
		}
		if read != nil && !errors.Is(read, cause) || write != nil && !errors.Is(write, cause) {
			t.Errorf("%v: the cause is lost: %v, %v", test.err, read, write)
		}
	}
}
