//go:build !linux && !darwin

package app

func free(string) uint64 { return 0 }
