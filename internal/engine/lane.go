package engine

import (
	"context"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

const (
	// maxTries bounds how often a command is decided again because a head had
	// moved.
	maxTries = 16
	// maxDocs bounds the documents and events that one lane keeps.
	maxDocs = 4096
)

// task is one command on its way.
type task struct {
	ctx    context.Context //nolint:containedctx // it waits in a queue for whoever runs the lane
	cmd    gotong.Command
	done   func(gotong.Receipt, error)
	lane   *lane
	tries  int
	commit store.Commit // once decided
	access bool         // the commit may change who sees what
}

// lane is the place in this node through which all commands of one stream
// pass in order. At most one goroutine runs it at a time; whoever submits to
// an idle lane does.
type lane struct {
	engine *Engine
	stream gotong.Stream
	kind   gotong.Kind

	mu       sync.Mutex
	queue    []*task                   // waiting to be decided
	running  bool                      // a goroutine is in run
	halted   bool                      // decide nothing until all in flight has its outcome
	inflight int                       // decided and submitted, no outcome yet
	pending  map[gotong.RequestKey]int // the keys of those in flight
	again    []*task                   // had to be decided again, in order

	// state is what the commands decided so far will leave; nil is unknown.
	// Only the goroutine in run touches it, and settle while nobody runs.
	state *gotong.State
	held  int // documents and events in state
}

// push adds a task; it returns the lane where the caller has to run it.
func (l *lane) push(t *task, limit int) (*lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= limit {
		return nil, gotong.NewError(gotong.CodeBusy, "Too many are writing here; repeat with the same request id.")
	}
	t.lane = l
	l.queue = append(l.queue, t)
	if l.running || l.halted {
		return nil, nil
	}
	l.running = true
	return l, nil
}

func (l *lane) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.running && l.inflight == 0 && len(l.queue) == 0
}

// turn is how many commands of others one caller decides before a goroutine
// of the lane's own takes over.
const turn = 64

// run decides what waits, in order, until nothing does or the lane halts.
func (l *lane) run() {
	for range turn {
		t, warm := l.next()
		if t == nil {
			return
		}
		l.serve(t, warm)
	}
	l.engine.running.Go(l.run)
}

// serve decides one command. A fault in the rules of a kind ends that command,
// neither the lane nor the server.
func (l *lane) serve(t *task, warm bool) {
	defer func() {
		if fault := recover(); fault != nil {
			l.mu.Lock()
			l.halted = true // the state may be half changed
			l.mu.Unlock()
			l.engine.opts.Fault(t.ctx, fault)
			t.done(gotong.Receipt{}, gotong.NewError(gotong.CodeInternal, "Something went wrong in the server."))
		}
	}()
	if warm {
		l.decideWarm(t)
	} else {
		l.decideCold(t)
	}
}

// next takes the first waiting task. It is warm where the cached state may
// decide it; a lane without state has nothing in flight.
func (l *lane) next() (t *task, warm bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		l.resumeLocked()
		if l.halted || len(l.queue) == 0 {
			l.running = false
			return nil, false
		}
		t = l.queue[0]
		if l.state == nil {
			l.queue = l.queue[1:]
			return t, false
		}
		if l.pending[t.cmd.Key()] == 0 && l.held <= maxDocs {
			l.queue = l.queue[1:]
			return t, true
		}
		// A twin of this request is in flight and its record will tell; or the
		// cache is full. Either way: let all finish and start afresh.
		l.halted = true
	}
}

// halt puts the task back and lets the lane start afresh from the store once
// everything in flight has its outcome.
func (l *lane) halt(t *task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append([]*task{t}, l.queue...)
	l.halted = true
}

// resumeLocked ends a halt once nothing is in flight. What has to be decided
// again goes before what never was.
func (l *lane) resumeLocked() {
	if !l.halted || l.inflight > 0 {
		return
	}
	l.halted, l.state, l.held = false, nil, 0
	l.queue = append(l.again, l.queue...)
	l.again = nil
}

// settle notes that a task in flight has its outcome. Unless it was committed,
// those decided after it stood on ground that is not there: the lane halts and
// starts afresh. again asks for the task itself to be decided again.
func (l *lane) settle(t *task, committed, again bool) {
	l.mu.Lock()
	l.inflight--
	if l.pending[t.cmd.Key()]--; l.pending[t.cmd.Key()] == 0 {
		delete(l.pending, t.cmd.Key())
	}
	if !committed {
		l.halted = true
	}
	if again {
		l.again = append(l.again, t)
	}
	start := false
	if !l.running {
		l.resumeLocked()
		if !l.halted && len(l.queue) > 0 {
			l.running, start = true, true
		}
	}
	l.mu.Unlock()
	if start {
		// Not on the goroutine that answers: deciding may read the store.
		l.engine.running.Go(l.run)
	}
}
