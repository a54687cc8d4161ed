package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// maxFaults bounds what a [Result] quotes.
const maxFaults = 5

// Result is the result of a case outside go test.
type Result struct {
	Faults  []string // the first few; none: the promise held
	Notes   []string // figures
	Skipped string   // why the case does not apply to this store; empty if it does
}

// Try runs one case without go test. A panic on the case's own goroutine becomes
// a fault of the result.
func (c Test) Try(ctx context.Context, harness func() Harness) Result {
	t := &trial{ctx: ctx}
	t.protect(func() { c.Run(t, harness) })
	for _, cleanup := range slices.Backward(t.cleanups) {
		t.protect(cleanup)
	}
	return t.result
}

// trial is the T of [Test.Try].
type trial struct {
	ctx context.Context //nolint:containedctx // the context of one case, for all its calls

	mu       sync.Mutex
	result   Result
	cleanups []func()
}

// protect runs f on a goroutine of its own, which Fatalf and Skipf may end.
func (t *trial) protect(f func()) {
	var running sync.WaitGroup
	running.Go(func() {
		defer func() {
			if fault := recover(); fault != nil {
				t.Errorf("panic: %v", fault)
			}
		}()
		f()
	})
	running.Wait()
}

func (t *trial) Helper()                  {}
func (t *trial) Context() context.Context { return t.ctx }

func (t *trial) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.result.Faults) < maxFaults {
		t.result.Faults = append(t.result.Faults, fmt.Sprintf(format, args...))
	}
}

func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

func (t *trial) Skipf(format string, args ...any) {
	t.mu.Lock()
	t.result.Skipped = fmt.Sprintf(format, args...)
	t.mu.Unlock()
	runtime.Goexit()
}

func (t *trial) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.result.Faults) > 0
}

func (t *trial) Logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Notes = append(t.result.Notes, fmt.Sprintf(format, args...))
}

func (t *trial) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}
