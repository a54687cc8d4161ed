package live

import (
	"maps"
	"math"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
)

// waiting is a signal that a session has not taken. There is at most one per
// stream, type and actor: the latest.
type waiting struct {
	sub   *sub
	typ   string
	actor string
	frame Frame
}

// Signal sends an ephemeral sign to the other subscribers of a followed
// stream: CodeNotFound where it is not followed with a permission that holds
// now, CodeInvalid where the kind has no such signal. Presence is the hub's
// own to say.
func (s *Session) Signal(stream gotong.Stream, typ string) error {
	s.mu.Lock()
	sub := s.find(stream)
	if sub == nil || !sub.mayHear(s.hub.opt.Now()) {
		s.mu.Unlock()
		return gotong.NotFound()
	}
	topic := sub.topic
	s.mu.Unlock()
	if typ == presenceType || !slices.Contains(topic.kind.Signals, typ) {
		return gotong.Invalid("type", "must be a signal of this kind of stream")
	}
	m := bus.Signal{Stream: stream, Type: typ, Actor: gotong.Actor{UserID: s.reader.UserID, Role: s.reader.Role}}
	topic.spread(&m)
	s.hub.tell(bus.Message{Signal: &m})
	return nil
}

// mayHear reports whether the subscription holds now: accepted, not stale, in
// a partition that is complete, and open for what happens next. The session's
// mu is held.
func (s *sub) mayHear(now gotong.Instant) bool {
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
	switch {
	case same >= 0:
		s.signals[same] = w
	case len(s.signals) >= s.hub.limits.Signals:
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

// takeSignals moves the signals out that may still be heard.
func (s *Session) takeSignals(t *taking) {
	s.signalMu.Lock()
	signals := s.signals
	s.signals = nil
	s.signalMu.Unlock()
	now := s.hub.opt.Now()
	for _, w := range signals {
		if w.sub.mayHear(now) {
			t.add(w.frame)
		}
	}
}

// presenceType is the signal with which the hub tells who came and went.
const presenceType = "presence"

// presence is who follows a stream: on this node by count of sessions, on the
// others by when it was last heard.
type presence struct {
	here  map[string]int
	role  map[string]gotong.Role
	there map[string]gotong.Instant // until when it is believed
}

func (t *topic) hasPresence() bool { return slices.Contains(t.kind.Signals, presenceType) }

var (
	online  = []byte(`{"online":true}`)
	offline = []byte(`{"online":false}`)
)

// join notes one more session of a user; the first one is told to the others.
func (t *topic) join(r gotong.Reader) {
	if !t.hasPresence() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &t.presence
	if p.here == nil {
		p.here, p.role = map[string]int{}, map[string]gotong.Role{}
	}
	p.here[r.UserID]++
	p.role[r.UserID] = r.Role
	if p.here[r.UserID] == 1 {
		t.tellPresence(r, online)
	}
}

// leave notes one session less; the last one is told.
func (t *topic) leave(r gotong.Reader) {
	if !t.hasPresence() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &t.presence
	if p.here[r.UserID]--; p.here[r.UserID] > 0 {
		return
	}
	delete(p.here, r.UserID)
	delete(p.role, r.UserID)
	t.tellPresence(r, offline)
}

// tellPresence tells this node's sessions and the other nodes. t.mu is held.
func (t *topic) tellPresence(r gotong.Reader, data []byte) {
	m := bus.Signal{
		Stream: t.stream, Type: presenceType,
		Actor: gotong.Actor{UserID: r.UserID, Role: r.Role}, Data: data,
	}
	t.spreadLocked(waiting{
		typ: m.Type, actor: m.Actor.UserID,
		frame: signalFrame(t.stream, m.Type, m.Actor, t.hub.names.cached(r.UserID), data),
	})
	t.hub.tell(bus.Message{Signal: &m})
}

// presenceLife is how long another node's word holds; each says it again three
// times within it.
const presenceLife = 60

// hearPresence takes in what another node says; only news is passed on.
func (t *topic) hearPresence(m *bus.Signal, now gotong.Instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := m.Actor.UserID
	known := t.presence.there[id] >= now || t.presence.here[id] > 0
	on := string(m.Data) == string(online)
	if !on {
		delete(t.presence.there, id)
	} else {
		if t.presence.there == nil {
			t.presence.there = map[string]gotong.Instant{}
		}
		t.presence.there[id] = now + presenceLife*1_000_000
	}
	if on == known || !on && t.presence.here[id] > 0 {
		return
	}
	data := offline
	if on {
		data = online
	}
	t.spreadLocked(waiting{
		typ: m.Type, actor: id, frame: signalFrame(t.stream, m.Type, m.Actor, t.hub.names.cached(id), data),
	})
}

// repeatPresence says again who is here, and forgets who was not heard of.
func (t *topic) repeatPresence(now gotong.Instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.presence.there, func(_ string, till gotong.Instant) bool { return till < now })
	for id := range t.presence.here {
		t.hub.tell(bus.Message{Signal: &bus.Signal{
			Stream: t.stream, Type: presenceType,
			Actor: gotong.Actor{UserID: id, Role: t.presence.role[id]}, Data: online,
		}})
	}
}

// Present lists the users who follow a stream now, on any node as far as this
// one has heard, sorted.
func (h *Hub) Present(stream gotong.Stream) []string {
	t := h.topics.lookup(stream)
	if t == nil {
		return nil
	}
	now := h.opt.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	users := slices.Collect(maps.Keys(t.presence.here))
	for id, till := range t.presence.there {
		if till >= now && t.presence.here[id] == 0 {
			users = append(users, id)
		}
	}
	slices.Sort(users)
	return users
}

// hear takes in a message of another node; nothing in it is trusted beyond
// what a signal may say.
func (h *Hub) hear(m bus.Message) {
	switch {
	case m.Node == h.node:
	case m.Wake != nil && int(m.Wake.Partition) < len(h.parts):
		h.parts[m.Wake.Partition].hear(m.Wake.Position)
	case m.Signal != nil:
		t := h.topics.lookup(m.Signal.Stream)
		if t == nil || !slices.Contains(t.kind.Signals, m.Signal.Type) {
			return
		}
		if m.Signal.Type == presenceType {
			t.hearPresence(m.Signal, h.opt.Now())
			return
		}
		m.Signal.Data = nil // a client's signal has none
		t.spread(m.Signal)
	}
}

// tell hands a message to the other nodes.
func (h *Hub) tell(m bus.Message) {
	if h.opt.Bus != nil {
		m.Node = h.node
		h.opt.Bus.Publish(m)
	}
}
