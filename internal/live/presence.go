package live

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
)

// presenceType is the signal with which the hub tells who came and went.
const presenceType = "presence"

const (
	// presenceDelay is how long changes are gathered: who comes back within it
	// was never away.
	presenceDelay = 250 * time.Millisecond
	// presenceLife is how long another node's word holds.
	presenceLife = time.Minute
	// presenceCrowd is how many users may be in a stream of which each coming
	// and going is told to all the others; of a larger one only Present tells.
	presenceCrowd = 100
)

// presence is who follows a stream: on this node by count of sessions, on the
// others as last heard. It is guarded by the topic's mu.
type presence struct {
	here    map[string]int
	there   map[string]gotong.Instant // until when it is believed
	role    map[string]gotong.Role
	changed map[string]struct{}
	told    map[string]struct{} // whom the sessions here believe to be there
	said    map[string]struct{} // whom the other nodes believe to be here
}

var (
	online  = []byte(`{"online":true}`)
	offline = []byte(`{"online":false}`)
)

func (t *topic) hasPresence() bool { return slices.Contains(t.kind.Signals, presenceType) }

// join notes one more session of a user.
func (t *topic) join(r gotong.Reader) { t.countSession(r, 1) }

// leave notes one session less.
func (t *topic) leave(r gotong.Reader) { t.countSession(r, -1) }

func (t *topic) countSession(r gotong.Reader, change int) {
	if !t.hasPresence() {
		return
	}
	t.mu.Lock()
	p := &t.presence
	if p.here == nil {
		p.here = map[string]int{}
	}
	was := p.here[r.UserID]
	if p.here[r.UserID] = was + change; was+change == 0 {
		delete(p.here, r.UserID)
	}
	first := (was == 0 || was+change == 0) && p.note(r.UserID, r.Role)
	t.mu.Unlock()
	if first {
		t.hub.presence.add(t)
	}
}

// note remembers that a user came or went; true where nothing else waits to be
// told.
func (p *presence) note(id string, role gotong.Role) bool {
	if p.changed == nil {
		p.changed, p.role = map[string]struct{}{}, orMake(p.role)
	}
	p.changed[id] = struct{}{}
	p.role[id] = role
	return len(p.changed) == 1
}

func orMake[V any](m map[string]V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	return m
}

// hearPresence takes in what another node says.
func (t *topic) hearPresence(m *bus.Signal, now gotong.Instant) {
	t.mu.Lock()
	p := &t.presence
	if string(m.Data) == string(online) {
		p.there = orMake(p.there)
		p.there[m.Actor.UserID] = now.Add(presenceLife)
	} else {
		delete(p.there, m.Actor.UserID)
	}
	first := p.note(m.Actor.UserID, m.Actor.Role)
	t.mu.Unlock()
	if first {
		t.hub.presence.add(t)
	}
}

// tellPresence tells the sessions here, and the other nodes, what is news to
// them.
func (t *topic) tellPresence(now gotong.Instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &t.presence
	p.told, p.said = orMake(p.told), orMake(p.said)
	crowd := len(p.here)+len(p.there) > presenceCrowd
	for id := range p.changed {
		here := p.here[id] > 0
		there := here || p.there[id] >= now
		if news(p.told, id, there) && !crowd {
			m := t.presenceOf(id, there)
			t.spreadLocked(waiting{
				typ: m.Type, actor: id,
				frame: signalFrame(t.stream, m.Type, m.Actor, t.hub.names.cached(id), m.Data),
			})
		}
		if news(p.said, id, here) {
			t.hub.tell(bus.Message{Signal: t.presenceOf(id, here)})
		}
		if !there {
			delete(p.role, id)
		}
	}
	p.changed = nil
}

// news sets whether id is in the set; true where that is a change.
func news(set map[string]struct{}, id string, in bool) bool {
	if _, was := set[id]; was == in {
		return false
	}
	if in {
		set[id] = struct{}{}
	} else {
		delete(set, id)
	}
	return true
}

func (t *topic) presenceOf(id string, on bool) *bus.Signal {
	data := offline
	if on {
		data = online
	}
	return &bus.Signal{
		Stream: t.stream, Type: presenceType,
		Actor: gotong.Actor{UserID: id, Role: t.presence.role[id]}, Data: data,
	}
}

// repeatPresence says again who is here, and forgets who was not heard of.
func (t *topic) repeatPresence(now gotong.Instant) {
	t.mu.Lock()
	p := &t.presence
	gone := false
	maps.DeleteFunc(p.there, func(id string, till gotong.Instant) bool {
		if till < now {
			gone = p.note(id, p.role[id]) || gone
		}
		return till < now
	})
	for id := range p.here {
		t.hub.tell(bus.Message{Signal: t.presenceOf(id, true)})
	}
	t.mu.Unlock()
	if gone {
		t.hub.presence.add(t)
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

// tellings is the topics of which there is presence to tell.
type tellings struct {
	mu     sync.Mutex // a leaf; see Hub
	topics []*topic
	wake   chan struct{}
}

func (l *tellings) add(t *topic) {
	l.mu.Lock()
	l.topics = append(l.topics, t)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run tells what was gathered, until ctx ends.
func (l *tellings) run(ctx context.Context, now func() gotong.Instant) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		if !pause(ctx, presenceDelay) {
			return
		}
		l.mu.Lock()
		topics := l.topics
		l.topics = nil
		l.mu.Unlock()
		for _, t := range topics {
			t.tellPresence(now())
		}
	}
}
