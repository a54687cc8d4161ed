package live

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
)

// presenceType is the signal with which the hub tells who came and went.
const presenceType = "presence"

const (
	// presenceDelay is how long changes are gathered: who comes back within it
	// was never away.
	presenceDelay = 250 * time.Millisecond
	// presenceLife is how long another node's report holds at least, and how
	// long its reports hold after the last message of the node.
	presenceLife = time.Minute
	// presenceEvery is the least time between two reports of a stream's
	// presence.
	presenceEvery = 20 * time.Second
	// presenceRate is how many such messages a node sends in a second. With
	// more streams than that allows for, a node reports each less often, and
	// the report holds longer.
	presenceRate = 512
	// maxPresenceLife bounds how long a report may claim to hold.
	maxPresenceLife = time.Hour
	// presenceCrowd is how many users may be in a stream of which each coming
	// and going is told to all the others; of a larger one only Present tells.
	presenceCrowd = 100
)

// maxThere is how many users of other nodes are remembered in a stream.
const maxThere = 16_384

// maxWord is how many users one message between nodes names.
const maxWord = 128

// presence is who follows a stream: on this node by count of sessions, on the
// others as last heard. It is guarded by the topic's mu.
type presence struct {
	here    map[string]int
	there   map[string][]heard // who says so, by user
	role    map[string]gotong.Role
	changed map[string]struct{}
	told    map[string]struct{} // whom the sessions here believe to be there
	said    map[string]struct{} // whom the other nodes believe to be here

	queued bool // among the tellings
	listed bool // among those that are said again
	ask    bool // the others are to say who is there
	answer bool // another asked
}

// heard is the word of one node, and until when it is believed.
type heard struct {
	node string
	till clock.Moment
}

// word is what nodes say to each other of a stream's presence.
type word struct {
	Here []gotong.Actor `json:"here,omitempty"`
	Gone []gotong.Actor `json:"gone,omitempty"`
	Ask  bool           `json:"ask,omitempty"` // say who follows at yours
	For  int            `json:"for,omitempty"` // for how many seconds Here holds unless it is said again
}

// life is how long the report holds.
func (w *word) life() time.Duration {
	return min(max(presenceLife, time.Duration(min(w.For, int(maxPresenceLife.Seconds())))*time.Second), maxPresenceLife)
}

var (
	online  = []byte(`{"online":true}`)
	offline = []byte(`{"online":false}`)
)

func (t *topic) hasPresence() bool { return slices.Contains(t.kind.Signals, presenceType) }

// join notes one more session of a user.
func (t *topic) join(r gotong.Viewer) { t.countSession(r, 1) }

// leave notes one session less.
func (t *topic) leave(r gotong.Viewer) { t.countSession(r, -1) }

func (t *topic) countSession(r gotong.Viewer, change int) {
	if !t.hasPresence() {
		return
	}
	t.mu.Lock()
	p := &t.presence
	if p.here == nil {
		p.here = map[string]int{}
	}
	was := p.here[r.UserID]
	if was == 0 && len(p.here) == 0 {
		p.ask = true // nobody here has listened until now
	}
	if p.here[r.UserID] = was + change; was+change == 0 {
		delete(p.here, r.UserID)
	}
	first := false
	if was == 0 || was+change == 0 {
		p.note(r.UserID, r.Role)
		first = p.queue()
	}
	if !p.listed {
		p.listed = true
		t.hub.presence.list(t, t.hub.opt.Clock.Mono())
	}
	t.mu.Unlock()
	if first {
		t.hub.presence.add(t)
	}
}

// note remembers that a user came or went.
func (p *presence) note(id string, role gotong.Role) {
	p.changed, p.role = orMake(p.changed), orMake(p.role)
	p.changed[id] = struct{}{}
	p.role[id] = role
}

// queue reports whether the topic is to be added to the tellings, and notes
// that it was.
func (p *presence) queue() bool {
	was := p.queued
	p.queued = true
	return !was
}

func orMake[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		m = map[K]V{}
	}
	return m
}

// isThere reports whether another node has reported the user. t.mu is held.
func (t *topic) isThere(id string, now clock.Moment) bool {
	return slices.ContainsFunc(t.presence.there[id], func(h heard) bool { return t.hub.presence.holds(h, now) })
}

// hearPresence takes in what another node says.
func (t *topic) hearPresence(node string, m *bus.Signal, now clock.Moment) {
	var w word
	if json.Unmarshal(m.Data, &w) != nil || len(w.Here) > maxWord || len(w.Gone) > maxWord {
		return
	}
	t.mu.Lock()
	p := &t.presence
	for _, a := range w.Gone {
		if p.forget(a.UserID, node) {
			p.note(a.UserID, a.Role)
		}
	}
	for _, a := range w.Here {
		if gotong.ValidID(a.UserID) && p.believe(a.UserID, node, now.Add(w.life())) {
			p.note(a.UserID, a.Role)
		}
	}
	p.answer = p.answer || w.Ask && len(p.here) > 0
	first := (len(p.changed) > 0 || p.answer) && p.queue()
	t.mu.Unlock()
	if first {
		t.hub.presence.add(t)
	}
}

