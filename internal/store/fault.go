package store

import (
	"errors"
	"fmt"
	"runtime/debug"
)

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
