package signal

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
)

// The signals that only the server sends.
const (
	Presence = "presence" // who is present; see [Exchange.Shown]
	Read     = "read"     // for the user's own sessions: another of them marked something as read
	Inbox    = "inbox"    // for the user's own sessions: the inbox changed; of the stream of their account
)

const (
	maxData      = 1024 // length of the data of a signal, in bytes
	maxConcerned = 50   // users that a signal names: with ids of 128 bytes, it still fits into a NOTIFY of PostgreSQL
)

// Options are what an exchange is made of. Publish may be nil, the rest must be
// set.
type Options struct {
	Clock clock.Clock
	Kind  func(gotong.Stream) (*gotong.Kind, error)

	// Show passes a signal to the sessions of this node that follow its stream
	// and for whose users it is; see [For]. It must not block.
	Show func(m *bus.Signal)

	// ShowPresence has all sessions of this node that follow the stream get what
	// [Exchange.Shown] returns.
	ShowPresence func(stream gotong.Stream)

	// Publish sends a message to the other nodes; nil on a node without a bus.
	Publish func(m bus.Message)
}

// Exchange is the signals of one node. All methods are safe for concurrent use.
type Exchange struct {
	opt  Options
	wake chan struct{} // holds at most one wake-up

	mu      sync.Mutex // guards what follows, and each presence
	streams map[gotong.Stream]*presence
	news    []*presence // to be reported soon
	waiting []*presence // to be shown, or reported to who asked, later
	turns   []turn      // to be reported again, the oldest report first
	nodes   map[string]clock.Moment
	looks   map[string][]look // by user
}

// turn is a presence, and when it was last reported.
type turn struct {
	*presence
	reported clock.Moment
}

// New returns an exchange; presence is reported while Run runs.
func New(opt Options) *Exchange {
	return &Exchange{
		opt: opt, wake: make(chan struct{}, 1),
		streams: map[gotong.Stream]*presence{}, nodes: map[string]clock.Moment{}, looks: map[string][]look{},
	}
}

// For reports whether a signal of an actor is for the sessions of a user: one that the
// server whispers for those of the actor, any other for those of the others.
func For(m *bus.Signal, userID string) bool { return (m.Actor.UserID == userID) == whispered(m.Type) }

func whispered(typ string) bool { return typ == Read || typ == Inbox }

// Send passes on a client's signal. It returns CodeInvalid if clients send no
// such signal in this stream.
func (x *Exchange) Send(stream gotong.Stream, typ string, actor gotong.Actor) error {
	if typ == Presence || whispered(typ) || !x.has(stream, typ) {
		return gotong.Invalid("type", "must be a signal of this kind of stream")
	}
	x.spread(&bus.Signal{Stream: stream, Type: typ, Actor: actor})
	return nil
}

// Whisper passes a signal to the sessions of its own actor that follow the
// stream, on any node. Data is a JSON object that the server made.
func (x *Exchange) Whisper(stream gotong.Stream, actor gotong.Actor, data []byte) {
	m := &bus.Signal{Stream: stream, Type: Read, Actor: actor, Data: data}
	if x.has(stream, Read) && validData(data) {
		x.spread(m)
	}
}

// Changed informs the sessions that follow the account of a user, on any node, that their
// inbox changed. With another stream, it means the accounts of all its members, or of those
// of these users who are members: each node finds out which of them have sessions there.
func (x *Exchange) Changed(of gotong.Stream, users ...string) {
	m := bus.Signal{Stream: of, Type: Inbox, Actor: gotong.Actor{UserID: of.ID(), Role: gotong.RoleUser}}
	if len(users) == 0 {
		x.spread(&m)
	}
	for some := range slices.Chunk(users, maxConcerned) {
		part := m
		part.Users = some
		x.spread(&part)
	}
}

func validData(data []byte) bool { return len(data) <= maxData && json.Valid(data) }

func (x *Exchange) spread(m *bus.Signal) {
	x.opt.Show(m)
	x.publish(m)
}

func (x *Exchange) publish(m *bus.Signal) {
	if x.opt.Publish != nil {
		x.opt.Publish(bus.Message{Signal: m})
	}
}

func (x *Exchange) has(stream gotong.Stream, typ string) bool {
	kind, err := x.opt.Kind(stream)
	return err == nil && (typ == Inbox || slices.Contains(kind.Signals, typ))
}

// Hear handles a message of another node, whatever it carries: each is a sign
// of life.
func (x *Exchange) Hear(m bus.Message) {
	now := x.opt.Clock.Mono()
	x.alive(m.Node, now)
	if m.Signal != nil && m.Signal.Type == Active {
		x.hearLook(m.Signal)
		return
	}
	if m.Signal == nil || !x.has(m.Signal.Stream, m.Signal.Type) || len(m.Signal.Users) > maxConcerned {
		return
	}
	heard := *m.Signal
	switch heard.Type {
	case Presence:
		x.hearPresence(m.Node, &heard, now)
		return
	case Read:
		if !validData(heard.Data) {
			return
		}
	default:
		heard.Data = nil // a client's signal has none
	}
	x.opt.Show(&heard)
}

// Run reports presence until ctx ends: soon to all where a user came or left,
// and to the other nodes again and again, at a pace that never fills the bus.
func (x *Exchange) Run(ctx context.Context) {
	gather := time.NewTimer(presenceDelay)
	defer gather.Stop()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	if x.opt.Publish == nil {
		again.Stop() // there are no others
	}
	for gathering, second := true, 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-x.wake:
			if !gathering {
				gathering = true
				gather.Reset(presenceDelay)
			}
		case <-gather.C:
			if gathering = x.reportNews(); gathering {
				gather.Reset(presenceDelay)
			}
		case <-again.C:
			x.reportAgain()
			if second++; second%expireEvery == 0 {
				x.expire()
			}
		}
	}
}
