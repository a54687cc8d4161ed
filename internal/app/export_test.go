package app

import (
	"context"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/reader"
)

// AskPatiently has the servers of a test that does not run beside others wait for the
// allowances of all nodes: a busy machine is no outage.
func AskPatiently(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { asking = 0 })
	asking = time.Minute
}

// Execute executes a command as a transport does.
func (a *App) Execute(ctx context.Context, cmd gotong.Command) error {
	_, err := a.engine.Execute(ctx, cmd)
	return err
}

// AddReader adds a reader to the servers of a test that does not run beside others.
func AddReader(t *testing.T, r reader.Reader) {
	t.Helper()
	t.Cleanup(func() { more = nil })
	more = append(more, r)
}
