package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

// askSecret reads a line without showing it. An interrupt restores the terminal
// before it ends the program.
func askSecret(in *os.File, prompt io.Writer, text string) (string, error) {
	hide, restore, err := echo(in)
	if err != nil {
		return "", fmt.Errorf("ask for the password: %w", err)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupted)
	var watching sync.WaitGroup
	defer watching.Wait()
	done := make(chan struct{})
	defer close(done)
	watching.Go(func() {
		select {
		case <-interrupted:
			restore()
			_, _ = fmt.Fprintln(prompt)
			os.Exit(1)
		case <-done:
		}
	})
	_, _ = fmt.Fprint(prompt, text)
	if err := hide(); err != nil {
		return "", fmt.Errorf("ask for the password: %w", err)
	}
	defer restore()
	line, err := bufio.NewReader(in).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}
