package engine

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

const (
	// maxTries bounds how often a command is decided again because a head had
	// moved.
	maxTries = 16
	// maxDocs bounds the documents and events that one lane caches.
	maxDocs = 4096
)

// task is one command from its submission to its answer.
type task struct {
	ctx    context.Context //nolint:containedctx // the goroutine that runs the lane needs it
	cmd    gotong.Command
	engine *Engine
	reply  func(gotong.Receipt, error)
	lane   *lane
	tries  int
	refs   []gotong.Ref    // what the rules need for cmd, when the state has it all
	commit [1]store.Commit // when decided
	access bool            // the commit may change who sees what

	// The commit refers to these. They are here because a post that allocates
	// each of them costs noticeably more.
	salt        gotong.Salt
	fingerprint [sha256.Size]byte
	row         [1]store.Event // of a commit with one
	id          [1]gotong.EventID
}

// decided is the context of a decided command, which is also committed, whatever
// becomes of its caller. It is [context.WithoutCancel] without an object of its own.
type decided struct{ of *task }

func (decided) Deadline() (end time.Time, ok bool) { return time.Time{}, false }
func (decided) Done() <-chan struct{}              { return nil }
func (decided) Err() error                         { return nil }
func (d decided) Value(key any) any                { return d.of.ctx.Value(key) }

func (t *task) done(r gotong.Receipt, err error) {
	t.engine.guard(t.ctx, func() {
		t.engine.opts.Decided(t.cmd.Stream.Kind(), fate(r, err))
		t.reply(r, err)
	})
	t.engine.answered()
}

// lane is the place in this node through which all commands of one stream pass
// in order. At most one goroutine runs it at a time: the one that submitted a
// command while the lane was idle.
type lane struct {
	engine *Engine
	stream gotong.Stream
	kind   gotong.Kind

	mu       sync.Mutex
	queue    []*task                   // waiting to be decided
	running  bool                      // a goroutine is in run
	halted   bool                      // decide nothing until all commits in flight have their outcomes
	inflight int                       // commits submitted that have no outcome yet
	pending  map[gotong.RequestKey]int // the keys of those in flight
	again    []*task                   // to be decided again, in order

	// state is the state that the commands decided so far will leave; nil is
	// unknown. It is used by the goroutine in run, and by settle while run is
	// not active.
	state *gotong.State
	held  int // documents and events in state
}

// hold counts documents and events that the state gains.
func (l *lane) hold(n int) {
	l.held += n
	l.engine.lanes.docs.Add(int64(n))
}

// push adds a task. If the caller must run the lane, it returns the lane.
func (l *lane) push(t *task, limit int) (*lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= limit {
		return nil, gotong.NewError(gotong.CodeBusy, "Too many requests are waiting for this stream; repeat with the same request id.")
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

// turn is the number of commands of others that a caller decides before a
// goroutine of the lane takes over.
const turn = 64

// run decides the waiting commands, in order, until none waits or the lane
// halts.
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

// serve decides one command. A panic in the rules of a kind ends that command,
// neither the lane nor the server.
func (l *lane) serve(t *task, warm bool) {
	defer func() {
		if fault := recover(); fault != nil {
			l.mu.Lock()
			l.halted = true // the state may be half changed
			l.mu.Unlock()
			l.engine.opts.Fault(t.ctx, fault)
			t.done(gotong.Receipt{}, gotong.NewError(gotong.CodeInternal, "An internal error occurred."))
		}
	}()
	if warm {
		l.decideWarm(t)
	} else {
		l.decideCold(t)
	}
}

// next takes the first waiting task from the queue. It is warm if the cached
// state may decide it. A lane without a state has nothing in flight.
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
			l.popLocked()
			return t, false
		}
		if l.pending[t.cmd.Key()] == 0 && l.held <= maxDocs {
			l.popLocked()
			return t, true
		}
		// The same request is in flight, and its record will answer this one;
		// or the cache is full. In both cases, wait for all outcomes and start
		// from a fresh state.
		l.halted = true
	}
}

// popLocked removes the first task. A queue that becomes empty keeps a little
// room, so that a command that meets no other allocates none.
func (l *lane) popLocked() {
	const keep = 16
	l.queue[0] = nil
	switch {
	case len(l.queue) > 1:
		l.queue = l.queue[1:]
	case cap(l.queue) <= keep:
		l.queue = l.queue[:0]
	default:
		l.queue = nil
	}
}

// halt puts the task back. When everything in flight has its outcome, the lane
// starts again from the store.
func (l *lane) halt(t *task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append([]*task{t}, l.queue...)
	l.halted = true
}

// resumeLocked ends a halt once nothing is in flight. Commands that must be
// decided again go before commands that were never decided.
func (l *lane) resumeLocked() {
	if !l.halted || l.inflight > 0 {
		return
	}
	l.halted, l.state = false, nil
	l.hold(-l.held)
	l.queue = append(l.again, l.queue...)
	l.again = nil
}

// settle records the outcome of a task in flight. If the task was not
// committed, the tasks decided after it used a state that does not exist: the
// lane halts and starts again from the store. With again, the task itself must
// be decided again.
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
		// Not on the goroutine that answers, because deciding may read the
		// store.
		l.engine.running.Go(l.run)
	}
}

// lanes are the lanes of the streams that commands named last, in two
// generations: when the younger one is full, it becomes the older one, and what
// was not used since the older one was full is dropped. A lane that is not idle
// stays, because a stream never has two.
type lanes struct {
	most       int // lanes in a generation
	young, old map[gotong.Stream]*lane
	docs       atomic.Int64 // documents and events in the states of all lanes
}

// docsPerLane is how many documents and events the states may hold for each lane
// that may be kept. A lane with two of them takes 2.2 KB.
const docsPerLane = 4

func (l *lanes) get(s gotong.Stream) *lane {
	if found, ok := l.young[s]; ok {
		return found
	}
	found, ok := l.old[s]
	if ok {
		delete(l.old, s)
		l.put(found)
	}
	return found
}

func (l *lanes) put(added *lane) {
	if l.young == nil || len(l.young) >= l.most || l.docs.Load() > int64(2*docsPerLane*l.most) {
		l.begin()
	}
	l.young[added.stream] = added
}

func (l *lanes) begin() {
	dropped := l.old
	l.young, l.old = map[gotong.Stream]*lane{}, l.young
	for stream, lane := range dropped {
		if lane.idle() {
			l.docs.Add(-int64(lane.held))
		} else {
			l.young[stream] = lane
		}
	}
}
