package signal

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
)

const (
	// presenceDelay is how long changes are gathered: a user who comes back
	// within it was never away.
	presenceDelay = 250 * time.Millisecond
	// reportLife is how long another node's report holds at least, and how long
	// its reports hold after the last message of the node.
	reportLife = time.Minute
	// reportEvery is the least time between two reports of a stream's presence.
	reportEvery = 20 * time.Second
	// reportRate is how many messages of repeated reports a node sends in a
	// second. With more streams than that allows for, a node reports each less
	// often, and the report holds longer.
	reportRate = 512
	// maxReportLife bounds how long a report may claim to hold.
	maxReportLife = time.Hour
	// expireEvery is how many seconds pass between two looks for reports that
	// hold no more.
	expireEvery = 20
	// crowd is how many users may be in a stream of which each change is shown
	// to all the others; of a larger one only Present gives an account.
	crowd = 100
	// maxUsers is how many users other nodes can add to a stream.
	maxUsers = 16_384
	// maxReports is how many nodes may report the same user.
	maxReports = 64
	// maxNamed is how many users one message between nodes names.
	maxNamed = 128
	// maxNodes is how many other nodes are remembered.
	maxNodes = 1024
	// newsAtOnce is of how many streams news is reported at once. Others may use
	// the bus in between, so news of very many streams takes some moments.
	newsAtOnce = 256
)

// presence is the users who follow one stream, as far as this node knows. It
// exists while somebody of this node follows.
type presence struct {
	stream  gotong.Stream
	users   map[string]*user
	changed map[string]struct{}
	here    int // users with sessions on this node
	there   int // users whom other nodes have reported

	queued bool // among the news
	listed bool // among the turns
	ask    bool // the others are to report their users
	answer bool // another asked
}

// user is one user of a presence.
type user struct {
	role     gotong.Role
	sessions int      // of this node
	reports  []report // of other nodes
	shown    bool     // as present, to the sessions here
	said     bool     // to be here, to the other nodes
}

// report is that a node has a user, and until when that holds.
type report struct {
	node string
	till clock.Moment
}

// word is what nodes tell each other of a stream's presence.
type word struct {
	Here []gotong.Actor `json:"here,omitempty"`
	Gone []gotong.Actor `json:"gone,omitempty"`
	Ask  bool           `json:"ask,omitempty"` // report the users who follow at your node
	For  int            `json:"for,omitempty"` // for how many seconds Here holds unless it is repeated
}

// life is how long the report holds.
func (w *word) life() time.Duration {
	return min(max(reportLife, time.Duration(min(w.For, int(maxReportLife.Seconds())))*time.Second), maxReportLife)
}

// Join notes that one more session of a user follows a stream.
func (x *Exchange) Join(stream gotong.Stream, v gotong.Viewer) { x.count(stream, v, 1) }

// Leave notes that one fewer does.
func (x *Exchange) Leave(stream gotong.Stream, v gotong.Viewer) { x.count(stream, v, -1) }

func (x *Exchange) count(stream gotong.Stream, v gotong.Viewer, change int) {
	if !x.has(stream, Presence) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.streams[stream]
	if p == nil {
		p = &presence{stream: stream, users: map[string]*user{}, changed: map[string]struct{}{}}
		x.streams[stream] = p
	}
	p.ask = p.ask || p.here == 0 // nobody here has listened until now
	u := p.user(v.UserID)
	was := u.sessions
	if u.sessions += change; was == 0 || u.sessions == 0 {
		p.here += change
		p.note(v.UserID, v.Role)
		x.announce(p)
	}
	if !p.listed {
		p.listed = true
		x.turns = append(x.turns, turn{p, x.opt.Clock.Mono()})
	}
}

func (p *presence) user(id string) *user {
	u := p.users[id]
	if u == nil {
		u = &user{}
		p.users[id] = u
	}
	return u
}

// note remembers that a user came or left.
func (p *presence) note(id string, role gotong.Role) {
	p.changed[id] = struct{}{}
	p.users[id].role = role
}

// announce has the news of a presence reported soon. x.mu is held.
func (x *Exchange) announce(p *presence) {
	if p.queued {
		return
	}
	p.queued = true
	x.news = append(x.news, p)
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// alive notes a sign of life of a node.
func (x *Exchange) alive(node string, now clock.Moment) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, known := x.nodes[node]; !known && len(x.nodes) >= maxNodes {
		maps.DeleteFunc(x.nodes, func(_ string, at clock.Moment) bool { return now > at.Add(reportLife) })
		if len(x.nodes) >= maxNodes {
			return
		}
	}
	x.nodes[node] = now
}

// holds reports whether a report still counts: it has not expired, and its node
// lives. x.mu is held.
func (x *Exchange) holds(r report, now clock.Moment) bool {
	return r.till >= now && now <= x.nodes[r.node].Add(reportLife)
}

