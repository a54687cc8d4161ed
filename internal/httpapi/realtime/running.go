package realtime

import "sync"

// running is everything that a server runs. Once it is closed it starts nothing
// more, so that what runs can be waited for.
type running struct {
	mu     sync.Mutex // a leaf
	closed bool
	group  sync.WaitGroup
}

// start runs f on a goroutine of its own; it returns false where it is closed.
func (r *running) start(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.group.Go(f)
	}
	return !r.closed
}

func (r *running) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// wait returns when nothing runs any more. The caller has closed it.
func (r *running) wait() { r.group.Wait() }
