package httpapi_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
)

// community is a small model of what four users with two devices each are shown of
// three threads: one with members of its own, one that borrows those of a group, and
// one of two users. It knows what was done, in order, and nothing of stores. Each device
// sends its requests to one of two nodes. A node may lose what it keeps in memory; a
// device may be cut off for a while, and then reads the marks anew.
type community struct {
	*testing.T
	rand    *rand.Rand
	log     []string
	w       *world // the node that is used now
	nodes   *pair
	users   [4]*person
	devices [4][2]map[string]placed // what each device knows of the marks, by thread
	cut     [4][2]bool
	blocks  [4][4]bool // by blocker
	turn    int
	reports int // how many signals the devices have received
	rooms   []*room
	scopes  []string
}

type room struct {
	path, base, scope string // base: where its members join
	only              []int  // who can be a member; nil: everybody
	seat              [4]string
	since             [4]int // how many messages there were at the latest join
	marks             [4]placed
	said              []said
}

type said struct {
	by            int
	id            string
	revision      int
	hears         func(user int, role string) bool // whom its newest text mentions
	deleted, held bool
}

// placed is a mark.
type placed struct {
	Generation int `json:"generation"`
	N          int `json:"n"`
}

// later reports whether a mark replaces another: the rule for devices.
func (p placed) later(than placed) bool {
	return cmp.Or(cmp.Compare(p.Generation, than.Generation), cmp.Compare(p.N, than.N)) > 0
}

type counted struct{ Unread, Mentions int }

// failf ends the test with the steps of the history.
func (c *community) failf(format string, args ...any) {
	c.Helper()
	c.Fatalf(format+"\n%s", append(args, strings.Join(c.log, "\n"))...)
}

// found creates the threads. The first user leads them.
func (c *community) found() {
	for i := range c.devices {
		c.devices[i] = [2]map[string]placed{{}, {}}
	}
	c.w.marks.reports = nil
	history := []string{"all", "from_join"}[c.rand.IntN(2)]
	group := c.users[0].group("terbuka")
	c.scopes = []string{"rt05", id(group), "direct"}
	create := func(body map[string]any) string {
		body["privacy_level"], body["history"] = "public", history
		return c.users[0].post("/v1/chat/threads", body).want(201).header.Get("Location")
	}
	own := create(map[string]any{"scope_id": "rt05"})
	lent := create(map[string]any{"scope_id": id(group), "members": "home"})
	direct := "/v1/chat/threads/" + c.users[0].do(http.MethodPut, "/v1/chat/direct/"+c.users[1].id, nil).object()["thread_id"].(string)
	c.users[1].do(http.MethodPut, "/v1/chat/direct/"+c.users[0].id, nil)
	c.rooms = []*room{
		{path: own, base: own, scope: "rt05", seat: [4]string{"owner"}},
		{path: lent, base: group, scope: id(group), seat: [4]string{"admin"}},
		{path: direct, base: direct, scope: "direct", only: []int{0, 1}, seat: [4]string{"member", "member"}},
	}
}

// text returns what somebody writes, and whom it mentions at this moment.
func (c *community) text(r *room) (string, func(int, string) bool) {
	named := c.rand.IntN(4)
	present := r.seat
	switch c.rand.IntN(6) {
	case 0:
		return "Halo @here", func(int, string) bool { return true }
	case 1:
		return "Halo @admin", func(_ int, role string) bool { return role == "admin" }
	case 2, 3:
		return "Halo @" + c.users[named].name, func(user int, _ string) bool { return user == named && present[named] != "" }
	default:
		return "Halo @eko", func(int, string) bool { return false }
	}
}

func (c *community) step() {
	r := c.rooms[c.rand.IntN(len(c.rooms))]
	who, device := c.rand.IntN(4), c.rand.IntN(2)
	p, member := c.users[who], r.seat[who] != ""
	c.use(device)
	what := c.rand.IntN(16)
	c.log = append(c.log, fmt.Sprint(len(c.log), ": ", what, " user ", who, " device ", device, " ", r.path))
	switch {
	case what == 13:
		c.reconnect(who, device)
	case what == 14:
		c.block(p, who)
	case what == 0 && who > 0 && r.only == nil:
		c.seat(r, who)
	case what == 2:
		c.readAll(p, who)
	case what == 3 && member:
		p.do(http.MethodPut, r.path+"/mute", nil).want(200)
	case !member:
	case r.only != nil && c.blocks[1-who][who] && (what <= 7 || len(r.said) == 0): // they cannot write
		p.post(r.path+"/messages/send", map[string]any{"body": "Halo"}).want(http.StatusForbidden)
	case what <= 6 || len(r.said) == 0:
		body, hears := c.text(r)
		m := p.say(r.path, body)
		r.said = append(r.said, said{by: who, id: m.str("message_id"), hears: hears})
	default:
		n := len(r.said) - 1 - c.rand.IntN(min(6, len(r.said)))
		c.about(r, &r.said[n], n, who, device, what)
	}
}

