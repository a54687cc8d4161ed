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
)

// wire is a connection with several writers: of batches of events (the pump), of
// pings, pongs and the close frame. Each write is whole, and nothing follows a
// close frame.
type wire struct {
	net.Conn
	raw   syscall.RawConn // nil if Conn is not a socket of the system
	times *times
	early []byte // bytes that net/http had read beyond the request; used by the reader alone

	shutting atomic.Bool // Close was called
	onCut    func()      // called by cut; may be nil

	// waited is set when a write had to wait for the client and then continued:
	// the client accepts bytes, so it is alive, even if it sends nothing.
	waited atomic.Bool

	mu   sync.Mutex // held while writing
	shut bool       // nothing more may be written: a close frame was, or a write failed
}

// Read first returns the bytes that were read early.
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

// The errors of a write.
var (
	errStalled = errors.New("realtime: the client accepts no bytes")
	errShut    = errors.New("realtime: the connection was closed")
)

// closeOpcode is the first byte of a close frame (RFC 6455, section 5.2).
const closeOpcode = 0x88

// Write writes all of b, however slowly the client accepts it, as long as it
// accepts some.
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

// attempt writes what the kernel accepts at once. It sets no deadline, which
// would cost more than the rest of a short write.
type attempt struct {
	b   []byte
	n   int
	err error
	do  func(fd uintptr) bool // made once, so that a write allocates nothing
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

// A write waits in parts of the time within which the client has to accept a
// byte, so that "no byte for 30 s" means 30 to 36 s.
const waits = 5

// blocked is the time after which a write is not merely filling the kernel's
// buffer.
const blocked = 50 * time.Millisecond

// writeAll writes all of b. After a failed write nothing more is written: the
// client has a part of a frame, and a writer that waits for w.mu must not write
// after it. w.mu is held.
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
			return written, w.SetWriteDeadline(time.Time{}) // attempts have no deadline
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return written, err
		case n == 0:
			if idle++; idle >= waits {
				return written, errStalled
			}
		}
	}
}

// Close ends writing. Reading continues until the client has closed or the
// lingering is over. See [wire.cut].
func (w *wire) Close() error {
	w.shutting.Store(true)
	half, ok := w.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return w.Conn.Close()
	}
	return w.SetReadDeadline(time.Now().Add(w.times.lingering)) //nolint:forbidigo // a socket's deadline
}

// over is the connection from which a request was hijacked.
func (w *wire) over(c net.Conn) {
	w.Conn = c
	if s, ok := c.(syscall.Conn); ok {
		w.raw, _ = s.SyscallConn() // without it, every write may wait
	}
}

// seal prevents further writes. It returns false if a write is under way.
func (w *wire) seal() bool {
	if !w.mu.TryLock() {
		return false
	}
	defer w.mu.Unlock()
	w.shut = true
	return true
}

// linger reads and drops what the client still sends, for a moment: closing a
// socket with unread bytes resets it, and the client would lose the close
// frame.
func (w *wire) linger() {
	deadline := time.Now().Add(w.times.lingering) //nolint:forbidigo // a socket's deadline
	if w.SetReadDeadline(deadline) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(w.Conn, 4*maxFrame)) // the bytes do not matter any more
	}
}

// cut closes the connection at once. After it returns, no byte is written.
func (w *wire) cut() {
	_ = w.Conn.Close()
	if w.onCut != nil {
		w.onCut()
	}
}
