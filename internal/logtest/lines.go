// Package logtest keeps what goroutines and processes write while a test runs.
package logtest

import (
	"bytes"
	"strings"
	"sync"
)

// Lines is an [io.Writer] for several goroutines. The zero value is empty.
type Lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer]; it returns no error.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all that was written so far.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Count returns how often what stands in the text so far.
func (l *Lines) Count(what string) int { return strings.Count(l.String(), what) }
