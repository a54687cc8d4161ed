package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"gotong.dev/gotong/internal/config"
)

// stdio is the input and output of a command, and their properties.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string

	secret   func(prompt string) (string, error) // asks without echo; nil where in is no terminal
	terminal bool                                // out is one
	progress bool                                // err is one
	colour   bool

	reread func() (*config.Config, error) // parses the command line of serve again, with its file and variables

	program string // the path of this program, which a server starts to hash passwords; empty where it is unknown
}

func ownStdio() *stdio {
	program, _ := os.Executable()
	std := &stdio{
		program: program,
		in:      os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv,
		terminal: isTerminal(os.Stdout), progress: isTerminal(os.Stderr),
	}
	if isTerminal(os.Stdin) {
		std.secret = func(prompt string) (string, error) { return askSecret(os.Stdin, os.Stderr, prompt) }
	}
	// https://no-color.org: set and not empty.
	std.colour = std.terminal && std.progress && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return std
}

// colour is a sequence of ANSI X3.64 that a terminal understands.
type colour string

const (
	red  colour = "\x1b[31m"
	dim  colour = "\x1b[2m"
	bold colour = "\x1b[1m"
)

const plain = "\x1b[0m"

func (s *stdio) paint(c colour, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return string(c) + text + plain
}

// wipe removes the line of a terminal that shows how far a command is.
func (s *stdio) wipe() {
	if s.progress {
		_, _ = fmt.Fprint(s.err, "\r\x1b[K")
	}
}

// printLine writes a line: found as JSON, or the parts that are not empty.
func printLine(std *stdio, asJSON bool, found any, parts ...string) error {
	if asJSON {
		out := json.NewEncoder(std.out)
		out.SetEscapeHTML(false)
		return out.Encode(found)
	}
	var line []string
	for _, part := range parts {
		if part != "" {
			line = append(line, printable(part))
		}
	}
	_, err := fmt.Fprintln(std.out, strings.Join(line, "  "))
	return err
}
