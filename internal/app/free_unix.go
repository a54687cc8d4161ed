//go:build linux || darwin

package app

import "syscall"

// free returns the free bytes of the disk of a directory; 0 if they are unknown.
func free(dir string) uint64 {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0
	}
	return s.Bavail * uint64(s.Bsize) //nolint:gosec // a size is not negative
}
