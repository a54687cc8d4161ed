package main

import (
	"os"

	"golang.org/x/sys/windows"
)

func isTerminal(f *os.File) bool {
	var mode uint32
	return windows.GetConsoleMode(windows.Handle(f.Fd()), &mode) == nil
}

// echo returns what hides the input of a console, and what shows it again.
func echo(in *os.File) (hide func() error, restore func(), err error) {
	console := windows.Handle(in.Fd())
	var before uint32
	if err := windows.GetConsoleMode(console, &before); err != nil {
		return nil, nil, err
	}
	hide = func() error { return windows.SetConsoleMode(console, before&^windows.ENABLE_ECHO_INPUT) }
	return hide, func() { _ = windows.SetConsoleMode(console, before) }, nil
}
