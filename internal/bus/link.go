package bus

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"sync"
)

// Observer receives events of a bus for metrics and logs. Nil fields are not
// called; none may block.
type Observer struct {
	Connected func()          // messages arrive from now on
	Lost      func(why error) // messages no longer arrive; called once per outage
	Sent      func(n int)
	Received  func(n int)
	Dropped   func(n int) // messages that found no room, came too late, or that the bus does not carry
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

// signals is the number of signals that may wait in each direction.
const signals = 4096

// MaxMessage is the largest size of an encoded message, in bytes.
const MaxMessage = 64 << 10

var errNotYet = errors.New("not connected yet")

// Link is the part of a bus that does not depend on its server: the queues
// before and after the connection, and the record of whether it works. It is
// safe for concurrent use.
type Link struct {
	Observer Observer // with all fields set
	ID       string   // of this end; random
	Out      *Queue   // what waits to be sent

	in      *Queue
	connect func(context.Context) error

	mu    sync.Mutex // guards what follows
	up    bool
	why   error // of the present outage
	noted bool  // Observer.Lost was called for the outage
}

// NewLink returns a link that is not connected. connect connects once and calls
// Proven; it returns when ctx ends or the connection is lost, with an error that
// shows no secrets.
func NewLink(o Observer, connect func(context.Context) error) *Link {
	o.fill()
	return &Link{
		Observer: o, ID: rand.Text(), Out: NewQueue(signals), in: NewQueue(signals), connect: connect, why: errNotYet,
	}
}

// Publish implements [Bus].
func (l *Link) Publish(m Message) {
	if !l.Out.Put(m) {
		l.Observer.Dropped(1)
	}
}

// Run implements [Bus].
func (l *Link) Run(ctx context.Context, handle func(Message)) error {
	var connecting sync.WaitGroup
	connecting.Go(func() {
		Keep(ctx, func(ctx context.Context) bool {
			err := l.connect(ctx)
			return ctx.Err() == nil && l.lost(err)
		})
	})
	defer connecting.Wait()
	l.in.Deliver(ctx, handle)
	return nil
}

// lost records that messages do not arrive, and why. It returns whether they
// did before.
func (l *Link) lost(why error) bool {
	l.mu.Lock()
	was, first := l.up, !l.noted
	l.up, l.why, l.noted = false, why, true
	l.mu.Unlock()
	if first {
		l.Observer.Lost(why)
	}
	return was
}

// Proven records that messages arrive.
func (l *Link) Proven() {
	l.mu.Lock()
	was := l.up
	l.up, l.why, l.noted = true, nil, false
	l.mu.Unlock()
	if !was {
		l.Observer.Connected()
	}
}

// Check returns nil while messages arrive, and otherwise the reason why they do
// not.
func (l *Link) Check(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

// Requeue puts back messages that could not be sent and are still useful later:
// all but signals.
func (l *Link) Requeue(list []Message) {
	for _, m := range list {
		if m.Signal == nil {
			l.Out.Put(m)
		}
	}
}

// Receive queues a message for the handler.
func (l *Link) Receive(m Message) {
	if !l.in.Put(m) {
		l.Observer.Dropped(1)
	}
}

type wire struct {
	From string `json:"from"` // the end that sent it
	Message
}

// Encode returns a message as text. It returns false if the text is longer than
// most bytes.
func (l *Link) Encode(m Message, most int) (string, bool) {
	b, err := json.Marshal(wire{l.ID, m})
	return string(b), err == nil && len(b) <= most
}

// ReceiveText queues the message in a text of another end, and drops invalid
// ones.
func (l *Link) ReceiveText(text string) {
	var w wire
	if len(text) > MaxMessage || json.Unmarshal([]byte(text), &w) != nil || w.From == l.ID || !valid(w.Message) {
		return
	}
	l.Observer.Received(1)
	l.Receive(w.Message)
}

// valid reports whether exactly one part of a message is set, with a possible
// value.
func valid(m Message) bool {
	n := 0
	for _, there := range [...]bool{m.Wake != nil, m.Signal != nil, m.Ended != nil} {
		if there {
			n++
		}
	}
	return n == 1
}
