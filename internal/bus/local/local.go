// Package local is a bus within one process: between the hubs of a test, or
// for a node that is alone.
//
// # Caveats
//
// Each end queues up to [Queue] signals for its Run and drops what is more;
// wake-ups of a partition that wait become one.
//
// # Dependencies
//
// Packages gotong and bus, and the standard library.
package local

import (
	"context"
	"sync"

	"gotong.dev/gotong/internal/bus"
)

// Queue is how many signals wait at an end.
const Queue = 1024

// Switch joins its ends: each hears what the others publish.
type Switch struct {
	mu   sync.Mutex
	ends []*end
	down bool
}

// New is a switch without ends.
func New() *Switch { return &Switch{} }

// Join adds an end. It hears what is published from now on.
func (s *Switch) Join() bus.Bus {
	e := &end{on: s, in: bus.NewQueue(Queue)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, e)
	return e
}

// Cut stops all messages, as a broken network does, until Mend.
func (s *Switch) Cut() { s.set(true) }

// Mend ends a Cut.
func (s *Switch) Mend() { s.set(false) }

func (s *Switch) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

type end struct {
	on *Switch
	in *bus.Queue
}

func (e *end) Publish(m bus.Message) {
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

func (e *end) Run(ctx context.Context, handle func(bus.Message)) error {
	e.in.Deliver(ctx, handle)
	return nil
}
