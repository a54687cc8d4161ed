package client

import (
	"slices"
	"time"
)

// pace decides how many commands may be on their way at once. An "unknown"
// answer, which the server sends to a client that sends too fast, lowers the
// number; every other answer raises it slowly. Its fields are guarded by the
// Conn's mu.
type pace struct {
	window float64 // commands that may be on their way: 1 to MaxPending
	flying int     // commands on their way
	slowed int     // "unknown" answers since the last other one
	hold   *time.Timer
}

// faster records an answer other than "unknown".
func (p *pace) faster(most int) {
	p.slowed = 0
	p.window = min(p.window+1/p.window, float64(most))
}

func (p *pace) release() {
	if p.hold != nil {
		p.hold.Stop()
		p.hold = nil
	}
}

// postpone queues a command again that was answered with "unknown". Until the
// pause is over nothing is sent, so that the waiting commands keep their order.
// c.mu is held.
func (c *Conn) postpone(k *Call, why *Problem) {
	if !k.sent {
		return
	}
	k.sent, k.putOff = false, true
	c.pace.flying--
	if c.pace.hold != nil {
		return // one pause for all commands that were on their way
	}
	c.pace.window = max(1, c.pace.window/2)
	wait := c.wait(c.pace.slowed, why)
	c.pace.slowed++
	var hold *time.Timer
	hold = time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.pace.hold == hold {
			c.pace.hold = nil
			c.flush()
		}
	})
	c.pace.hold = hold
}

// flush sends the commands that may be sent now, in order. c.mu is held.
func (c *Conn) flush() {
	if c.sender == nil || c.pace.hold != nil {
		return
	}
	for room := int(c.pace.window) - c.pace.flying; room > 0 && c.pace.flying < len(c.order); room-- {
		i := slices.IndexFunc(c.order, func(k *Call) bool { return !k.sent })
		c.order[i].sent = true
		c.pace.flying++
		c.sender.put(c.order[i].frame)
	}
}
