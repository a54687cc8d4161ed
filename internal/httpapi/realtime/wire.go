package realtime

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a connection that two sides write to: the WebSocket library its
// control frames, the pump its batches of events. Each write is whole, and
// nothing follows a close frame.
type wire struct {
	net.Conn
	raw   syscall.RawConn // nil where Conn is not a socket of the system
	times *times
	early []byte // what net/http had read beyond the request; only the reader touches it

	// waited is set when a write had to wait for the client and then went on:
	// the client takes bytes, so it is there, even where it says nothing.
	waited atomic.Bool

	mu   sync.Mutex // guards writing
	shut bool       // the close frame was written, or never will be, or a write failed
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

// What a write fails with.
var (
	errStalled = errors.New("realtime: the client accepts no bytes")
	errShut    = errors.New("realtime: the connection was closed")
)

// closeOpcode is the first byte of a close frame (RFC 6455, section 5.2).
const closeOpcode = 0x88

// Write writes all of b, however slowly the client takes it, as long as it
// takes some.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shut {
		return 0, errShut
	}
	if len(b) > 0 && b[0] == closeOpcode {
		w.shut = true
	}
	return w.writeAll(b)
}

// waiter is called when a write has to wait for its client, and when it
// continues.
type waiter interface {
	leave()
	rejoin()
}

// send is Write for a caller that must not wait: it calls leave before it waits.
func (w *wire) send(b []byte, try *attempt, p waiter) (int, error) {
	if !w.mu.TryLock() {
		p.leave()
		defer p.rejoin()
		return w.Write(b)
	}
	defer w.mu.Unlock()
	if w.shut {
		return 0, errShut
	}
	n, err := try.write(w.raw, b)
	if err != nil || n == len(b) {
		w.shut = w.shut || err != nil
		return n, err
	}
	p.leave()
	defer p.rejoin()
	m, err := w.writeAll(b[n:])
	return n + m, err
}

// attempt is one write of what the kernel takes at once: without a deadline,
// which costs more than the rest of a short write around the system call.
type attempt struct {
	b   []byte
	n   int
	err error
	do  func(fd uintptr) bool // made once: a write allocates nothing
}

func (a *attempt) write(to syscall.RawConn, b []byte) (int, error) {
	if to == nil {
		return 0, nil
	}
	if a.do == nil {
		a.do = a.once
	}
	a.b, a.n, a.err = b, 0, nil
	err := to.Write(a.do)
	a.b = nil
	return a.n, errors.Join(err, a.err)
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
		return true // whatever came of it: this never waits
	}
}

// A write waits in parts of the time within which the client has to take
// something, so that "no byte for 30 s" means 30 to 36 s.
const waits = 5

// blocked is how long a write takes that does not just fill the kernel's
// buffer.
const blocked = 50 * time.Millisecond

// writeAll writes all of b. After a write that failed nothing more is written:
// the client has part of a frame, and a writer that waited for w.mu must not go
// on after it. w.mu is held.
func (w *wire) writeAll(b []byte) (written int, err error) {
	defer func() { w.shut = w.shut || err != nil }()
	idle := 0
	for {
		began := time.Now() //nolint:forbidigo // a socket's deadline, not a time for a rule
		if err := w.SetWriteDeadline(began.Add(w.times.stalled / waits)); err != nil {
			return written, err
		}
		n, err := w.Conn.Write(b[written:])
		written += n
		if n > 0 {
			idle = 0
			if time.Since(began) > blocked { //nolint:forbidigo // as above
				w.waited.Store(true)
			}
		}
		switch {
		case err == nil:
			return written, w.SetWriteDeadline(time.Time{}) // an attempt has none
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return written, err
		case n == 0:
			if idle++; idle >= waits {
				return written, errStalled
			}
		}
	}
}

// Close ends the writing side; the reader goes on until the client is done or
// the lingering is over. See [wire.cut].
func (w *wire) Close() error {
	half, ok := w.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return w.Conn.Close()
	}
	return w.SetReadDeadline(time.Now().Add(w.times.lingering)) //nolint:forbidigo // a socket's deadline
}

// over is the connection that a request was hijacked from.
func (w *wire) over(c net.Conn) {
	w.Conn = c
	if s, ok := c.(syscall.Conn); ok {
		w.raw, _ = s.SyscallConn() // without one every write may wait
	}
}

// seal lets nothing be written any more. False where a write is under way.
func (w *wire) seal() bool {
	if !w.mu.TryLock() {
		return false
	}
	defer w.mu.Unlock()
	w.shut = true
	return true
}

// linger reads what the client still sends and throws it away, for a moment: a
// socket that is closed with unread bytes resets, and the client would lose
// the close frame.
func (w *wire) linger() {
	deadline := time.Now().Add(w.times.lingering) //nolint:forbidigo // a socket's deadline
	if w.SetReadDeadline(deadline) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(w.Conn, 4*maxFrame)) // whatever it says, it is over
	}
}

// cut ends the connection at once: when it returns, no byte follows.
func (w *wire) cut() { _ = w.Conn.Close() }
