package app

import (
	"testing"

	"gotong.dev/gotong/internal/reader"
)

// AddReader adds a reader to the servers of a test that does not run beside others.
func AddReader(t *testing.T, r reader.Reader) {
	t.Helper()
	t.Cleanup(func() { more = nil })
	more = append(more, r)
}
