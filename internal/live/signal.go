package live

import (
	"encoding/json"
	"math"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
)

// waiting is a signal that a session has not taken. There is at most one per
// stream, type and actor: the latest.
type waiting struct {
	sub   *sub
	typ   string
	actor string
	role  gotong.Role // of a presence
	frame Frame
}

// missing names a user whose presence a subscription should have got and did
// not, because too many signals waited or it could not take any.
type missing struct {
	sub *sub
	id  string
}

// maxMissed is of how many users a session remembers that.
const maxMissed = 4096

// Signal sends an ephemeral sign to the other subscribers of a followed
// stream: CodeNotFound where it is not followed with a permission that holds
// now, CodeForbidden while the kind wants silence of this reader, CodeInvalid
// where it has no such signal. Presence and read marks are the server's own to
// say.
func (s *Session) Signal(stream gotong.Stream, typ string) error {
	s.mu.Lock()
	sub := s.find(stream)
	if sub == nil || !sub.mayHear(s.hub.opt.Clock.Mono()) {
		s.mu.Unlock()
		return gotong.NotFound()
	}
	topic, silent := sub.topic, sub.grant.SilentUntil > s.hub.opt.Clock.Now()
	s.mu.Unlock()
	if typ == presenceType || typ == ReadType || !slices.Contains(topic.kind.Signals, typ) {
		return gotong.Invalid("type", "must be a signal of this kind of stream")
	}
	if silent {
		return gotong.NewError(gotong.CodeForbidden, "You are muted in this stream.")
	}
	m := bus.Signal{Stream: stream, Type: typ, Actor: gotong.Actor{UserID: s.reader.UserID, Role: s.reader.Role}}
	topic.spread(&m)
	s.hub.tell(bus.Message{Signal: &m})
	return nil
}

// ReadType is the signal with which a user's sessions hear that another of them
// has marked something as read.
const ReadType = "read"

// maxWhisper is how long the data of a sign may be, in bytes.
const maxWhisper = 1024

// Whisper sends a sign to the sessions of its own actor that follow the
// stream, on any node. Data is a JSON object of the server's own making.
func (h *Hub) Whisper(stream gotong.Stream, typ string, actor gotong.Actor, data []byte) {
	m := bus.Signal{Stream: stream, Type: typ, Actor: actor, Data: data}
	h.whisper(&m)
	h.tell(bus.Message{Signal: &m})
}

