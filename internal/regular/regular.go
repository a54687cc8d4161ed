// Package regular reads files that configuration names.
//
// # Caveats
//
// Opening a named pipe waits until somebody writes to it, and no signal ends that
// wait. So only regular files are read, and links to such.
package regular

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// ErrNotRegular means that a path names a directory, a pipe, a socket or a device.
var ErrNotRegular = errors.New("not a regular file")

// ReadFile returns the content of the regular file at path. It never waits for
// another process; for what is not a regular file, it returns [ErrNotRegular].
func ReadFile(path string) ([]byte, error) {
	// Without this flag, opening a pipe would wait. The kind of the file is taken
	// from the open file, so that nobody can replace it in between.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator's own path
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrNotRegular)
	}
	return io.ReadAll(f)
}
