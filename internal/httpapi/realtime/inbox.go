package realtime

import (
	"sync"

	"gotong.dev/gotong/internal/live"
)

// The bounds of one connection.
const (
	maxInbox    = 32  // frames read and not yet handled, unless maxFrame bytes are; one before the client has authenticated
	maxInflight = 128 // commands without an answer
	maxBad      = 16  // frames that cannot be understood
	maxRefused  = 64  // consecutive frames beyond the allowance
)

// room is a condition that few connections ever wait for. The lock of the
// connection is held.
type room struct{ cond *sync.Cond }

func (r *room) wait(l sync.Locker) {
	if r.cond == nil {
		r.cond = sync.NewCond(l)
	}
	r.cond.Wait()
}

func (r *room) broadcast() {
	if r.cond != nil {
		r.cond.Broadcast()
	}
}

// stopped reports whether no further frames are handled. c.mu is held.
func (c *conn) stopped() bool { return c.draining || c.closing.Load() }

// push queues a frame for the worker. It blocks the reader while too many wait.
func (c *conn) push(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.crowded() {
		c.worker().leave()
		defer c.worker().rejoin()
	}
	for c.crowded() {
		c.room.wait(&c.mu)
	}
	if c.stopped() {
		return
	}
	c.inbox.push(b)
	c.queued += len(b)
	if !c.working {
		c.working = true
		c.server.handlers.add(c)
	}
}

// crowded reports whether the next frame has to wait. c.mu is held.
func (c *conn) crowded() bool {
	room := maxInbox
	if c.principal.Load() == nil {
		room = 1
	}
	return (c.inbox.len() >= room || c.queued >= maxFrame) && !c.stopped()
}

// work handles the waiting frames, in order, and ends when there are none.
func (c *conn) work() {
	defer c.fence()
	for {
		b, ok := c.pull()
		if !ok {
			return
		}
		c.handle(b)
	}
}

// pull waits until the next frame may be handled and returns it, or false if
// there is none.
func (c *conn) pull() ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.stopped() && c.inbox.len() > 0 && !c.roomForAnswers() {
		c.room.wait(&c.mu)
	}
	if c.stopped() || c.inbox.len() == 0 {
		const keep = 2 // frames: hardly anything, and the next one allocates nothing
		if c.working = false; c.stopped() || cap(c.inbox.items) > keep {
			c.inbox = fifo[[]byte]{}
		}
		if c.draining && c.inflight == 0 {
			c.wake() // to close
		}
		return nil, false
	}
	b := c.inbox.first()
	c.inbox.pop()
	c.queued -= len(b)
	c.room.broadcast()
	return b, true
}

// roomForAnswers delays the frames of a client that sends more than it reads.
func (c *conn) roomForAnswers() bool {
	session := c.session.Load()
	return c.inflight < maxInflight && (session == nil || session.Room())
}

func (c *conn) signalRoom() {
	c.mu.Lock()
	c.room.broadcast()
	c.mu.Unlock()
}

// submitted counts a command that the engine accepted.
func (c *conn) submitted() {
	c.mu.Lock()
	c.inflight++
	c.mu.Unlock()
}

// answer queues the answer to such a command. If the session has ended, the
// answer is dropped: the client repeats the command with the same request id.
func (c *conn) answer(session *live.Session, f live.Frame) {
	session.Put(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inflight--
	c.room.broadcast()
	if c.draining && c.inflight == 0 {
		c.wake() // to close
	}
}
