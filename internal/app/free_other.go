//go:build !linux && !darwin

package app

// FreeSpace returns 0: it is unknown.
func FreeSpace(string) uint64 { return 0 }

// OpenFiles returns 0: it is unknown.
func OpenFiles() uint64 { return 0 }
