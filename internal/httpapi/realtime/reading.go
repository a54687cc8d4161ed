package realtime

import (
	"bytes"
	"errors"
	"sync"
	"syscall"
)

// A connection is read in one of two ways. Where the system reports which
// connections have something to read, an idle one has no goroutine: the poller
// queues it for one of the readers, which reads what is there and leaves
// ([conn.read]). Everywhere else, and at the end of every connection, a
// goroutine waits for the client ([conn.readOn]).

const (
	readBuffer = 512      // of a goroutine that waits for its client, in bytes
	readAtOnce = 16 << 10 // by a reader in one turn, in bytes
)

// intake holds what a reader needs while it works.
type intake struct {
	b   []byte
	n   int
	err error
	do  func(fd uintptr) bool // made once, so that a read allocates nothing
	try attempt               // of a pong
}

var intakes = sync.Pool{New: func() any {
	in := &intake{b: make([]byte, readAtOnce)}
	in.do = in.once
	return in
}}

// read returns what has arrived, without waiting. Nothing is no error; the end
// of the client's stream is io.EOF.
func (in *intake) read(from syscall.RawConn) ([]byte, error) {
	in.n, in.err = 0, nil
	err := from.Read(in.do)
	return in.b[:in.n], errors.Join(err, in.err)
}

// start has the connection read from now on, in one of the two ways.
func (c *conn) start() {
	if !c.server.portable && c.server.poller.watch(c) {
		c.server.readers.add(c)
		return
	}
	c.readOn()
}

// rouse has the connection read: something has arrived, or it was closed.
func (c *conn) rouse() {
	if c.reading.Swap(2) == 0 {
		c.server.readers.add(c)
	}
}

func (c *conn) read() {
	c.reading.Store(1)
	in := intakes.Get().(*intake) //nolint:forcetypeassert // the pool holds nothing else
	hungUp := c.hungUp.Swap(false)
	b, err := c.wire.early, error(nil)
	if c.wire.early = nil; b == nil {
		b, err = in.read(c.wire.raw)
	}
	more := len(b) == len(in.b)
	if hungUp && len(b) > 0 { // until nothing is there: the end is reported once
		c.hungUp.Store(true)
		more = true
	}
	err = errors.Join(c.take(b, &in.try), err)
	intakes.Put(in)
	_, goodbye := errors.AsType[*ending](err)
	switch {
	case goodbye: // it may have to wait for the client
		c.apart(func() { c.over(err) })
	case err != nil:
		c.over(err)
	case c.wire.shutting.Load():
		c.apart(c.readOn)
	case more || !c.reading.CompareAndSwap(1, 0):
		c.server.readers.add(c)
	}
}

// apart runs what may wait for the client on a goroutine of its own, also at the
// end of the server: however many clients are slow to close, they are waited for
// together.
func (c *conn) apart(f func()) {
	if !c.server.running.start(f) {
		c.server.last.Go(f)
	}
}

// readOn reads until the connection ends, and waits for the client meanwhile.
func (c *conn) readOn() {
	if c.shed.Load() {
		c.over(errShut)
		return
	}
	b := make([]byte, readBuffer)
	for {
		n, err := c.wire.Read(b)
		if err = errors.Join(c.take(b[:n], new(attempt)), err); err != nil {
			c.over(err)
			return
		}
	}
}

// finish reads the connection, whose close frame was written, to its end,
// unless somebody reads it: then [conn.read] will.
func (c *conn) finish() {
	if c.reading.Swap(2) == 0 {
		c.readOn()
	}
}

// take processes bytes of the client. An error ends the connection.
func (c *conn) take(b []byte, try *attempt) (err error) {
	if c.shed.Load() { // its close frame is on its way
		c.partial, b = nil, nil
	}
	if len(b) == 0 {
		return nil
	}
	defer func() {
		if cause := recover(); cause != nil {
			c.fault(cause)
			err = &ending{closeInternal, "internal error", endings[closeInternal]}
		}
	}()
	in := inbound{}
	if c.partial != nil {
		in, c.partial = *c.partial, nil
	}
	err = in.feed(b, func(opcode byte, payload []byte) error {
		if in.fragment == 0 { // control frames do not keep an unfinished message for ever
			c.received()
		}
		return c.message(opcode, payload, try)
	})
	if err != nil {
		return err
	}
	return c.keep(in)
}

// message processes a message or a control frame of the client.
func (c *conn) message(opcode byte, payload []byte, try *attempt) error {
	switch opcode {
	case opClose:
		return goodbye(payload)
	case opPing, opPong:
		if !c.mayPing() {
			return errShut
		}
		if opcode == opPing {
			pong := append([]byte{finalBit | opPong, byte(len(payload))}, payload...) //nolint:gosec // at most 125
			_, err := c.wire.send(pong, try, c.worker())
			c.wrote(err)
		}
	case opText:
		c.push(bytes.Clone(payload))
	default:
		c.close(closeBinary, "frames are JSON text")
	}
	return nil
}

// worker is what a reader that has to wait reports to.
func (c *conn) worker() waiter {
	if c.watched {
		return &c.server.readers
	}
	return alone{}
}

// alone is a reader of one connection, which may wait.
type alone struct{}

func (alone) leave()  {}
func (alone) rejoin() {}
