package bus

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
)

// maxEnded is the number of users in a queue whose logins may have ended.
const maxEnded = 4096

// Queue holds messages between senders that must not wait and one goroutine
// that processes them. Its size is bounded: it keeps the farthest wake-up of
// each partition and one Ended per user, and drops signals that find no room,
// first those that are sent again later. It is safe for concurrent use.
type Queue struct {
	most  int
	ready chan struct{}

	mu      sync.Mutex
	wakes   [gotong.Partitions]*Message
	ended   map[string]Message
	signals []Message
}

// NewQueue returns a queue that holds up to this number of signals.
func NewQueue(signals int) *Queue {
	return &Queue{most: signals, ready: make(chan struct{}, 1), ended: map[string]Message{}}
}

// Put adds a message, or merges it with a waiting one. It never blocks. It
// returns false if the message was dropped: there is no room, or it is empty.
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

// room returns the number of waiting signals beside which this one is accepted:
// signals that are sent again later leave half of the queue to the others.
func (q *Queue) room(s *Signal) int {
	if s.Bulk {
		return q.most / 2
	}
	return q.most
}

// Ready receives a value when messages may be waiting.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

// Take removes and returns all waiting messages: ended logins, wake-ups, then
// signals in order.
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

// DropSignals drops the waiting signals, which are useless when they are late,
// and returns their number.
func (q *Queue) DropSignals() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.signals)
	q.signals = nil
	return n
}

// Deliver calls handle with each message that is put, until ctx ends.
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

// Keep calls try again and again until ctx ends. try returns when a connection
// is lost or cannot be made, and reports whether there was one.
func Keep(ctx context.Context, try func(context.Context) (was bool)) {
	for wait := shortest; ; wait = min(2*wait, longest) {
		was := try(ctx)
		if ctx.Err() != nil {
			return
		}
		if was {
			wait = shortest
		}
		if !clock.Pause(ctx, wait) {
			return
		}
	}
}
