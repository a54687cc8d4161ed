package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
)

// signals is the number of signals that may wait in each direction.
const signals = 4096

const maxMessage = 64 << 10

// Options configure a Link. URL and Installation are required.
type Options struct {
	URL          string        // redis://, rediss:// (TLS) or unix://, with user and password
	Installation string        // distinguishes installations on one server: the epoch of the log
	Clock        clock.Clock   // nil: the machine's
	TLS          *tls.Config   // for rediss://; nil: the system's roots
	Asking       time.Duration // the longest wait of one call of Take; default 50 ms
	Observer     Observer
}

// Observer receives events for metrics and logs. Nil fields are not called;
// none may block.
type Observer struct {
	Connected func()          // messages are sent and received from now on
	Lost      func(why error) // messages are no longer sent and received; called once per outage
	Sent      func(n int)
	Received  func(n int)
	Dropped   func(n int) // messages that found no room or came too late
}

func (o *Observer) fill() {
	for _, f := range []*func(int){&o.Sent, &o.Received, &o.Dropped} {
		if *f == nil {
			*f = func(int) {}
		}
	}
	if o.Connected == nil {
		o.Connected = func() {}
	}
	if o.Lost == nil {
		o.Lost = func(error) {}
	}
}

// Link is one node's end of the bus. It is safe for concurrent use.
type Link struct {
	opt     Options
	dial    rueidis.ClientOption
	secrets []string // of the URL, never to be shown
	id      string
	in, out *bus.Queue

	client atomic.Pointer[rueidis.Client] // nil while there is no connection
	up     atomic.Bool                    // the subscription was proven
	pause  atomic.Int64                   // the moment until which Redis gets no calls for allowances
	moved  chan struct{}                  // has a value when the server turned out to belong to a cluster
	asking chan struct{}                  // a slot for each call for an allowance

	mu    sync.Mutex // guards what follows
	why   error      // of the present outage; nil while connected
	noted bool       // Observer.Lost was called for the outage
}

// New returns a link; Run connects it. An error concerns the URL and shows no
// part of it.
func New(opt Options) (*Link, error) {
	opt.Observer.fill()
	if opt.Clock == nil {
		opt.Clock = clock.System()
	}
	if opt.Asking <= 0 {
		opt.Asking = asking
	}
	dial, secrets, err := parse(opt.URL, opt.TLS)
	if err != nil {
		return nil, err
	}
	return &Link{
		opt: opt, dial: dial, secrets: secrets, id: rand.Text(), why: errNotYet,
		in: bus.NewQueue(signals), out: bus.NewQueue(signals), asking: make(chan struct{}, maxAsking),
		moved: make(chan struct{}, 1),
	}, nil
}

var errNotYet = errors.New("redis: not connected yet")

// Publish implements [bus.Bus].
func (l *Link) Publish(m bus.Message) {
	if !l.out.Put(m) {
		l.opt.Observer.Dropped(1)
	}
}

// Run implements [bus.Bus].
func (l *Link) Run(ctx context.Context, handle func(bus.Message)) error {
	var connecting sync.WaitGroup
	connecting.Go(func() { l.keep(ctx) })
	defer connecting.Wait()
	l.in.Deliver(ctx, handle)
	return nil
}

// keep connects again and again until ctx ends.
func (l *Link) keep(ctx context.Context) {
	bus.Keep(ctx, func(ctx context.Context) bool {
		err := l.connection(ctx)
		return ctx.Err() == nil && l.lost(err)
	})
	l.up.Store(false)
}

// lost records that there is no connection, and why. It returns whether there
// was one before.
func (l *Link) lost(err error) bool {
	was := l.up.Swap(false)
	l.mu.Lock()
	l.why = l.clean(err)
	first, why := !l.noted, l.why
	l.noted = true
	l.mu.Unlock()
	if first {
		l.opt.Observer.Lost(why)
	}
	return was
}

// proven records that the link receives what it publishes.
func (l *Link) proven() {
	if l.up.Swap(true) {
		return
	}
	l.mu.Lock()
	l.why, l.noted = nil, false
	l.mu.Unlock()
	l.opt.Observer.Connected()
}

// Check returns nil while messages are sent and received, and otherwise the
// reason why they are not.
func (l *Link) Check(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

type wire struct {
	From string `json:"from"` // the link that sent it
	bus.Message
}

func (l *Link) encode(m bus.Message) (string, bool) {
	b, err := json.Marshal(wire{l.id, m})
	return string(b), err == nil && len(b) <= maxMessage
}

// enqueue queues a message of another link, and drops invalid ones.
func (l *Link) enqueue(text string) {
	var w wire
	if len(text) > maxMessage || json.Unmarshal([]byte(text), &w) != nil || w.From == l.id || !valid(w.Message) {
		return
	}
	l.opt.Observer.Received(1)
	if !l.in.Put(w.Message) {
		l.opt.Observer.Dropped(1)
	}
}

// valid reports whether exactly one part of a message is set, with a possible
// value.
func valid(m bus.Message) bool {
	n := 0
	for _, there := range [...]bool{m.Wake != nil, m.Signal != nil, m.Ended != nil} {
		if there {
			n++
		}
	}
	return n == 1
}
