package bustest

import (
	"context"
	"sync"

	"gotong.dev/gotong/internal/bus"
)

// Queue is the number of signals that may wait at an end of a [Switch]; more
// are dropped.
const Queue = 1024

// Switch is a bus within one process, for tests with several nodes: each end
// receives what the others publish. Waiting wake-ups of the same partition are
// merged.
type Switch struct {
	mu   sync.Mutex
	ends []*port
	down bool
}

// NewSwitch returns a switch without ends.
func NewSwitch() *Switch { return &Switch{} }

// Join adds an end, which receives what is published from now on.
func (s *Switch) Join() bus.Bus {
	e := &port{on: s, in: bus.NewQueue(Queue)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, e)
	return e
}

// Cut drops all messages, as a broken network does, until Mend.
func (s *Switch) Cut() { s.set(true) }

// Mend ends a Cut.
func (s *Switch) Mend() { s.set(false) }

func (s *Switch) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

type port struct {
	on *Switch
	in *bus.Queue
}

func (e *port) Publish(m bus.Message) {
	e.on.mu.Lock()
	defer e.on.mu.Unlock()
	if e.on.down {
		return
	}
	for _, other := range e.on.ends {
		if other != e {
			other.in.Put(m) // a lost message costs latency only
		}
	}
}

func (e *port) Run(ctx context.Context, handle func(bus.Message)) error {
	e.in.Deliver(ctx, handle)
	return nil
}
