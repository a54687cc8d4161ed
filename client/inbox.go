package client

import (
	"context"
	"sync"
)

// item is something for the handler: events, a signal, or the end of a stream.
type item struct {
	sub    *sub
	events []Event
	to     uint64 // of the frame; events are those not yet handled
	signal *Signal
	ended  *Ended
	size   int
}

// maxInbox is the number of bytes of frames that may wait for the handler.
const maxInbox = 4 << 20

// inbox holds what was received and not yet handled, in order.
type inbox struct {
	mu    sync.Mutex
	items []item
	size  int
	ready chan struct{} // something to pop
	space chan struct{} // something was popped
}

func newInbox() *inbox {
	return &inbox{ready: make(chan struct{}, 1), space: make(chan struct{}, 1)}
}

func (b *inbox) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size >= maxInbox
}

// push adds an item and never blocks. A caller that must wait while the inbox
// is full calls room first.
func (b *inbox) push(it item) {
	b.mu.Lock()
	b.items = append(b.items, it)
	b.size += it.size
	b.mu.Unlock()
	wake(b.ready)
}

// pop waits for the next item and returns it, or false if ctx ended.
func (b *inbox) pop(ctx context.Context) (item, bool) {
	for {
		b.mu.Lock()
		if len(b.items) > 0 {
			it := b.items[0]
			b.items[0] = item{}
			b.items = b.items[1:]
			b.size -= it.size
			b.mu.Unlock()
			wake(b.space)
			return it, true
		}
		b.mu.Unlock()
		select {
		case <-b.ready:
		case <-ctx.Done():
			return item{}, false
		}
	}
}

// room waits until the inbox is not full. It returns false if ctx ended.
func (b *inbox) room(ctx context.Context) bool {
	for b.full() {
		select {
		case <-b.space:
		case <-ctx.Done():
			return false
		}
	}
	wake(b.space) // another may wait for it too
	return ctx.Err() == nil
}

// wake leaves a token in c, unless one is there already.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
