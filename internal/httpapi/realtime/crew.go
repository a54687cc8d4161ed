package realtime

import "sync/atomic"

// crew is the goroutines that handle frames. They exist only while there is
// work, except for a few that wait for more: a new goroutine would first have
// to grow its stack, which costs more than handling a frame.
type crew struct {
	jobs chan *conn
	idle atomic.Int32
	done <-chan struct{} // closed when the process ends
}

// maxIdle bounds the goroutines that wait for work.
const maxIdle = 64

func newCrew(done <-chan struct{}) *crew { return &crew{jobs: make(chan *conn), done: done} }

// do has a goroutine handle the frames of a connection. It never blocks.
func (w *crew) do(c *conn) {
	select {
	case w.jobs <- c:
	default:
		go w.work(c)
	}
}

func (w *crew) work(c *conn) {
	for ok := true; ok; c, ok = w.next() {
		c.work()
	}
}

// next waits for another connection. It returns false if enough goroutines wait
// already.
func (w *crew) next() (c *conn, ok bool) {
	defer w.idle.Add(-1)
	if w.idle.Add(1) > maxIdle {
		return nil, false
	}
	select {
	case c = <-w.jobs:
		return c, true
	case <-w.done:
		return nil, false
	}
}
