package realtime

import (
	"sync"
	"time"

	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/live"
)

// pumps writes what connections have to write. A few workers take them from
// one queue, so that an event for hundreds of readers costs no goroutine switch
// for each; a worker whose write has to wait for its client has another one
// take its place.
//
// A connection that was just written events is held back for a moment, to
// gather the next ones (ADR 0013).
type pumps struct {
	mono func() clock.Moment
	most int // workers that are not waiting for a client

	mu      sync.Mutex
	free    sync.Cond // a worker waits for a connection
	ready   fifo[*conn]
	held    fifo[holding] // by due
	timer   *time.Timer   // set while somebody is held
	workers int           // that do not wait for a client
	waiting int           // of them, those without work
	done    bool
}

// holding is one connection that is held back.
type holding struct {
	conn *conn
	due  clock.Moment
}

func newPumps(mono func() clock.Moment, most int) *pumps {
	p := &pumps{mono: mono, most: most}
	p.free.L = &p.mu
	return p
}

// pace is what pumps knows of one connection; guarded by pumps.mu, but for next,
// which is touched by its pump, and by who starts it.
type pace struct {
	next    clock.Moment // when events may be written again
	due     clock.Moment // 0 where it is not held back
	hurried bool         // it has an answer to write: not to be held back
}

// gathering is how long a connection that was just written events gathers the
// next ones: a write is what delivery costs, and in a busy stream one write
// carries many frames (bench/results.md). Nobody notices in a chat. The first
// event after a pause is never held back, nor is an answer.
const gathering = 20 * time.Millisecond

// wrote notes that frames went out; control frames come first among them.
func (p *pace) wrote(now clock.Moment, frames []live.Frame) {
	if frames[len(frames)-1].Op() == live.Events {
		p.next = now.Add(gathering)
	}
}

// wait is how long it is to be held back.
func (p *pace) wait(now clock.Moment) time.Duration { return max(0, p.next.Sub(now)) }

// add has a connection pumped, now or soon. It never blocks.
func (p *pumps) add(c *conn) {
	now := p.mono()
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := c.pace.wait(now)
	if wait == 0 || c.pace.hurried {
		c.pace.hurried = false
		p.push(c)
		return
	}
	c.pace.due = now.Add(wait)
	p.held.push(holding{c, c.pace.due})
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, p.release)
	}
}

// hurry has a connection that is held back pumped at once, or not held back if
// it is about to be.
func (p *pumps) hurry(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.pace.due == 0 {
		c.pace.hurried = true
		return
	}
	c.pace.due = 0 // what is in the queue of the held means nothing now
	p.push(c)
}

// soon is how much before its time a connection may be released, so that many
// are at once.
const soon = time.Millisecond

// release has those pumped that were held back long enough.
func (p *pumps) release() {
	now := p.mono().Add(soon)
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held.len() > 0 {
		h := p.held.first()
		if h.conn.pace.due == h.due {
			if wait := h.due.Sub(now); wait > 0 {
				p.timer.Reset(wait)
				return
			}
			h.conn.pace.due = 0
			p.push(h.conn)
		}
		p.held.pop()
	}
	p.timer = nil
}

// push queues a connection. p.mu is held.
func (p *pumps) push(c *conn) {
	p.ready.push(c)
	p.hire()
}

// hire sets a worker to work where one more is wanted. p.mu is held.
func (p *pumps) hire() {
	switch {
	case p.waiting > 0:
		p.waiting--
		p.free.Signal()
	case p.workers < p.most:
		p.workers++
		go p.work()
	}
}

func (p *pumps) work() {
	for c := p.take(); c != nil; c = p.take() {
		c.pump()
	}
}

// take waits for a connection; nil where the worker is not needed any more.
func (p *pumps) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.ready.len() == 0 && p.workers <= p.most && !p.done {
		p.waiting++
		p.free.Wait()
	}
	if p.ready.len() == 0 || p.workers > p.most {
		p.workers--
		if p.ready.len() > 0 { // what it was woken for
			p.hire()
		}
		return nil
	}
	c := p.ready.first()
	p.ready.pop()
	return c
}

// leave says that the caller's write has to wait for its client.
func (p *pumps) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers--
	if p.ready.len() > 0 {
		p.hire()
	}
}

// rejoin says that it went on.
func (p *pumps) rejoin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers++
}

// close sends the workers home that have nothing to do, and each of the others
// when it has.
func (p *pumps) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
	p.waiting = 0
	p.free.Broadcast()
}

// fifo is a queue that keeps its room.
type fifo[T any] struct {
	items []T
	next  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.next }

func (q *fifo[T]) first() T { return q.items[q.next] }

func (q *fifo[T]) push(v T) {
	if q.next > len(q.items)/2 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.next:])
		clear(q.items[n:])
		q.items, q.next = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *fifo[T]) pop() {
	var zero T
	q.items[q.next] = zero
	if q.next++; q.next == len(q.items) {
		q.items, q.next = q.items[:0], 0
	}
}
