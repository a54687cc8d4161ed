//go:build unix

package realtime

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

func (in *intake) once(fd uintptr) bool {
	for {
		n, err := syscall.Read(int(fd), in.b)
		in.n = max(n, 0)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
		case err == nil && n == 0:
			in.err = io.EOF
		default:
			in.err = err
		}
		return true // in every case: this never waits
	}
}

func (a *attempt) once(fd uintptr) bool {
	for {
		n, err := unix.Write(int(fd), a.b)
		a.n = max(n, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
		default:
			a.err = err
		}
		return true // in every case: this never waits
	}
}
