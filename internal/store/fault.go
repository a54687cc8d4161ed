package store

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrFault is a panic that [Guard] caught.
var ErrFault = errors.New("store: a fault of ours")

// Guard runs f and turns a panic in it into [ErrFault], with the stack for the
// log: a fault ends what met it, and holds nothing that others wait for.
func Guard(f func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrFault, fault, debug.Stack())
		}
	}()
	return f()
}
