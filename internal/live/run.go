package live

import (
	"context"
	"crypto/rand"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/signal"
	"gotong.dev/gotong/internal/store"
)

// New makes a hub; Run sets it going.
func New(opt Options) *Hub {
	if opt.Clock == nil {
		opt.Clock = clock.System()
	}
	h := &Hub{
		opt: opt, limits: opt.Limits, observer: opt.Observer, epoch: opt.Store.Epoch(), node: rand.Text(), views: opt.Views,
		flows: map[gotong.Stream]*flow{}, sessions: map[*Session]struct{}{}, users: map[string]int{},
		concerns: concerns{streams: map[gotong.Stream][]string{}, wake: make(chan struct{}, 1)},
	}
	h.limits.fill()
	h.observer.fill()
	signals := signal.Options{Clock: opt.Clock, Kind: opt.Views.Kind, Show: h.show, ShowPresence: h.showPresence}
	if opt.Bus != nil {
		signals.Publish = h.publish
	}
	h.signals = signal.New(signals)
	h.loader = newLoader(h)
	for p := range h.parts {
		h.parts[p] = newPartition(h, gotong.Partition(p))
	}
	return h
}

// Run follows the log until ctx ends, then waits for everything that the hub
// has started, asks every session to close with 1001 and returns nil.
// Subscriptions made before Run wait for it.
func (h *Hub) Run(ctx context.Context) error {
	if !h.begin(ctx) {
		return nil
	}
	h.ctx = ctx
	h.running(true)
	for _, p := range h.parts {
		h.start(func() { p.run(ctx) })
	}
	h.start(func() { h.signals.Run(ctx) })
	if h.opt.Members != nil {
		h.start(func() { h.inform(ctx) })
	}
	if h.opt.Bus != nil {
		h.start(func() { h.listen(ctx) })
	}
	h.loader.start()
	h.poll(ctx)
	h.running(false)
	h.background.Wait()
	for _, s := range h.refuseNew() {
		s.mu.Lock()
		s.askToClose(Closing{closeGoingAway, "the server stops"})
		s.mu.Unlock()
	}
	return nil
}

// begin starts the tails at the end of the log; false where ctx ended first.
func (h *Hub) begin(ctx context.Context) bool {
	for {
		at := h.opt.Clock.Mono()
		positions, err := h.ask(ctx)
		if err == nil {
			for i, p := range h.parts {
				p.start(positions[i])
				p.prove(positions[i], at)
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		h.observer.Fault(err)
		if !clock.Pause(ctx, h.limits.Poll) {
			return false
		}
	}
}

func (h *Hub) ask(ctx context.Context) ([gotong.Partitions]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return h.opt.Store.Positions(ctx)
}

// poll asks the store how far the log is: the backstop for lost wake-ups, and
// the proof that what was read is complete.
func (h *Hub) poll(ctx context.Context) {
	const trimEvery = 5
	for round := 1; clock.Pause(ctx, h.limits.Poll); round++ {
		at := h.opt.Clock.Mono()
		positions, err := h.ask(ctx)
		if err != nil {
			if ctx.Err() == nil {
				h.observer.Fault(err)
			}
			continue
		}
		for i, p := range h.parts {
			p.prove(positions[i], at)
		}
		if round%trimEvery == 0 {
			h.trim(at, trimEvery*h.limits.Poll)
		}
	}
}

// trim drops pages that are too old to be handed out and, if all frames
// together are too many, those of streams that were quiet for so long.
func (h *Hub) trim(now clock.Moment, quiet time.Duration) {
	for _, p := range h.parts {
		p.each(func(t *flow) { t.expire(now) })
		if h.ringBytes.Load() > maxRings {
			p.trim(now.Add(-quiet))
		}
	}
}

// Offer hands over the events of one commit of this node, right after it
// became durable. It never blocks; what finds no room is read from the store.
// Of ctx only the values are used, for traces. The rows must not be changed
// afterwards.
func (h *Hub) Offer(ctx context.Context, rows []store.Event) {
	if len(rows) > 0 {
		h.parts[rows[0].Partition].offer(ctx, rows)
	}
}

// Epoch names the history that is served.
func (h *Hub) Epoch() gotong.Epoch { return h.epoch }

// Signals returns the signals of this node.
func (h *Hub) Signals() *signal.Exchange { return h.signals }

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

func (h *Hub) publish(m bus.Message) {
	if h.opt.Bus != nil {
		m.Node = h.node
		h.opt.Bus.Publish(m)
	}
}
