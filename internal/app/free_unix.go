//go:build linux || darwin

package app

import "syscall"

// FreeSpace returns the free bytes of the disk of a directory; 0 if they are unknown.
func FreeSpace(dir string) uint64 {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0
	}
	return s.Bavail * uint64(s.Bsize) //nolint:gosec // a size is not negative
}

// OpenFiles returns how many files this process may open; 0 if that is unknown.
func OpenFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}
