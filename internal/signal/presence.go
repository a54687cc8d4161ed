package signal

import (
	"bytes"
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
	// maxListed is how many present users are shown one by one; of more, only
	// their number is shown.
	maxListed = 50
	// showEvery and maxShowEvery are the least time between two times that the
	// presence of a stream is shown, or reported to a node that asks: showEvery
	// for each user who is shown or reported. A frame to each of many users costs
	// by their number, and a list by its square.
	showEvery    = 100 * time.Millisecond
	maxShowEvery = 10 * time.Second
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

	shown    []byte       // as the sessions here are shown it; see Shown
	showAt   clock.Moment // not before
	answerAt clock.Moment // not before

	queued bool         // among the news
	waits  bool         // among those that wait
	till   clock.Moment // for this, if it waits
	listed bool         // among the turns
	ask    bool         // the others are to report their users
	answer bool         // another asked, and has not been answered
}

type user struct {
	sessions int      // of this node
	reports  []report // of other nodes
	said     bool     // to be here, to the other nodes
}

// report is that a node has a user, and until when that holds.
type report struct {
	node string
	till clock.Moment
}

// word is what nodes tell each other of a stream's presence.
type word struct {
	Here []string `json:"here,omitempty"` // ids of users
	Gone []string `json:"gone,omitempty"`
	Ask  bool     `json:"ask,omitempty"` // report the users who follow at your node
	For  int      `json:"for,omitempty"` // for how many seconds Here holds unless it is repeated
}

func (w *word) life() time.Duration {
	return min(max(reportLife, time.Duration(min(w.For, int(maxReportLife.Seconds())))*time.Second), maxReportLife)
}

// Join notes that one more session of a user follows a stream.
func (x *Exchange) Join(stream gotong.Stream, userID string) { x.count(stream, userID, 1) }

// Leave notes that one fewer does.
func (x *Exchange) Leave(stream gotong.Stream, userID string) { x.count(stream, userID, -1) }

func (x *Exchange) count(stream gotong.Stream, userID string, change int) {
	if !x.has(stream, Presence) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.streams[stream]
	if p == nil {
		p = &presence{stream: stream, users: map[string]*user{}}
		x.streams[stream] = p
	}
	p.ask = p.ask || p.here == 0 // nobody here has listened until now
	u := p.user(userID)
	was := u.sessions
	if u.sessions += change; was == 0 || u.sessions == 0 {
		p.here += change
		p.note(userID)
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
func (p *presence) note(id string) {
	if p.changed == nil {
		p.changed = map[string]struct{}{}
	}
	p.changed[id] = struct{}{}
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
	for _, id := range w.Gone {
		if u := p.users[id]; u != nil && u.drop(func(r report) bool { return r.node == node }) {
			p.note(id)
		}
	}
	for _, id := range w.Here {
		if gotong.ValidID(id) && p.believe(id, report{node, now.Add(w.life())}) {
			p.note(id)
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
	if i >= 0 {
		u.reports[i].till = r.till
		return false
	}
	if len(u.reports) >= maxReports {
		return false
	}
	u.reports = append(u.reports, r)
	return true
}

// drop takes back reports of the user; it returns true if there were any.
func (u *user) drop(which func(report) bool) bool {
	before := len(u.reports)
	u.reports = slices.DeleteFunc(u.reports, which)
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
		if u.drop(func(r report) bool { return !x.holds(r, now) }) {
			p.note(id)
			x.announce(p)
		}
	}
}

// gathered returns whether the sessions here are to be shown the presence again,
// and what is news to the other nodes; then nothing of it is news any more.
func (x *Exchange) gathered(p *presence) (show bool, w word) {
	now := x.opt.Clock.Mono()
	x.mu.Lock()
	defer x.mu.Unlock()
	for id := range p.changed {
		u := p.users[id]
		here := u.sessions > 0
		switch {
		case u.said == here:
		case here:
			w.Here = append(w.Here, id)
		default:
			w.Gone = append(w.Gone, id)
		}
		if u.said = here; !u.present() {
			delete(p.users, id)
		}
	}
	p.changed = nil
	if p.answer && now >= p.answerAt {
		w.Here = p.local()
		p.answer, p.answerAt = false, now.Add(pace(len(w.Here)))
	}
	w.Ask = p.ask && p.here > 0
	p.queued, p.ask = false, false
	if p.here == 0 {
		delete(x.streams, p.stream)
		return false, w
	}
	if p.answer {
		x.wait(p, p.answerAt)
	}
	if now < p.showAt {
		x.wait(p, p.showAt)
		return false, w
	}
	return p.render(now), w
}

// pace is the least time between two times that n users are shown or reported.
func pace(n int) time.Duration { return min(time.Duration(n)*showEvery, maxShowEvery) }

// wait has the presence announced at a moment, or sooner. x.mu is held.
func (x *Exchange) wait(p *presence, till clock.Moment) {
	if !p.waits {
		p.waits, p.till = true, till
		x.waiting = append(x.waiting, p)
	}
	p.till = min(p.till, till)
}

// due announces the presences that have waited long enough.
func (x *Exchange) due() {
	now := x.opt.Clock.Mono()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.waiting = slices.DeleteFunc(x.waiting, func(p *presence) bool {
		if now < p.till {
			return false
		}
		if p.waits = false; x.streams[p.stream] == p {
			x.announce(p)
		}
		return true
	})
}

// render renews what the sessions are shown; it returns true if that is news. A
// user who is alone, and has not been shown others, needs no frame to know it.
func (p *presence) render(now clock.Moment) (news bool) {
	if len(p.users) < 2 && p.shown == nil {
		return false
	}
	data := struct {
		Present int      `json:"present"`
		Users   []string `json:"users,omitempty"`
	}{Present: len(p.users)}
	if len(p.users) <= maxListed {
		data.Users = slices.Sorted(maps.Keys(p.users))
	}
	b, err := json.Marshal(data)
	if err != nil || bytes.Equal(b, p.shown) { // ids always have a JSON form
		return false
	}
	p.shown, p.showAt = b, now.Add(pace(len(p.users)))
	return true
}

// local returns the users with sessions on this node.
func (p *presence) local() []string {
	list := make([]string, 0, p.here)
	for id, u := range p.users {
		if u.sessions > 0 {
			list = append(list, id)
		}
	}
	return list
}

// Shown returns the presence of a stream as the sessions of this node are shown
// it: a JSON object with "present", the number of users who follow on any node
// as far as this one knows, and, if these are few, "users", their ids. It
// returns nil if no more than one was ever present.
func (x *Exchange) Shown(stream gotong.Stream) []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.streams[stream]; p != nil {
		return p.shown
	}
	return nil
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
