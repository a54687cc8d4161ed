package inbox_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/store"
)

// The model knows who was a member when, what each message said after each step, and
// what a user has set. A step is a command.
type model struct {
	*world
	rand     *rand.Rand
	step     int
	spans    map[gotong.Stream]map[string][][2]int // [from, to); to 0: now
	messages []*message
	items    map[string][]*item // by user, oldest first
	blocks   map[string]map[string]bool
	levels   map[string]map[gotong.Stream]user.Level
	mutes    map[string]map[gotong.Stream]bool
	off      map[string]map[inbox.Kind]bool
	invited  map[string]int                      // the step of the open invitation
	marks    map[string]map[gotong.Partition]int // by user and home: the step up to which items are read
	log      []string
}

type message struct {
	s        gotong.Stream
	id       gotong.EventID
	author   string
	step     int
	edits    int
	editStep int
	text     string // with the names of users who are no members, which mention nobody,
	body     string // and without them
	siaga    bool
	answers  string
	deleted  bool
	held     bool
	erased   bool
	reached  map[string]bool
}

type item struct {
	kind     inbox.Kind // message: which one follows from the message
	s        gotong.Stream
	m        *message
	step     int
	by       string
	decision string
	answers  bool
}

// part returns the partition of a stream.
func part(s gotong.Stream) gotong.Partition {
	return gotong.PartitionOf(map[gotong.Stream]gotong.Stream{rt: rt, lent: rt, own: "scope/rt05", dm: dm}[s])
}

func (m *model) of(s gotong.Stream) gotong.Stream {
	if s == lent {
		return rt
	}
	return s
}

func (m *model) in(s gotong.Stream, id string) bool { return m.was(s, id, m.step) }

func (m *model) was(s gotong.Stream, id string, step int) bool {
	return slices.ContainsFunc(m.spans[m.of(s)][id], func(v [2]int) bool { return v[0] <= step && (v[1] == 0 || step < v[1]) })
}

func (m *model) seat(s gotong.Stream, id string, in bool) {
	list := m.spans[s][id]
	if in {
		list = append(list, [2]int{m.step, 0})
	} else {
		list[len(list)-1][1] = m.step
	}
	m.spans[s][id] = list
}

func (m *model) give(id string, i item) {
	i.step = m.step
	m.items[id] = append(m.items[id], &i)
}

// names reports whether a body mentions a user.
func names(body, id, role string) bool {
	return strings.Contains(body, "@"+id) || strings.Contains(body, "@here") || role != "" && strings.Contains(body, "@"+role)
}

// role is the special role of a user in a thread: ani's never changes.
func role(s gotong.Stream, id string) string {
	if id != "ani" {
		return ""
	}
	return map[gotong.Stream]string{lent: "admin", own: "owner"}[s]
}

// reach gives items about a message to those whom its new text concerns.
func (m *model) reach(msg *message, body string) {
	for _, a := range all {
		id := a.UserID
		if id == msg.author || msg.reached[id] {
			continue
		}
		member := m.in(msg.s, id)
		answers := msg.step == m.step && msg.answers == id
		if answers || member && (msg.siaga && msg.step == m.step || names(body, id, role(msg.s, id))) {
			msg.reached[id] = true
			m.give(id, item{kind: inbox.Message, s: msg.s, m: msg, by: msg.author, answers: answers})
		}
	}
}

// sees reports whether a user may see what was written in a step.
func (m *model) sees(s gotong.Stream, id string, step int) bool {
	return m.in(s, id) && (s != own || m.was(s, id, step))
}

