package live

import (
	"context"
	"time"

	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// listen handles the messages of the other nodes until ctx ends.
func (h *Hub) listen(ctx context.Context) {
	for {
		err := h.opt.Bus.Run(ctx, func(m bus.Message) {
			if err := store.Guard(func() error { h.hear(m); return nil }); err != nil {
				h.observer.Fault(err)
			}
		})
		if err == nil || !clock.Pause(ctx, time.Second) {
			return
		}
		h.observer.Fault(err)
	}
}

// hear handles a message of another node. Nothing in it is trusted.
func (h *Hub) hear(m bus.Message) {
	if m.Node == h.node {
		return
	}
	h.signals.Hear(m)
	switch {
	case m.Wake != nil && int(m.Wake.Partition) < len(h.parts):
		h.parts[m.Wake.Partition].hear(m.Wake.Position)
		if h.opt.Woken != nil {
			h.opt.Woken(m.Wake.Partition, m.Wake.Position)
		}
	case m.Ended != nil && h.opt.Ended != nil:
		h.opt.Ended(m.Ended.UserID)
	}
}

// TellEnded tells the other nodes that logins of a user may be over.
func (h *Hub) TellEnded(userID string) { h.publish(bus.Message{Ended: &bus.Ended{UserID: userID}}) }

// publish sends a message to the other nodes.
func (h *Hub) publish(m bus.Message) {
	if h.opt.Bus != nil {
		m.Node = h.node
		h.opt.Bus.Publish(m)
	}
}
