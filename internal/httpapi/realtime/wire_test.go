package realtime

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// absence is a worker that reports when it waits.
type absence struct{ left, back chan struct{} }

func (a absence) leave()  { close(a.left) }
func (a absence) rejoin() { close(a.back) }

func (a absence) expect(t *testing.T, word chan struct{}) {
	t.Helper()
	select {
	case <-word:
	case <-time.After(patience):
		t.Error("it is not reported")
	}
}

// A writer that must not wait reports it first: before it waits for a client
// that accepts nothing, and before it waits for another writer.
func TestSendCallsLeaveBeforeItWaits(t *testing.T) {
	for name, other := range map[string]bool{"the client": false, "another writer": true} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			w := &wire{times: &protocolTimes}
			w.over(here)
			if other {
				w.mu.Lock()
			}
			worker := absence{make(chan struct{}), make(chan struct{})}
			sent := make(chan error, 1)
			go func() {
				_, err := w.send([]byte("frame"), &attempt{}, worker)
				sent <- err
			}()
			worker.expect(t, worker.left)
			if other {
				w.mu.Unlock()
			}
			if _, err := io.ReadFull(there, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			worker.expect(t, worker.back)
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

// Nothing follows a close frame, of either writer.
func TestSendAfterTheEnd(t *testing.T) {
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	w := &wire{times: &protocolTimes}
	w.over(here)
	if !w.seal() {
		t.Fatal("not sealed")
	}
	worker := absence{make(chan struct{}), make(chan struct{})}
	if n, err := w.send([]byte("frame"), &attempt{}, worker); n != 0 || !errors.Is(err, errShut) {
		t.Errorf("%d, %v", n, err)
	}
}