// shown returns an item as a line; empty if it is not shown.
func (m *model) shown(id string, i *item) string {
	switch blocked := m.blocks[id][i.by]; {
	case i.kind == inbox.Removed:
		return "removed"
	case i.kind == inbox.Invited:
		if m.invited[id] != i.step || blocked || m.off[id][inbox.Invited] {
			return ""
		}
		return "invited RT Warga by ani"
	case i.kind == inbox.Decided:
		text := i.m.text
		if i.m.deleted || i.m.erased {
			text = ""
		}
		return fmt.Sprintf("decided %s %q", i.decision, text)
	case blocked && (i.m == nil || !i.m.siaga):
		return ""
	case i.kind == inbox.Added:
		if !m.in(i.s, id) || m.off[id][inbox.Added] {
			return ""
		}
		return fmt.Sprintf("added %s by %s", i.s, i.by)
	}
	kind := m.concerns(id, i)
	if kind == "" || m.off[id][kind] || kind != inbox.Siaga && (m.levels[id][i.s] == user.Nothing || m.mutes[id][i.s]) {
		return ""
	}
	text := i.m.text
	if i.m.erased {
		text = ""
	}
	return fmt.Sprintf("%s %s %q by %s", kind, i.s, text, i.by)
}

func (m *model) concerns(id string, i *item) inbox.Kind {
	msg := i.m
	switch {
	case !m.sees(i.s, id, msg.step) || msg.edits > 0 && !m.sees(i.s, id, msg.editStep) || msg.deleted || msg.held:
		return ""
	case msg.siaga:
		return inbox.Siaga
	case !msg.erased && names(msg.body, id, role(i.s, id)):
		return inbox.Mention
	case i.answers:
		return inbox.Reply
	default:
		return ""
	}
}

// compare compares the inbox of each user at both nodes with the model.
func (m *model) compare() {
	for _, a := range all {
		id := a.UserID
		var want, unread []string
		for _, i := range slices.Backward(m.items[id]) {
			line := m.shown(id, i)
			if line == "" {
				continue
			}
			want = append(want, line)
			if i.step > m.marks[id][part(i.s)] {
				unread = append(unread, line)
			}
		}
		for node, box := range m.boxes {
			for _, only := range []bool{false, true} {
				var got []string
				for _, s := range m.list(node, a, only) {
					got = append(got, line(s))
				}
				if expect := map[bool][]string{false: want, true: unread}[only]; !slices.Equal(got, expect) {
					m.Fatalf("node %d, %s, only unread %v:\n got %q\nwant %q\n%s", node, id, only, got, expect, strings.Join(m.log, "\n"))
				}
			}
			if n, err := box.Unread(m.Context(), viewer(a)); err != nil || n != min(len(unread), inbox.MaxUnread) {
				m.Fatalf("%s has %d unread items, not %d; %v", id, n, len(unread), err)
			}
		}
	}
}

func line(s inbox.Shown) string {
	switch s.Kind {
	case inbox.Removed:
		if s.Stream != "" || s.By != "" || s.Title != "" || s.Event != nil {
			return "a removal shows more than its date"
		}
		return "removed"
	case inbox.Invited:
		return fmt.Sprintf("invited %s %s by %s", s.Title, s.Description, s.By)
	case inbox.Decided:
		return fmt.Sprintf("decided %s %q", s.Decision, s.Text)
	case inbox.Added:
		return fmt.Sprintf("added %s by %s", s.Stream, s.By)
	default:
		return fmt.Sprintf("%s %s %q by %s", s.Kind, s.Stream, s.Text, s.By)
	}
}

// move runs one command at random, if the model says that it is possible.
func (m *model) move() {
	a, b := all[m.rand.IntN(len(all))], all[m.rand.IntN(len(all))]
	s := []gotong.Stream{own, lent, lent, dm}[m.rand.IntN(4)]
	m.step++
	kind := m.rand.IntN(20)
	m.log = append(m.log, fmt.Sprint(m.step, ": ", kind, " ", a.UserID, " ", b.UserID, " ", s))
	switch kind {
	case 0, 1, 2, 3:
		m.join(a, b)
	case 4, 5:
		m.leave(a, b)
	case 6, 7, 8, 9, 10:
		m.write(a, s)
	case 11, 12:
		m.edit()
	case 13, 14:
		m.decide()
	case 15, 16:
		m.settings(a, b, s)
	default:
		m.read(a)
	}
}