// present reports whether the user follows on any node, as far as is known.
func (u *user) present() bool { return u.sessions > 0 || len(u.reports) > 0 }

// hearPresence handles what another node reports. Where nobody follows, nobody
// listens.
func (x *Exchange) hearPresence(node string, m *bus.Signal, now clock.Moment) {
	var w word
	if json.Unmarshal(m.Data, &w) != nil || len(w.Here) > maxNamed || len(w.Gone) > maxNamed {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.streams[m.Stream]
	if p == nil || p.here == 0 {
		return
	}
	for _, a := range w.Gone {
		if u := p.users[a.UserID]; u != nil && p.drop(u, func(r report) bool { return r.node == node }) {
			p.note(a.UserID, a.Role)
		}
	}
	for _, a := range w.Here {
		if gotong.ValidID(a.UserID) && p.believe(a.UserID, report{node, now.Add(w.life())}) {
			p.note(a.UserID, a.Role)
		}
	}
	p.answer = p.answer || w.Ask
	if len(p.changed) > 0 || p.answer {
		x.announce(p)
	}
}

// believe notes that a node has a user; it returns true if that is news.
func (p *presence) believe(id string, r report) bool {
	if p.users[id] == nil && len(p.users) >= maxUsers {
		return false
	}
	u := p.user(id)
	i := slices.IndexFunc(u.reports, func(o report) bool { return o.node == r.node })
	switch {
	case i >= 0:
		u.reports[i].till = r.till
		return false
	case len(u.reports) >= maxReports:
		return false
	case len(u.reports) == 0:
		p.there++
	}
	u.reports = append(u.reports, r)
	return true
}

// drop takes back reports of a user; it returns true if there were any.
func (p *presence) drop(u *user, which func(report) bool) bool {
	before := len(u.reports)
	u.reports = slices.DeleteFunc(u.reports, which)
	if before > 0 && len(u.reports) == 0 {
		p.there--
	}
	return len(u.reports) < before
}

// expire drops the reports that hold no more.
func (x *Exchange) expire() {
	now := x.opt.Clock.Mono()
	x.mu.Lock()
	list := slices.Collect(maps.Keys(x.streams))
	x.mu.Unlock()
	for _, stream := range list { // so that others get the lock in between
		x.mu.Lock()
		if p := x.streams[stream]; p != nil {
			x.expireIn(p, now)
		}
		x.mu.Unlock()
	}
}

func (x *Exchange) expireIn(p *presence, now clock.Moment) {
	for id, u := range p.users {
		if p.drop(u, func(r report) bool { return !x.holds(r, now) }) {
			p.note(id, u.role)
			x.announce(p)
		}
	}
}

// gathered is what is news of a presence, which then is news no more.
func (x *Exchange) gathered(p *presence) (show []*bus.Signal, w word) {
	x.mu.Lock()
	defer x.mu.Unlock()
	quiet := p.here+p.there > crowd
	for id := range p.changed {
		u := p.users[id]
		here, on := u.sessions > 0, u.present()
		actor := gotong.Actor{UserID: id, Role: u.role}
		if u.shown != on && !quiet {
			show = append(show, presenceOf(p.stream, actor, on))
		}
		switch {
		case u.said == here:
		case here:
			w.Here = append(w.Here, actor)
		default:
			w.Gone = append(w.Gone, actor)
		}
		if u.shown, u.said = on, here; !on {
			delete(p.users, id)
		}
	}
	if p.answer {
		w.Here = p.actors()
	}
	w.Ask = p.ask && p.here > 0
	clear(p.changed)
	p.queued, p.ask, p.answer = false, false, false
	if p.here == 0 {
		delete(x.streams, p.stream)
	}
	return show, w
}

// actors is everybody of this node.
func (p *presence) actors() []gotong.Actor {
	list := make([]gotong.Actor, 0, p.here)
	for id, u := range p.users {
		if u.sessions > 0 {
			list = append(list, gotong.Actor{UserID: id, Role: u.role})
		}
	}
	return list
}

func presenceOf(stream gotong.Stream, a gotong.Actor, on bool) *bus.Signal {
	data := `{"online":false}`
	if on {
		data = `{"online":true}`
	}
	return &bus.Signal{Stream: stream, Type: Presence, Actor: a, Data: []byte(data)}
}

// Again calls add with the presence of a user as the sessions of this node know
// it. What they learn later is passed to Show after that.
func (x *Exchange) Again(stream gotong.Stream, a gotong.Actor, add func(m *bus.Signal)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.streams[stream]
	add(presenceOf(stream, a, p != nil && p.users[a.UserID] != nil && p.users[a.UserID].shown))
}

// Present returns the users who follow a stream now, on any node as far as this
// one knows, sorted.
func (x *Exchange) Present(stream gotong.Stream) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.streams[stream]
	if p == nil {
		return nil
	}
	var users []string
	for id, u := range p.users {
		if u.present() {
			users = append(users, id)
		}
	}
	slices.Sort(users)
	return users
}
