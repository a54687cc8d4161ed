package engine

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// Store is the part of an adapter that the engine uses.
type Store interface {
	store.Committer
	Epoch() gotong.Epoch
}

// Options configure an [Engine]. Store and Codec are required.
type Options struct {
	Store Store
	Codec *store.Codec
	Clock clock.Clock // nil: the machine's

	// Committed is called with the events of each commit that has any, when
	// they are durable and before the caller is answered, in order of position
	// within a partition. ctx carries the values of the command's context, not
	// its deadline.
	Committed func(ctx context.Context, rows []store.Event)

	// Decided is called with the outcome of each command: committed, no_op,
	// replayed, or the code of its error. It must return at once.
	Decided func(kind, fate string)

	// Ahead is called for a command to a stream whose newest event is ahead of
	// the clock by more than [MaxAhead]: the clock of the node that wrote the
	// event was wrong, or this node's is. It must not block; nil is not called.
	Ahead func(ctx context.Context, stream gotong.Stream, by time.Duration)

	// Fault is called for a panic outside the engine's own code: in the rules
	// of a kind, the store, a hook or a callback. The command that caused it is
	// answered with [gotong.CodeInternal]; other commands are not affected.
	Fault func(ctx context.Context, cause any)

	// Damage is called with each [store.ErrCorrupt] that rejects a command, such as
	// that of a damaged newest event, on which nothing may build.
	Damage func(err error)

	MaxQueue int // commands waiting in one lane; 0 is 1,024
}

// maxLanes bounds the streams whose documents are kept.
const maxLanes = 32_768

// MaxAhead is how far a stream may be ahead of the clock before a warning is
// due. The clocks of nodes that share a store may differ by less.
const MaxAhead = 5 * time.Second

// Engine runs commands. It is safe for concurrent use.
type Engine struct {
	opts   Options
	places store.Places

	underWay atomic.Int64   // commands without an answer yet, and running calls of Submit
	running  sync.WaitGroup // goroutines of lanes and of replays
	closing  atomic.Bool    // new commands are rejected; set under mu
	idle     chan struct{}  // closed when, after that, none is under way
	idleOnce sync.Once
	ended    atomic.Bool // nothing more is submitted

	failed chan struct{}         // closed when storage failed
	cause  atomic.Pointer[error] // the reason

	mu    sync.Mutex
	lanes lanes
}

// New starts an engine; [Engine.Close] ends it.
func New(opts Options) *Engine {
	opts.MaxQueue = cmp.Or(opts.MaxQueue, 1024)
	if opts.Committed == nil {
		opts.Committed = func(context.Context, []store.Event) {}
	}
	if opts.Decided == nil {
		opts.Decided = func(string, string) {}
	}
	if opts.Clock == nil {
		opts.Clock = clock.System()
	}
	if opts.Ahead == nil {
		opts.Ahead = func(context.Context, gotong.Stream, time.Duration) {}
	}
	if opts.Damage == nil {
		opts.Damage = func(error) {}
	}
	if opts.Fault == nil {
		opts.Fault = func(context.Context, any) {}
	}
	return &Engine{
		opts: opts, lanes: lanes{most: maxLanes / 2}, idle: make(chan struct{}), failed: make(chan struct{}),
	}
}

// Execute runs one command and returns its receipt. Its errors are
// [gotong.Error]. [gotong.CodeBusy] means that the outcome is unknown; the
// caller may repeat the command with the same request id.
func (e *Engine) Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error) {
	type answer struct {
		receipt gotong.Receipt
		err     error
	}
	answered := make(chan answer, 1)
	e.Submit(ctx, cmd, func(r gotong.Receipt, err error) { answered <- answer{r, err} })
	select {
	case a := <-answered:
		return a.receipt, a.err
	case <-ctx.Done():
		return gotong.Receipt{}, errUnknown()
	}
}