func (m *model) join(a, b gotong.Actor) {
	id := b.UserID
	switch m.rand.IntN(4) {
	case 0:
		if m.in(rt, id) {
			return
		}
		m.do(b, rt, group.CmdJoin, group.Join{})
	case 1:
		if m.in(rt, id) {
			return
		}
		if m.invited[id] == 0 {
			m.do(ani, rt, group.CmdInvite, group.Invite{UserID: id})
			m.invited[id] = m.step
			m.give(id, item{kind: inbox.Invited, s: rt, by: "ani"})
			return
		}
		if a == ani {
			m.do(b, rt, group.CmdDecline, group.Decline{})
			delete(m.invited, id)
			return
		}
		m.do(b, rt, group.CmdAccept, group.Accept{})
	case 2:
		if m.in(rt, id) {
			return
		}
		m.do(ani, rt, group.CmdAdd, group.Add{UserID: id, Role: group.Anggota})
		m.seat(rt, id, true)
		delete(m.invited, id)
		m.give(id, item{kind: inbox.Added, s: rt, by: "ani"})
		return
	default:
		if !m.in(own, id) {
			m.do(ani, own, thread.CmdAdd, thread.Add{UserID: id})
			m.seat(own, id, true)
			m.give(id, item{kind: inbox.Added, s: own, by: "ani"})
		}
		return
	}
	m.seat(rt, id, true)
	delete(m.invited, id)
}

func (m *model) leave(a, b gotong.Actor) {
	id, s := b.UserID, []gotong.Stream{rt, own}[m.rand.IntN(2)]
	if b == ani || !m.in(s, id) {
		return
	}
	switch {
	case a == ani && s == rt:
		m.do(ani, s, group.CmdRemove, group.Remove{UserID: id})
	case a == ani:
		m.do(ani, s, thread.CmdRemove, thread.Remove{UserID: id})
	case s == rt:
		m.do(b, s, group.CmdLeave, group.Leave{})
	default:
		m.do(b, s, thread.CmdLeave, thread.Leave{})
	}
	if a == ani {
		m.give(id, item{kind: inbox.Removed, s: s})
	}
	m.seat(s, id, false)
}

var bodies = []string{"Halo", "Halo @ani", "Halo @budi, @citra", "Halo @dewi", "Halo @here", "Halo @admin", "Halo @owner @budi"}

// body returns a text; the names of users who are no members mention nobody.
func (m *model) body(s gotong.Stream) (text, means string) {
	text = fmt.Sprint(bodies[m.rand.IntN(len(bodies))], " ", m.step)
	means = text
	for _, a := range all {
		if !m.in(s, a.UserID) {
			means = strings.ReplaceAll(means, "@"+a.UserID, "")
		}
	}
	return text, means
}

func (m *model) write(a gotong.Actor, s gotong.Stream) {
	if s == dm {
		if a == ani || a == dewi {
			return
		}
		other := map[string]string{"budi": "citra", "citra": "budi"}[a.UserID]
		if m.blocks[other][a.UserID] {
			return
		}
		if len(m.spans[dm]) == 0 {
			m.do(a, dm, thread.CmdDirect, thread.Direct{UserID: other})
			m.spans[dm] = map[string][][2]int{"budi": {{m.step, 0}}, "citra": {{m.step, 0}}}
			m.give(other, item{kind: inbox.Added, s: dm, by: a.UserID})
			return
		}
	}
	if !m.in(s, a.UserID) {
		return
	}
	text, means := m.body(s)
	msg := &message{s: s, author: a.UserID, step: m.step, text: text, body: means, reached: map[string]bool{}}
	post := thread.Post{Body: text}
	if a == ani && m.rand.IntN(5) == 0 {
		post.Siaga, msg.siaga = true, true
	}
	for _, o := range m.messages {
		if o.s == s && !o.deleted && m.sees(s, a.UserID, o.step) && m.rand.IntN(8) == 0 {
			post.ReplyTo, msg.answers = o.id, o.author
		}
	}
	msg.id = m.do(a, s, thread.CmdPost, post).EventIDs[0]
	m.messages = append(m.messages, msg)
	m.reach(msg, means)
}

