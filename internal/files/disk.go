package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/store"
)

// Bytes is where the bytes of uploads are kept, by name. An object is written as a
// whole or not at all, and is never changed.
type Bytes interface {
	// Put writes an object of this size. It is durable when Put returns. An object
	// with its name is kept: the error has [gotong.CodeConflict] if it is another one.
	Put(ctx context.Context, name string, from io.Reader, size int64) error

	// Open returns an object, or an error that is [fs.ErrNotExist].
	Open(ctx context.Context, name string) (Object, error)

	// Remove removes an object if it exists.
	Remove(ctx context.Context, name string) error
}

// Object is an open object. Seeking costs nothing until the next read.
type Object interface {
	io.ReadSeekCloser
	Size() int64
}

// Disk keeps bytes in a directory, each object as a file that only its owner may
// read.
type Disk struct{ dir string }

// NewDisk returns the bytes in a directory, which it creates. It removes what writes
// that were cut off left.
func NewDisk(dir string) (Disk, error) {
	return Disk{dir}, errors.Join(os.MkdirAll(dir, 0o700), sweep(filepath.Join(dir, "*", ".new-*")))
}

// sweep removes the files of a pattern that have not changed for longer than an
// unfinished upload lives.
func sweep(pattern string) error {
	names, err := filepath.Glob(pattern)
	errs := []error{err}
	for _, name := range names {
		about, err := os.Lstat(name)
		//nolint:forbidigo // the time of a file is that of its disk
		if err == nil && about.Mode().IsRegular() && time.Since(about.ModTime()) > upload.Lifetime {
			err = os.Remove(name)
		}
		errs = append(errs, absent(err))
	}
	return errors.Join(errs...)
}

func (d Disk) path(name string) string { return filepath.Join(d.dir, name[:2], name) }

// Put implements [Bytes].
func (d Disk) Put(_ context.Context, name string, from io.Reader, size int64) (err error) {
	to := d.path(name)
	if err = os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return full(err)
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".new-*") // its mode is 0600
	if err != nil {
		return full(err)
	}
	defer func() { err = errors.Join(full(err), os.Remove(f.Name())) }()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), from)
	if err == nil && n != size {
		err = fmt.Errorf("files: %d bytes of %d", n, size)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	err = os.Link(f.Name(), to)
	if errors.Is(err, fs.ErrExist) {
		err = d.is(to, sumOf(h))
	}
	return errors.Join(err, syncDir(filepath.Dir(to)), syncDir(d.dir))
}

// is returns an error unless the file has this hash.
func (d Disk) is(path, sum string) error {
	f, err := os.Open(path) //nolint:gosec // a path of this package
	if err != nil {
		return err
	}
	h := sha256.New()
	if _, err = io.Copy(h, f); err == nil && sumOf(h) != sum {
		err = gotong.NewError(gotong.CodeConflict, "Other bytes are stored for this upload.")
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // a directory of the configuration
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Open implements [Bytes].
func (d Disk) Open(_ context.Context, name string) (Object, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	about, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return file{f, about.Size()}, nil
}

type file struct {
	*os.File
	size int64
}

func (f file) Size() int64 { return f.size }

// Remove implements [Bytes].
func (d Disk) Remove(_ context.Context, name string) error { return absent(os.Remove(d.path(name))) }

// absent returns nil for the error of a file that does not exist.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// full returns [store.ErrFull] for the error of a disk without room.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}
