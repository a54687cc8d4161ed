package regular

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// lock locks a byte that lies beyond every content: a locked byte cannot be read,
// and others read who has the right.
func lock(f *os.File) (bool, error) {
	beyond := windows.Overlapped{OffsetHigh: 1 << 30}
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &beyond)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// syncDir does nothing: a directory cannot be synced.
func syncDir(string) error { return nil }

func private(fs.FileInfo) bool { return true }
