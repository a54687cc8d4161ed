package realtime

import "sync"

// pool is the workers that serve connections from one queue. A worker starts
// when there is work for it. Some then wait for more, because a new goroutine
// would first have to grow its stack, which costs more than handling a frame.
//
// There are three pools. One writes ([conn.pump]), with a worker for each
// processor, so that an event for hundreds of viewers costs no goroutine switch
// for each. A connection gathers frames while it waits for its turn, and is
// delayed by nothing else (ADR 0013). One reads ([conn.read]), likewise. The
// third pool handles frames and has no bound, because the store may make any of
// its workers wait.
type pool struct {
	running *running
	serve   func(*conn)
	most    int // the bound of workers that do not wait for a client
	spare   int // the bound of workers that wait for work

	mu      sync.Mutex
	free    sync.Cond // a worker waits for a connection
	ready   fifo[*conn]
	workers int // workers that do not wait for a client
	waiting int // of these, the ones without work
	done    bool
}

func (p *pool) init(r *running, serve func(*conn), most, spare int) {
	p.running, p.serve, p.most, p.spare = r, serve, most, spare
	p.free.L = &p.mu
}

// add queues a connection. It never blocks.
func (p *pool) add(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.push(c)
}

// push queues a connection. p.mu is held.
func (p *pool) push(c *conn) {
	p.ready.push(c)
	p.hire()
}

// hire starts a worker if one more is needed. p.mu is held.
func (p *pool) hire() {
	switch {
	case p.waiting > 0:
		p.waiting--
		p.free.Signal()
	case p.workers < p.most:
		if p.running.start(p.run) {
			p.workers++
		}
	}
}

func (p *pool) run() {
	for c := p.take(); c != nil; c = p.take() {
		p.serve(c)
	}
}

// take waits for a connection and returns it, or nil if the worker is no longer
// needed.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.ready.len() == 0 && p.workers <= p.most && p.waiting < p.spare && !p.done {
		p.waiting++
		p.free.Wait()
	}
	if p.ready.len() == 0 || p.workers > p.most {
		p.workers--
		if p.ready.len() > 0 { // the usual reason to be woken
			p.hire()
		}
		return nil
	}
	c := p.ready.first()
	p.ready.pop()
	return c
}

// leave reports that the caller's work has to wait for its client.
func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers--
	if p.ready.len() > 0 {
		p.hire()
	}
}

// rejoin reports that the work continues.
func (p *pool) rejoin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers++
}

// close ends the idle workers now, and each of the others when it becomes idle.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
	p.waiting = 0
	p.free.Broadcast()
}

// drain serves what is queued once no worker runs any more.
func (p *pool) drain() {
	p.mu.Lock()
	p.workers++
	p.mu.Unlock()
	p.run()
}

// fifo is a queue that keeps its capacity.
type fifo[T any] struct {
	items []T
	next  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.next }

func (q *fifo[T]) first() T { return q.items[q.next] }

func (q *fifo[T]) push(v T) {
	if q.next > len(q.items)/2 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.next:])
		clear(q.items[n:])
		q.items, q.next = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *fifo[T]) pop() {
	var zero T
	q.items[q.next] = zero
	if q.next++; q.next == len(q.items) {
		q.items, q.next = q.items[:0], 0
	}
}