// reconnect cuts a device off from signals, or ends that: the device then reads the marks.
func (c *community) reconnect(who, device int) {
	if c.cut[who][device] = !c.cut[who][device]; c.cut[who][device] {
		return
	}
	for _, l := range c.lines(c.users[who], "/v1/chat/unread") {
		c.learn(who, device, "/v1/chat/threads/"+l.ThreadID, l.Mark)
	}
}

// block has a user block another one, or end that. No count changes.
func (c *community) block(p *person, who int) {
	other := (who + 1 + c.rand.IntN(3)) % 4
	name, data := user.CmdBlock, any(user.Block{UserID: c.users[other].id})
	if c.blocks[who][other] {
		name, data = user.CmdUnblock, user.Unblock{UserID: c.users[other].id}
	}
	c.blocks[who][other] = !c.blocks[who][other]
	if _, err := c.w.engine.Execute(c.Context(), gotong.Command{
		Stream: gotong.NewStream(user.Name, p.id), Type: name, Data: data, RequestID: fmt.Sprint("block-", len(c.log)),
		Actor: gotong.Actor{UserID: p.id, Role: gotong.RoleUser},
	}); err != nil {
		c.failf("%s by user %d: %v", name, who, err)
	}
}

// seat lets a user join or leave, or gives them the role of an admin.
func (c *community) seat(r *room, who int) {
	p, lead := c.users[who], c.users[0]
	switch leave := c.rand.IntN(3); {
	case r.seat[who] == "":
		p.post(r.base+"/join", nil).want(200)
		r.seat[who], r.since[who] = "member", len(r.said)
		if r.base != r.path {
			r.seat[who] = "anggota"
		}
	case leave == 0:
		p.post(r.base+"/leave", nil).want(200)
		r.seat[who] = ""
	case leave == 1:
		lead.do(http.MethodDelete, r.base+"/members/"+p.id, nil).want(200)
		r.seat[who] = ""
	default:
		lead.post(r.base+"/members/"+p.id+"/role", map[string]any{"role": "admin"}).want(200)
		r.seat[who] = "admin"
	}
}

// about does something to a message.
func (c *community) about(r *room, m *said, n, who, device, what int) {
	p, at := c.users[who], r.path+"/messages/"+m.id
	switch {
	case what == 7 && m.by == who && !m.deleted && !m.held:
		body, hears := c.text(r)
		if a := p.do(http.MethodPatch, at, map[string]any{"body": body, "revision": m.revision}); a.code == 200 {
			m.revision++
			m.hears = hears
		}
	case what == 8 && m.by == who:
		if a := p.do(http.MethodDelete, at, nil); a.code == 200 {
			m.deleted = true
		}
	case what == 9 && r.only == nil && !m.deleted:
		decision := thread.Review{Decision: map[bool]thread.Action{false: thread.Hold, true: thread.Release}[m.held]}
		_ = decision.MessageID.UnmarshalText([]byte(m.id)) // the server wrote it
		_, err := c.users[0].execute(r.path, thread.CmdReview, decision)
		if own := m.held && m.by == 0; own != (err != nil) { // somebody else must release it
			c.failf("the decision about a message of %d: %v", m.by, err)
		} else if !own {
			m.held = !m.held
		}
	case what >= 10:
		c.mark(r, m, n+1, who, device, what == 12)
	}
}

// mark reads up to a message, or marks as unread from it, with the generation that the
// device knows, with an older one, or with none.
func (c *community) mark(r *room, m *said, n, who, device int, unread bool) {
	body := map[string]any{"message_id": m.id}
	known, with := r.marks[who], c.rand.IntN(3)
	if with == 1 {
		body["generation"] = known.Generation
	}
	stale := with == 2 && known.Generation > 0
	if stale {
		body["generation"] = known.Generation - 1
	}
	if unread {
		body["unread"] = true
	}
	a := c.users[who].post(r.path+"/read-cursor", body)
	if a.code == http.StatusNotFound { // they joined after it
		return
	}
	var got placed
	a.want(200).into(&got)
	switch {
	case stale:
	case unread:
		r.marks[who] = placed{known.Generation + 1, n - 1}
	default:
		r.marks[who].N = max(known.N, n)
	}
	if got != r.marks[who] {
		c.failf("the answer is %+v, want %+v", got, r.marks[who])
	}
	c.learn(who, device, r.path, got)
}

