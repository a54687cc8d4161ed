package realtime

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// wire is a connection that two sides write to: the WebSocket library its
// control frames, the pump its batches of events. Each write is whole.
type wire struct {
	net.Conn
	early []byte // what net/http had read beyond the request; only the reader touches it

	mu sync.Mutex // guards writing
}

// Read gives what was read early first.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.early) > 0 {
		n := copy(p, w.early)
		if w.early = w.early[n:]; len(w.early) == 0 {
			w.early = nil
		}
		return n, nil
	}
	return w.Conn.Read(p)
}

// errStalled is a client that took no byte for 30 s.
var errStalled = errors.New("realtime: the client takes no bytes")

// Write writes all of b, however slowly the client takes it, as long as it
// takes some.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return writeAll(w.Conn, b)
}

func writeAll(c net.Conn, b []byte) (int, error) {
	written := 0
	for {
		deadline := time.Now().Add(stalled) //nolint:forbidigo // a socket's deadline, not a time for a rule
		if err := c.SetWriteDeadline(deadline); err != nil {
			return written, err
		}
		n, err := c.Write(b[written:])
		written += n
		switch {
		case err == nil:
			return written, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return written, err
		case n == 0:
			return written, errStalled
		}
	}
}

// lingering is how long a closed connection is still read, so that the close
// frame reaches a client that is sending at the same time.
const lingering = 2 * time.Second

// Close ends the writing side; the reader goes on until the client is done or
// the lingering is over. See [wire.cut].
func (w *wire) Close() error {
	half, ok := w.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return w.Conn.Close()
	}
	return w.SetReadDeadline(time.Now().Add(lingering)) //nolint:forbidigo // a socket's deadline
}

// cut ends the connection at once.
func (w *wire) cut() { _ = w.Conn.Close() }