func (m *model) any() *message {
	if len(m.messages) == 0 {
		return nil
	}
	return m.messages[max(0, len(m.messages)-1-m.rand.IntN(6))]
}

func (m *model) edit() {
	msg := m.any()
	if msg == nil || msg.deleted || msg.held || msg.erased || !m.sees(msg.s, msg.author, msg.step) {
		return
	}
	if other := map[string]string{"budi": "citra", "citra": "budi"}[msg.author]; msg.s == dm && m.blocks[other][msg.author] {
		return
	}
	text, means := m.body(msg.s)
	m.do(communitytest.User(msg.author), msg.s, thread.CmdEdit, thread.Edit{MessageID: msg.id, Revision: uint64(msg.edits), Body: text})
	msg.edits++
	msg.editStep, msg.text, msg.body = m.step, text, means
	m.reach(msg, means)
}

// decide deletes, holds, releases or erases a message.
func (m *model) decide() {
	msg := m.any()
	if msg == nil || msg.deleted || msg.s == dm || !m.sees(msg.s, "ani", msg.step) {
		return
	}
	tell := func(decision string) {
		if msg.author != "ani" {
			m.give(msg.author, item{kind: inbox.Decided, s: msg.s, m: msg, decision: decision})
		}
	}
	switch m.rand.IntN(5) {
	case 0:
		m.do(ani, msg.s, thread.CmdDelete, thread.Delete{MessageID: msg.id})
		msg.deleted = true
		tell(thread.EvDeleted)
	case 1:
		m.erase(msg)
	default:
		if msg.author == "ani" { // somebody else decides about her messages
			return
		}
		if msg.held {
			m.do(ani, msg.s, thread.CmdReview, thread.Review{MessageID: msg.id, Decision: thread.Release})
			tell(thread.EvReleased)
		} else {
			m.do(ani, msg.s, thread.CmdReview, thread.Review{MessageID: msg.id, Decision: thread.Hold, Minutes: 60})
			tell(thread.EvHeld)
		}
		msg.held = !msg.held
	}
}

// erase erases the message and all its edits.
func (m *model) erase(msg *message) {
	if msg.erased {
		return
	}
	ids := []gotong.EventID{msg.id}
	snap, err := m.store.Load(m.Context(), store.Need{Events: []store.EventRange{{Stream: msg.s, To: 1 << 40}}})
	m.check(err)
	for i := range snap.Events[0] {
		e, err := m.codec.Event(&snap.Events[0][i])
		m.check(err)
		if d, ok := e.Data.(thread.Edited); ok && d.MessageID == msg.id {
			ids = append(ids, e.ID)
		}
	}
	m.do(communitytest.Admin("boss"), msg.s, gotong.CmdErase, gotong.Erase{Events: ids, Reason: "diminta"})
	msg.erased = true
}

func (m *model) settings(a, b gotong.Actor, s gotong.Stream) {
	id, mine := a.UserID, gotong.NewStream(user.Name, a.UserID)
	switch m.rand.IntN(4) {
	case 0:
		if a == b {
			return
		}
		if m.blocks[id][b.UserID] {
			m.do(a, mine, user.CmdUnblock, user.Unblock{UserID: b.UserID})
		} else {
			m.do(a, mine, user.CmdBlock, user.Block{UserID: b.UserID})
		}
		m.blocks[id][b.UserID] = !m.blocks[id][b.UserID]
	case 1:
		level := []user.Level{user.Everything, user.MentionsOnly, user.Nothing}[m.rand.IntN(3)]
		m.do(a, mine, user.CmdPrefer, user.Prefer{Threads: map[string]user.Level{s.ID(): level}})
		m.levels[id][s] = level
	case 2:
		kind := inbox.Kind(user.Optional()[m.rand.IntN(4)])
		m.do(a, mine, user.CmdPrefer, user.Prefer{Kinds: map[string]bool{string(kind): m.off[id][kind]}})
		m.off[id][kind] = !m.off[id][kind]
	default:
		key := gotong.Key{Collection: "read_marks", Owner: id, Name: s.ID()}
		r, err := store.ReadRegister(m.Context(), m.store, key)
		m.check(err)
		until := m.clock.Now().Milli()
		if m.mutes[id][s] = !m.mutes[id][s]; m.mutes[id][s] {
			until = gotong.MaxTimeMS
		}
		m.check(m.store.SetRegister(m.Context(), key, r.Version, fmt.Appendf(nil, `{"mute":%d}`, until), 0))
	}
}