// believe notes that a node has a user; true where that is news.
func (p *presence) believe(id, node string, till clock.Moment) bool {
	list := p.there[id]
	i := slices.IndexFunc(list, func(h heard) bool { return h.node == node })
	const maxNodes = 64
	switch {
	case i >= 0:
		list[i].till = till
		return false
	case list == nil && len(p.there) >= maxThere, len(list) >= maxNodes:
		return false
	}
	p.there = orMake(p.there)
	p.there[id] = append(list, heard{node, till})
	return true
}

// forget takes a node's word back; true where there was one.
func (p *presence) forget(id, node string) bool {
	return p.drop(id, func(h heard) bool { return h.node == node })
}

func (p *presence) drop(id string, which func(heard) bool) bool {
	list := p.there[id]
	left := slices.DeleteFunc(list, which)
	switch len(left) {
	case len(list):
		return false
	case 0:
		delete(p.there, id)
	default:
		p.there[id] = left
	}
	return true
}

// tellPresence tells the sessions here, and the other nodes, what is news to
// them.
func (t *topic) tellPresence(now clock.Moment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &t.presence
	p.told, p.said = orMake(p.told), orMake(p.said)
	crowd := len(p.here)+len(p.there) > presenceCrowd
	var w word
	for id := range p.changed {
		here := p.here[id] > 0
		there := here || t.isThere(id, now)
		actor := gotong.Actor{UserID: id, Role: p.role[id]}
		if news(p.told, id, there) && !crowd {
			t.showPresence(actor, there)
		}
		switch {
		case !news(p.said, id, here):
		case here:
			w.Here = append(w.Here, actor)
		default:
			w.Gone = append(w.Gone, actor)
		}
		if !there {
			delete(p.role, id)
		}
	}
	if p.answer {
		w.Here = p.hereNow()
	}
	w.Ask = p.ask && len(p.here) > 0
	p.changed, p.queued, p.ask, p.answer = nil, false, false, false
	t.saySome(w)
}

// showPresence tells the sessions here. t.mu is held.
func (t *topic) showPresence(a gotong.Actor, on bool) {
	t.spreadLocked(t.presenceOf(a, on))
}

func (t *topic) presenceOf(a gotong.Actor, on bool) waiting {
	data := offline
	if on {
		data = online
	}
	return waiting{
		typ: presenceType, actor: a.UserID, role: a.Role,
		frame: signalFrame(t.stream, presenceType, a, t.hub.names.cached(a.UserID), data),
	}
}

// tellOne sends one subscription again the presence of a user as this node
// knows it.
func (t *topic) tellOne(s *sub, a gotong.Actor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, on := t.presence.told[a.UserID]
	w := t.presenceOf(a, on)
	w.sub = s
	s.session.signal(w)
}

// hereNow is everybody of this node.
func (p *presence) hereNow() []gotong.Actor {
	list := make([]gotong.Actor, 0, len(p.here))
	for id := range p.here {
		list = append(list, gotong.Actor{UserID: id, Role: p.role[id]})
	}
	return list
}

// saySome reports to the other nodes, in as many messages as it takes, and
// returns how many those are.
func (t *topic) saySome(w word) (n int) {
	life := int(t.hub.presence.life().Seconds())
	for t.hub.opt.Bus != nil && (len(w.Here) > 0 || len(w.Gone) > 0 || w.Ask) {
		part := word{Here: w.Here[:min(maxWord, len(w.Here))], Gone: w.Gone[:min(maxWord, len(w.Gone))], Ask: w.Ask, For: life}
		n++
		w = word{Here: w.Here[len(part.Here):], Gone: w.Gone[len(part.Gone):]}
		data, err := json.Marshal(part)
		if err != nil { // ids and roles always have a JSON form
			return n
		}
		t.hub.tell(bus.Message{Signal: &bus.Signal{Stream: t.stream, Type: presenceType, Data: data, Bulk: true}})
	}
	return n
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

// expirePresence drops users whose reports have expired.
func (t *topic) expirePresence(now clock.Moment) {
	t.mu.Lock()
	p := &t.presence
	for id := range p.there {
		if p.drop(id, func(h heard) bool { return !t.hub.presence.holds(h, now) }) {
			p.note(id, p.role[id])
		}
	}
	first := len(p.changed) > 0 && p.queue()
	t.mu.Unlock()
	if first {
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
	now := h.opt.Clock.Mono()
	t.mu.Lock()
	defer t.mu.Unlock()
	users := slices.Collect(maps.Keys(t.presence.here))
	for id := range t.presence.there {
		if t.presence.here[id] == 0 && t.isThere(id, now) {
			users = append(users, id)
		}
	}
	slices.Sort(users)
	return users
}
