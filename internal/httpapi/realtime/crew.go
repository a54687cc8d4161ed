package realtime

import "sync/atomic"

// crew is the goroutines that handle frames and write batches. They exist only
// while there is work, but for a few that wait for the next: a new one would
// have to grow its stack first, which costs more than the work of a frame.
type crew struct {
	jobs chan job
	idle atomic.Int32
	done <-chan struct{} // closed when the process ends
}

// job is one connection's turn: to write, or to handle what it was sent.
type job struct {
	conn *conn
	pump bool
}

// maxIdle is how many wait at most.
const maxIdle = 64

func newCrew(done <-chan struct{}) *crew { return &crew{jobs: make(chan job), done: done} }

// do hands over a job; it never blocks.
func (w *crew) do(j job) {
	select {
	case w.jobs <- j:
	default:
		go w.work(j)
	}
}

func (w *crew) work(j job) {
	for ok := true; ok; j, ok = w.next() {
		if j.pump {
			j.conn.pump()
		} else {
			j.conn.work()
		}
	}
}

// next waits for another job, unless enough wait already.
func (w *crew) next() (j job, ok bool) {
	defer w.idle.Add(-1)
	if w.idle.Add(1) > maxIdle {
		return job{}, false
	}
	select {
	case j = <-w.jobs:
		return j, true
	case <-w.done:
		return job{}, false
	}
}