// Submit runs one command and calls done exactly once with its answer, on this
// or another goroutine; done must not block. Commands of one stream are decided
// in the order of their Submits.
func (e *Engine) Submit(ctx context.Context, cmd gotong.Command, done func(gotong.Receipt, error)) {
	t := &task{ctx: ctx, cmd: cmd, engine: e, reply: done}
	e.underWay.Add(2)
	defer e.answered() // this counts the call; the command is counted separately
	if err := e.check(&t.cmd); err != nil {
		t.done(gotong.Receipt{}, err)
		return
	}
	l, err := e.enqueue(t)
	if err != nil {
		t.done(gotong.Receipt{}, err)
		return
	}
	if l != nil {
		l.run()
	}
}

// answered counts an answer. After Close began, the last answer lets Close
// return.
func (e *Engine) answered() {
	if e.underWay.Add(-1) == 0 && e.closing.Load() {
		e.idleOnce.Do(func() { close(e.idle) })
	}
}

// Busy reports whether a command has no answer yet.
func (e *Engine) Busy() bool { return e.underWay.Load() > 0 }

// guard runs code that is not the engine's own. A panic in it ends neither the
// lane nor the server.
func (e *Engine) guard(ctx context.Context, f func()) {
	if err := store.Guard(func() error { f(); return nil }); err != nil {
		e.opts.Fault(ctx, err)
	}
}

// check normalises the texts of a command and rejects what no state could make
// valid.
func (e *Engine) check(cmd *gotong.Command) error {
	if _, err := e.opts.Codec.Kind(cmd.Stream); err != nil {
		return err
	}
	if !gotong.ValidRequestID(cmd.RequestID) {
		return gotong.Invalid("request_id", "must be 1 to 128 of A-Za-z0-9._:-")
	}
	if c, ok := cmd.Data.(gotong.Cleaner); ok {
		if cleaned := c.Clean(); cleaned != nil {
			cmd.Data = cleaned
		}
	}
	return gotong.Validate(cmd.Data)
}

// enqueue puts the task into its lane. If no goroutine runs the lane, it
// returns the lane, and the caller must run it.
func (e *Engine) enqueue(t *task) (*lane, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing.Load() {
		return nil, errUnknown()
	}
	l := e.lanes.get(t.cmd.Stream)
	if l == nil {
		kind, err := e.opts.Codec.Kind(t.cmd.Stream)
		if err != nil {
			return nil, err
		}
		// A lane outlives its commands, with whose other texts the name shares memory.
		l = &lane{engine: e, stream: gotong.Stream(strings.Clone(string(t.cmd.Stream))), kind: kind}
		e.lanes.put(l)
	}
	t.cmd.Stream = l.stream
	return l.push(t, e.opts.MaxQueue)
}

// Failed is closed when storage failed. The process should then exit with an
// error and start again.
func (e *Engine) Failed() <-chan struct{} { return e.failed }

// Cause returns why storage failed, or nil until Failed is closed.
func (e *Engine) Cause() error {
	if p := e.cause.Load(); p != nil {
		return *p
	}
	return nil
}

// Close rejects new commands. It returns when all accepted commands have their
// answers, or when ctx ends; commands that are then undecided are answered as
// unknown.
func (e *Engine) Close(ctx context.Context) error {
	e.underWay.Add(1) // counts as a command, so that the count reaches 0 after closing is set
	e.mu.Lock()
	e.closing.Store(true)
	e.mu.Unlock()
	e.answered()
	select {
	case <-e.idle:
		e.running.Wait()
		e.ended.Store(true)
		return nil
	case <-ctx.Done():
		e.ended.Store(true)
		return ctx.Err()
	}
}

func errUnknown() *gotong.Error {
	return gotong.NewError(gotong.CodeBusy, "The outcome is unknown; repeat with the same request id.")
}

func fate(r gotong.Receipt, err error) string {
	switch {
	case err != nil:
		return string(gotong.CodeOf(err))
	case r.Replayed:
		return "replayed"
	case r.First == 0:
		return "no_op"
	default:
		return "committed"
	}
}