func (c *community) readAll(p *person, who int) {
	body := map[string]any{}
	scope := append(c.scopes, "")[c.rand.IntN(len(c.scopes)+1)]
	if scope != "" {
		body["scope_id"] = scope
	}
	p.post("/v1/chat/unread/read", body).want(200)
	for _, r := range c.rooms {
		if r.seat[who] != "" && (scope == "" || scope == r.scope) {
			r.marks[who].N = max(r.marks[who].N, len(r.said))
		}
	}
}

// learn is a device's part: a mark that it receives replaces an earlier one.
func (c *community) learn(user, device int, th string, m placed) {
	if m.later(c.devices[user][device][th]) {
		c.devices[user][device][th] = m
	}
}

// receive hands the signals of the step to all devices of the user, in any order.
func (c *community) receive() {
	news := slices.Clone(c.w.marks.reports[c.reports:])
	c.reports = len(c.w.marks.reports)
	if len(news) > 1 && c.rand.IntN(2) == 0 {
		slices.Reverse(news)
	}
	for _, report := range news {
		stream, rest, _ := strings.Cut(report, " ")
		who, data, _ := strings.Cut(rest, " ")
		var m placed
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			c.Fatal(err)
		}
		for i, p := range c.users {
			for device := range 2 {
				if p.id == who && !c.cut[i][device] {
					c.learn(i, device, "/v1/chat/"+strings.Replace(stream, "thread/", "threads/", 1), m)
				}
			}
		}
	}
}

// count is what a user has not read of a thread.
func (r *room) count(user int) (n counted) {
	for i, m := range r.said {
		if i < max(r.marks[user].N, r.since[user]) || m.by == user || m.deleted || m.held {
			continue
		}
		if n.Unread++; m.hears(user, r.seat[user]) {
			n.Mentions++
		}
	}
	return n
}

// agree compares every count and mark on both nodes with the model.
func (c *community) agree() {
	c.receive()
	for user, p := range c.users {
		var want, total []string
		var sum counted
		for i, r := range c.rooms {
			if r.seat[user] == "" {
				continue
			}
			n := r.count(user)
			want = append(want, fmt.Sprint(r.path, n, r.marks[user]))
			if sum.Unread, sum.Mentions = sum.Unread+n.Unread, sum.Mentions+n.Mentions; n.Unread > 0 {
				total = append(total, fmt.Sprint(c.scopes[i], n))
			}
			for device, known := range c.devices[user] {
				if got := known[r.path]; got != r.marks[user] && !c.cut[user][device] {
					c.failf("device %d of user %d knows %+v, want %+v", device, user, got, r.marks[user])
				}
			}
		}
		slices.Sort(want)
		slices.Sort(total)
		for node := range c.nodes.of {
			c.use(node)
			if got := c.list(p, "/v1/chat/unread"); !slices.Equal(got, want) {
				c.failf("node %d shows user %d %v, want %v", node, user, got, want)
			}
			if c.turn++; c.turn%2 == 0 {
				if got := c.list(p, "/v1/chat/threads"); !slices.Equal(got, want) {
					c.failf("node %d lists for user %d %v, want %v", node, user, got, want)
				}
				continue
			}
			var all struct {
				counted
				Scopes []struct {
					ScopeID string `json:"scope_id"`
					counted
				}
			}
			c.read(p, "/v1/chat/unread/total").into(&all)
			var got []string
			for _, s := range all.Scopes {
				got = append(got, fmt.Sprint(s.ScopeID, s.counted))
			}
			slices.Sort(got)
			if all.counted != sum || !slices.Equal(got, total) {
				c.failf("node %d shows user %d %+v in total, want %+v %v", node, user, all, sum, total)
			}
		}
	}
}

// line is what a list shows of a thread.
type line struct {
	ThreadID string `json:"thread_id"`
	counted
	Mark placed
}

func (c *community) lines(p *person, path string) (lines []line) {
	c.read(p, path+"?limit=200").into(&lines)
	return lines
}

// list returns what a list shows of each thread.
func (c *community) list(p *person, path string) (list []string) {
	for _, l := range c.lines(p, path) {
		list = append(list, fmt.Sprint("/v1/chat/threads/"+l.ThreadID, l.counted, l.Mark))
	}
	slices.Sort(list)
	return list
}

// read is a GET that is not held against the published document, as others are.
func (c *community) read(p *person, path string) *answer {
	return c.w.send(http.MethodGet, path, nil, []header{{"Authorization", "Bearer " + p.token}}).want(200)
}
