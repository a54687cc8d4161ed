package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gotong.dev/gotong/internal/auth/argon"
)

// terminal returns both sides of a new one.
func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("this machine has no terminals: ", err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		screen, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip("this machine gives no terminal: ", err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return keyboard, screen
}

func child(t *testing.T, stdin *os.File, attributes syscall.SysProcAttr) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], argon.Command)
	cmd.Stdin, cmd.SysProcAttr = stdin, &attributes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// The command that hashes passwords, typed at a terminal, ends with Ctrl-C.
func TestDeriveKeysAtATerminalEndsWithAnInterrupt(t *testing.T) {
	keyboard, screen := terminal(t)
	typed := func(text string) {
		t.Helper()
		if _, err := keyboard.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	waiting := func() int {
		n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	typed("x\n") // the beginning of a message of 120 bytes
	await(t, "the text is there", func() bool { return waiting() == 2 })
	cmd := child(t, screen, syscall.SysProcAttr{Setsid: true, Setctty: true})
	await(t, "the child reads", func() bool { return waiting() == 0 })
	typed("\x03")
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
}

// Started by a server it ignores an interrupt, and ends with its input.
func TestDeriveKeysOfAServerEndsWithItsInput(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	cmd := child(t, in, syscall.SysProcAttr{})
	await(t, "it ignores an interrupt", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(string(status), "SigIgn:\t")
		line, _, _ = strings.Cut(line, "\n")
		ignored, err := strconv.ParseUint(line, 16, 64)
		return err == nil && ignored>>(syscall.SIGINT-1)&1 == 1
	})
	if err := errors.Join(cmd.Process.Signal(os.Interrupt), out.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
}
