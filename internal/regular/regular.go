// Package regular reads files that configuration names, and holds what systems do
// differently with files and directories.
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
	"io/fs"
	"os"
	"syscall"
)

// ErrNotRegular means that a path names a directory, a pipe, a socket or a device.
var ErrNotRegular = errors.New("not a regular file")

// Lock takes the one right to the file until f is closed or the process ends,
// however it ends. It does not wait, and returns false if another opening of the
// file, in this or another process, has the right.
func Lock(f *os.File) (bool, error) { return lock(f) }

// SyncDir makes what was created, renamed and removed in the directory durable,
// where the system does not do so by itself.
func SyncDir(dir string) error { return syncDir(dir) }

// Private returns whether only the owner of the file can read and write it. On
// Windows, where the mode does not show this, it returns true.
func Private(info fs.FileInfo) bool { return private(info) }

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