// read marks an item, or everything up to one.
func (m *model) read(a gotong.Actor) {
	id := a.UserID
	var shown []*item
	for _, i := range m.items[id] {
		if m.shown(id, i) != "" {
			shown = append(shown, i)
		}
	}
	if len(shown) == 0 {
		return
	}
	n := m.rand.IntN(len(shown))
	at := m.list(m.rand.IntN(2), a, false)[len(shown)-1-n].ID
	box := m.boxes[m.rand.IntN(2)]
	marks := m.marks[id]
	if m.rand.IntN(2) == 0 {
		s, err := box.Read(m.Context(), viewer(a), at)
		m.check(err)
		if s.ReadAt == 0 {
			m.Fatal("the item is still unread")
		}
		p := part(shown[n].s)
		marks[p] = max(marks[p], shown[n].step)
		return
	}
	m.check(box.ReadAll(m.Context(), viewer(a), at))
	for _, i := range m.items[id] {
		if i.step <= shown[n].step {
			marks[part(i.s)] = max(marks[part(i.s)], i.step)
		}
	}
}

// TestInboxAgreesWithAModel: over random histories, lists, pages, counts and marks are
// those of the model at both nodes after each step, also when all has started again, and a
// rebuild makes the same bytes.
// In the second part, each stream with three members is wide.
func TestInboxAgreesWithAModel(t *testing.T) {
	histories, steps := 12, 120
	if testing.Short() {
		histories, steps = 1, 70
	}
	for _, narrow := range []int{200, 2} {
		t.Run(fmt.Sprint(narrow), func(t *testing.T) {
			defer inbox.SetNarrow(narrow)()
			for seed := range uint64(histories) {
				history(newWorld(t), seed, steps)
			}
		})
	}
}

// TestInboxAgreesWithAModelOnSQLite: two histories, the second with wide streams. The
// file is closed and opened again in each.
func TestInboxAgreesWithAModelOnSQLite(t *testing.T) {
	for seed, narrow := range []int{200, 2} {
		t.Run(fmt.Sprint(narrow), func(t *testing.T) {
			defer inbox.SetNarrow(narrow)()
			history(newWorldOn(t, onSQLite(t)), uint64(seed), 40)
		})
	}
}

// history compares a world with the model after each of many steps.
func history(w *world, seed uint64, steps int) {
	m := &model{
		world: w, rand: rand.New(rand.NewPCG(seed, 1)), step: 1, items: map[string][]*item{},
		spans: map[gotong.Stream]map[string][][2]int{
			rt: {"ani": {{1, 0}}}, own: {"ani": {{1, 0}}}, dm: {},
		},
		blocks: map[string]map[string]bool{}, levels: map[string]map[gotong.Stream]user.Level{},
		mutes: map[string]map[gotong.Stream]bool{}, off: map[string]map[inbox.Kind]bool{},
		invited: map[string]int{}, marks: map[string]map[gotong.Partition]int{}, log: []string{fmt.Sprint("seed ", seed)},
	}
	for _, a := range all {
		id := a.UserID
		m.blocks[id], m.levels[id], m.mutes[id] = map[string]bool{}, map[gotong.Stream]user.Level{}, map[gotong.Stream]bool{}
		m.off[id], m.marks[id] = map[inbox.Kind]bool{}, map[gotong.Partition]int{}
	}
	for i := range steps {
		m.move()
		m.compare()
		if i%16 == 8 {
			m.log = append(m.log, "all restart")
			m.restart()
			m.compare()
		}
	}
	m.rebuilt()
}
