//go:build !windows

package regular

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

func lock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // the operator's own path
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func private(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 == 0 }
