package bus

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"gotong.dev/gotong"
)

// maxEnded is how many users a queue holds of whom a login may be over.
const maxEnded = 4096

// Queue holds messages between those who must not wait and the one goroutine
// that takes them. Its size is bounded: of a partition's wake-ups only the
// farthest waits, each user has ended once, and signals go where there are too
// many, those first that are said again later. It is safe for concurrent use.
type Queue struct {
	most  int
	ready chan struct{}

	mu      sync.Mutex
	wakes   [gotong.Partitions]*Message
	ended   map[string]Message
	signals []Message
}

// NewQueue makes a queue that holds up to so many signals.
func NewQueue(signals int) *Queue {
	return &Queue{most: signals, ready: make(chan struct{}, 1), ended: map[string]Message{}}
}

// Put adds a message, or merges it with one that waits. It never blocks; false
// says that the message was dropped: there is no room, or nothing in it.
func (q *Queue) Put(m Message) bool {
	q.mu.Lock()
	kept := q.put(m)
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return kept
}

func (q *Queue) put(m Message) bool {
	switch {
	case m.Wake != nil && int(m.Wake.Partition) < len(q.wakes):
		if waits := q.wakes[m.Wake.Partition]; waits == nil || waits.Wake.Position < m.Wake.Position {
			q.wakes[m.Wake.Partition] = &m
		}
	case m.Ended != nil:
		if _, waits := q.ended[m.Ended.UserID]; !waits && len(q.ended) >= maxEnded {
			return false
		}
		q.ended[m.Ended.UserID] = m
	case m.Signal != nil && len(q.signals) < q.room(m.Signal):
		q.signals = append(q.signals, m)
	default:
		return false
	}
	return true
}

// room is how many signals may wait beside this one: those that are sent again
// later leave half of the queue to the others.
func (q *Queue) room(s *Signal) int {
	if s.Bulk {
		return q.most / 2
	}
	return q.most
}

// Ready has a value when there may be something to take.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

// Take is everything that waits: ended logins, wake-ups, signals in order.
func (q *Queue) Take() []Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := slices.Collect(maps.Values(q.ended))
	clear(q.ended)
	for i, m := range q.wakes {
		if m != nil {
			list = append(list, *m)
			q.wakes[i] = nil
		}
	}
	list = append(list, q.signals...)
	q.signals = nil
	return list
}

// DropSignals lets the signals go, which are of no use when they are late, and
// says how many there were.
func (q *Queue) DropSignals() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.signals)
	q.signals = nil
	return n
}

// Deliver hands what is put to handle, until ctx ends.
func (q *Queue) Deliver(ctx context.Context, handle func(Message)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.ready:
			for _, m := range q.Take() {
				if ctx.Err() != nil {
					return
				}
				handle(m)
			}
		}
	}
}

// The waits between two tries to connect.
const (
	shortest = 100 * time.Millisecond
	longest  = 2 * time.Second
)

// Keep tries to be connected again and again until ctx ends: try returns when a
// connection is lost or cannot be made, and says whether there was one.
func Keep(ctx context.Context, try func(context.Context) (was bool)) {
	for wait := shortest; ; wait = min(2*wait, longest) {
		was := try(ctx)
		if ctx.Err() != nil {
			return
		}
		if was {
			wait = shortest
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}
