package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/regular"
	"gotong.dev/gotong/internal/store"
)

// Disk keeps bytes in a directory, each object as a file that only its owner may
// read.
type Disk struct{ dir string }

// NewDisk returns the bytes in a directory, which it creates. It removes what writes
// that were cut off left.
func NewDisk(dir string) (Disk, error) {
	return Disk{dir}, errors.Join(os.MkdirAll(dir, 0o700), sweep(filepath.Join(dir, "*", ".new-*")))
}

// OpenDisk returns the bytes in a directory that exists.
func OpenDisk(dir string) (Disk, error) {
	_, err := os.Stat(dir)
	return Disk{dir}, err
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

func (d Disk) path(name string) string { return filepath.Join(d.dir, name[:min(2, len(name))], name) }

// Put implements [Bytes].
func (d Disk) Put(ctx context.Context, name string, from io.ReadSeeker, size int64, sum string) (err error) {
	to := d.path(name)
	if err = os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return full(err)
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".new-*") // its mode is 0600
	if err != nil {
		return full(err)
	}
	defer func() { err = errors.Join(full(err), os.Remove(f.Name())) }()
	if _, err = io.Copy(f, newExact(from, size, sum)); err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	err = os.Link(f.Name(), to)
	if errors.Is(err, fs.ErrExist) {
		err = same(ctx, d, name, sum)
	}
	return errors.Join(err, regular.SyncDir(filepath.Dir(to)), regular.SyncDir(d.dir))
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
