//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), getTermios)
	return err == nil
}

// echo returns what hides the input of a terminal, and what shows it again.
func echo(in *os.File) (hide func() error, restore func(), err error) {
	fd := int(in.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, nil, err
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	quiet.Lflag |= unix.ECHONL
	hide = func() error { return unix.IoctlSetTermios(fd, setTermios, &quiet) }
	return hide, func() { _ = unix.IoctlSetTermios(fd, setTermios, before) }, nil
}
