package store

import (
	"errors"
	"fmt"
	"testing"
)

// Of a batch of several transactions, or after a transaction without an answer, some
// may be written.
func TestSomeOfABatchIsNotBusy(t *testing.T) {
	for _, err := range []error{ErrBusy, fmt.Errorf("%w: why", ErrBusy)} {
		if !errors.Is(Hedged(err, false), ErrBusy) || errors.Is(Hedged(err, true), ErrBusy) {
			t.Errorf("%v", Hedged(err, true))
		}
	}
}
