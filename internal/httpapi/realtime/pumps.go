package realtime

import (
	"time"

	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/live"
)

// pumps writes the frames of connections. A few workers share one queue, so
// that an event for hundreds of viewers costs no goroutine switch for each. A
// worker whose write has to wait for its client is replaced by another one.
//
// After a write of events, the next one to the same connection is delayed for a
// moment, to gather more events (ADR 0013).
type pumps struct {
	pool
	mono  func() clock.Moment
	held  fifo[holding] // delayed connections, in order of due; guarded by mu, as is timer
	timer *time.Timer   // set while held is not empty
}

// holding is one connection whose write is delayed.
type holding struct {
	conn *conn
	due  clock.Moment
}

func newPumps(r *running, mono func() clock.Moment, most int) *pumps {
	p := &pumps{mono: mono}
	p.init(r, (*conn).pump, most, most)
	return p
}

// pace is the state of one connection in pumps. It is guarded by pumps.mu,
// except next, which only the goroutine of its pump uses, and the one that
// starts it.
type pace struct {
	next    clock.Moment // when events may be written again
	due     clock.Moment // 0 if the write is not delayed
	hurried bool         // it has an answer to write and must not be delayed
}

// gathering is how long events are gathered after a write of events. Writes are
// the main cost of delivery, and in a busy stream one write then carries many
// frames (bench/results.md). In a chat the delay is not noticeable. The first
// event after a pause is never delayed, nor is an answer.
const gathering = 20 * time.Millisecond

// wrote records that frames were written; control frames come first among them.
func (p *pace) wrote(now clock.Moment, frames []live.Frame) {
	if frames[len(frames)-1].Op() == live.Events {
		p.next = now.Add(gathering)
	}
}

// wait returns how long the next write is to be delayed.
func (p *pace) wait(now clock.Moment) time.Duration { return max(0, p.next.Sub(now)) }

// add queues a connection for a write, now or after its delay. It never blocks.
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

// hurry ends the delay of a connection, or prevents one that is about to begin.
func (p *pumps) hurry(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.pace.due == 0 {
		c.pace.hurried = true
		return
	}
	c.pace.due = 0 // its entry in held no longer counts
	p.push(c)
}

// soon is how much before its time a connection may be released, so that many
// are released together.
const soon = time.Millisecond

// release queues the connections whose delay is over.
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
