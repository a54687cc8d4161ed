package signal

import (
	"context"
	"time"

	"gotong.dev/gotong/internal/bus"
)

// Hear handles a message of another node, whatever it carries: each is a sign
// of life.
func (x *Exchange) Hear(m bus.Message) {
	now := x.opt.Clock.Mono()
	x.alive(m.Node, now)
	if m.Signal == nil || !x.has(m.Signal.Stream, m.Signal.Type) {
		return
	}
	heard := *m.Signal
	switch heard.Type {
	case Presence:
		x.hearPresence(m.Node, &heard, now)
		return
	case Read:
		if !validData(heard.Data) {
			return
		}
	default:
		heard.Data = nil // a client's signal has none
	}
	x.opt.Show(&heard)
}

// Run reports presence until ctx ends: soon to all where a user came or left,
// and to the other nodes again and again, at a pace that never fills the bus.
func (x *Exchange) Run(ctx context.Context) {
	gather := time.NewTimer(presenceDelay)
	defer gather.Stop()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	if x.opt.Publish == nil {
		again.Stop() // there are no others
	}
	for gathering, second := true, 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-x.wake:
			if !gathering {
				gathering = true
				gather.Reset(presenceDelay)
			}
		case <-gather.C:
			if gathering = x.reportNews(); gathering {
				gather.Reset(presenceDelay)
			}
		case <-again.C:
			x.reportAgain()
			if second++; second%expireEvery == 0 {
				x.expire()
			}
		}
	}
}