func (h *Hub) whisper(m *bus.Signal) {
	t := h.topics.lookup(m.Stream)
	if t == nil || !slices.Contains(t.kind.Signals, m.Type) || len(m.Data) > maxWhisper || !json.Valid(m.Data) {
		return
	}
	w := waiting{
		typ: m.Type, actor: m.Actor.UserID,
		frame: signalFrame(t.stream, m.Type, m.Actor, h.names.cached(m.Actor.UserID), m.Data),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.followers {
		if f.session.reader.UserID == w.actor {
			w.sub = f.sub
			f.session.signal(w)
		}
	}
}

// mayHear reports whether the subscription holds now: accepted, not stale, in
// a partition that is complete, and open for what happens next. The session's
// mu is held.
func (s *sub) mayHear(now clock.Moment) bool {
	return s.grant != nil && !s.ended && !s.stale() && s.topic.part.Load().fresh(now) &&
		s.grant.Sees(math.MaxUint64, "")
}

// spread hands a signal to the sessions of the stream but those of its actor.
func (t *topic) spread(m *bus.Signal) {
	name := t.hub.names.cached(m.Actor.UserID)
	w := waiting{
		typ: m.Type, actor: m.Actor.UserID,
		frame: signalFrame(t.stream, m.Type, m.Actor, name, m.Data),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spreadLocked(w)
}

func (t *topic) spreadLocked(w waiting) {
	for _, f := range t.followers {
		if f.session.reader.UserID != w.actor {
			w.sub = f.sub
			f.session.signal(w)
		}
	}
}

// signal queues a signal; the oldest goes where there are too many.
func (s *Session) signal(w waiting) {
	s.signalMu.Lock()
	same := slices.IndexFunc(s.signals, func(o waiting) bool {
		return o.sub == w.sub && o.typ == w.typ && o.actor == w.actor
	})
	dropped := false
	delete(s.missed, missing{w.sub, w.actor}) // the latest is here
	switch {
	case same >= 0:
		s.signals[same] = w
	case len(s.signals) >= s.hub.limits.Signals:
		s.miss(s.signals[0])
		copy(s.signals, s.signals[1:])
		s.signals[len(s.signals)-1] = w
		dropped = true
	default:
		s.signals = append(s.signals, w)
	}
	s.signalMu.Unlock()
	if dropped {
		s.hub.observer.Dropped("signal", 1)
	}
	s.raise(signalBit)
}

// miss remembers a presence that is not sent. s.signalMu is held.
func (s *Session) miss(w waiting) {
	if w.typ == presenceType && len(s.missed) < maxMissed {
		s.missed = orMake(s.missed)
		s.missed[missing{w.sub, w.actor}] = w.role
	}
}

// tellMissed queues the present state of the users whose presence was not sent.
// Where they are more than wait at once, the rest is missed again. s.mu is
// held.
func (s *Session) tellMissed(now clock.Moment) {
	s.signalMu.Lock()
	missed := s.missed
	s.missed = nil
	s.signalMu.Unlock()
	for m, role := range missed {
		switch {
		case m.sub.ended:
		case m.sub.mayHear(now):
			m.sub.topic.tellOne(m.sub, gotong.Actor{UserID: m.id, Role: role})
		default: // for when it may; see wakeSignals
			s.signalMu.Lock()
			s.miss(waiting{sub: m.sub, typ: presenceType, actor: m.id, role: role})
			s.signalMu.Unlock()
		}
	}
}

// wakeSignals has the session look at what it missed, now that it can take
// signals again.
func (s *Session) wakeSignals() {
	s.signalMu.Lock()
	some := len(s.missed) > 0
	s.signalMu.Unlock()
	if some {
		s.raise(signalBit)
	}
}

// takeSignals moves out the signals that the session may still get. Then the
// queue is quiet, and what was missed is queued.
func (s *Session) takeSignals(t *taking) {
	s.signalMu.Lock()
	signals := s.signals
	s.signals = nil
	s.signalMu.Unlock()
	now := s.hub.opt.Clock.Mono()
	for _, w := range signals {
		if w.sub.mayHear(now) {
			t.add(w.frame)
			continue
		}
		s.signalMu.Lock()
		s.miss(w)
		s.signalMu.Unlock()
	}
	s.tellMissed(now)
}

// hear takes in a message of another node; nothing in it is trusted beyond
// what a signal may say.
func (h *Hub) hear(m bus.Message) {
	if m.Node == h.node {
		return
	}
	h.presence.heard(m.Node, h.opt.Clock.Mono())
	switch {
	case m.Wake != nil && int(m.Wake.Partition) < len(h.parts):
		h.parts[m.Wake.Partition].hear(m.Wake.Position)
	case m.Ended != nil && h.opt.Ended != nil:
		h.opt.Ended(m.Ended.UserID)
	case m.Signal != nil:
		t := h.topics.lookup(m.Signal.Stream)
		if t == nil || !slices.Contains(t.kind.Signals, m.Signal.Type) {
			return
		}
		switch m.Signal.Type {
		case presenceType:
			t.hearPresence(m.Node, m.Signal, h.opt.Clock.Mono())
			return
		case ReadType:
			h.whisper(m.Signal)
			return
		}
		m.Signal.Data = nil // a client's signal has none
		t.spread(m.Signal)
	}
}

// TellEnded tells the other nodes that logins of a user may be over.
func (h *Hub) TellEnded(userID string) { h.tell(bus.Message{Ended: &bus.Ended{UserID: userID}}) }

// tell hands a message to the other nodes.
func (h *Hub) tell(m bus.Message) {
	if h.opt.Bus != nil {
		m.Node = h.node
		h.opt.Bus.Publish(m)
	}
}
