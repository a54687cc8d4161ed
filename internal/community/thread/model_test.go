package thread_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

// The model keeps no stretches and no documents: it writes down, for every
// event of the thread, who was a member and what the policy was when it was
// committed, and answers from that.
type model struct {
	home     bool
	secret   bool              // who is not in it may not know of it
	seats    map[string]string // user → role, where the members are
	ever     map[string]bool   // was a member once
	muted    map[string]bool
	banned   map[string]bool
	disabled map[string]bool
	since    map[string]int // of an outsider who was appointed: sees nothing from before
	policy   thread.Policy
	name     string
	archived bool
	moments  []moment // of the thread's events
	messages []message
	pins     []uint64 // seqs of messages
}

type moment struct {
	policy  thread.Policy
	members []string
	about   int // seq of the message that the event is about
}

type message struct {
	id        gotong.EventID
	seq       int
	author    string
	posted    gotong.Instant
	revision  uint64
	deleted   bool
	reactions map[string]int // by user: the event's seq
	body      string
	edited    int // seq of the event with the newest text; 0: as posted
	pinned    int // seq of the event
	replies   []int
}

func (m *model) sees(user string, seq int) bool {
	at := m.moments[seq-1]
	return m.seats[user] != "" && seq >= m.since[user] && (at.policy == thread.All || slices.Contains(at.members, user)) &&
		(at.about == 0 || m.sees(user, at.about))
}

func (m *model) note(about ...int) {
	members := make([]string, 0, len(m.seats))
	for user := range m.seats {
		members = append(members, user)
	}
	at := moment{policy: m.policy, members: members}
	if len(about) > 0 {
		at.about = about[0]
	}
	m.moments = append(m.moments, at)
}

// grade is what a user may do in the thread: 3 owner, 2 admin, 1 member.
func (m *model) grade(user string) int {
	switch role := m.seats[user]; {
	case role == "":
		return 0
	case m.home && user == "u1":
		return 3 // made the thread
	case role == "owner":
		return 3
	case role == "admin", role == "moderator":
		return 2
	default:
		return 1
	}
}

func (m *model) force(a gotong.Actor) int {
	platform := map[gotong.Role]int{gotong.RoleModerator: 2, gotong.RoleAdmin: 3}[a.Role]
	return max(m.grade(a.UserID), platform)
}

// idle is the prediction of a no-op; an empty code is that of an event.
const idle = gotong.Code("idle")

var actors = []gotong.Actor{
	communitytest.User("u1"), communitytest.User("u2"), communitytest.User("u3"),
	communitytest.User("u4"), mod, boss,
}

// trial is a world, its model, and the source of what happens next.
type trial struct {
	*rapid.T
	w *world
	m *model
}

func (t *trial) actor(label string) gotong.Actor { return rapid.SampledFrom(actors).Draw(t.T, label) }

// run tries a command of the thread, holds it against the prediction and
// reports whether it made an event.
func (t *trial) run(a gotong.Actor, on gotong.Stream, data any, want gotong.Code) ([]gotong.Event, bool) {
	t.Helper()
	events, err := t.w.Try(a, on, data)
	got := gotong.CodeOf(err)
	if err == nil && len(events) == 0 {
		got = idle
	}
	if got != want {
		t.Fatalf("%T%+v by %s: got %q (%v), the model says %q; seats %v", data, data, a.UserID, got, err, want, t.m.seats)
	}
	return events, got == ""
}

// first is the code of the first rule that applies.
func first(rules ...func() gotong.Code) gotong.Code {
	for _, rule := range rules {
		if code := rule(); code != "" {
			return code
		}
	}
	return ""
}

func when(cond bool, code gotong.Code) func() gotong.Code {
	return func() gotong.Code {
		if cond {
			return code
		}
		return ""
	}
}

// hidden: a secret thread is unknown to all who are not in it.
func (t *trial) hidden(a gotong.Actor) func() gotong.Code {
	return when(t.m.secret && t.m.grade(a.UserID) == 0, gotong.CodeNotFound)
}

func (t *trial) join() {
	a := t.actor("actor")
	code := first(t.hidden(a), when(t.m.grade(a.UserID) > 0, idle),
		when(t.m.home || len(t.m.seats) == 0, gotong.CodeConflict), // borrowed, or closed
		when(t.m.banned[a.UserID], gotong.CodeForbidden))
	if _, ok := t.run(a, s, thread.Join{}, code); ok {
		t.seat(a.UserID, "member")
	}
}

func (t *trial) seat(user, role string) {
	if t.m.seats[user] == "" {
		delete(t.m.since, user)
	}
	if role == "" {
		delete(t.m.seats, user)
	} else {
		t.m.seats[user], t.m.ever[user] = role, true
	}
	if !t.m.home {
		t.m.note()
	}
}

func (t *trial) leave() {
	a := t.actor("actor")
	u := a.UserID
	member := t.m.grade(u) > 0
	code := first(
		when(!member && t.m.secret && (t.m.home || !t.m.ever[u]), gotong.CodeNotFound), when(!member, idle),
		when(t.m.home, gotong.CodeConflict),
		when(t.m.last(u, "owner") && len(t.m.seats) > 1, gotong.CodeConflict))
	if _, ok := t.run(a, s, thread.Leave{}, code); ok {
		t.seat(u, "")
	}
}

func (t *trial) add() {
	a, u := t.actor("actor"), t.actor("target").UserID
	role := rapid.SampledFrom([]string{"owner", "admin", "member"}).Draw(t.T, "role")
	g := t.m.grade(a.UserID)
	code := first(t.hidden(a), when(g < 2 || role != "member" && g < 3, gotong.CodeForbidden),
		when(t.m.home, gotong.CodeConflict), when(t.m.seats[u] == role, idle), when(t.m.seats[u] != "", gotong.CodeConflict),
		when(t.m.disabled[u], gotong.CodeNotFound), when(t.m.banned[u], gotong.CodeConflict))
	if _, ok := t.run(a, s, thread.Add{UserID: u, Role: thread.Role(role)}, code); ok {
		t.seat(u, role)
	}
}

func (t *trial) remove() {
	a, u := t.actor("actor"), t.actor("target").UserID
	ban := gotong.Ban{Ever: rapid.Bool().Draw(t.T, "ban")}
	code := first(t.hidden(a), when(t.m.force(a) < 2, gotong.CodeForbidden), when(t.m.home, gotong.CodeConflict),
		when(t.m.grade(u) == 0 && (!ban.Ever || t.m.banned[u]), idle), when(t.m.grade(u) > t.m.force(a), gotong.CodeForbidden),
		when(t.m.last(u, "owner"), gotong.CodeConflict))
	if _, ok := t.run(a, s, thread.Remove{UserID: u, Ban: ban}, code); ok {
		t.m.banned[u] = ban.Ever
		t.seat(u, "")
	}
}

func (t *trial) setRole() {
	a, u := t.actor("actor"), t.actor("target").UserID
	role := rapid.SampledFrom([]string{"owner", "admin", "member"}).Draw(t.T, "role")
	code := first(t.hidden(a), when(t.m.grade(a.UserID) < 3, gotong.CodeForbidden), when(t.m.home, gotong.CodeConflict),
		when(t.m.grade(u) == 0, gotong.CodeNotFound), when(t.m.seats[u] == role, idle),
		when(role == "owner" && t.m.disabled[u], gotong.CodeNotFound), when(t.m.last(u, "owner"), gotong.CodeConflict))
	if _, ok := t.run(a, s, thread.SetRole{UserID: u, Role: thread.Role(role)}, code); ok {
		t.seat(u, role)
	}
}

func (t *trial) mute() {
	a, u := t.actor("actor"), t.actor("target").UserID
	on := rapid.Bool().Draw(t.T, "on")
	until := int64(0)
	if on {
		until = 4_000_000_000_000
	}
	code := first(t.hidden(a), when(t.m.force(a) < 2, gotong.CodeForbidden), when(t.m.grade(u) == 0, gotong.CodeNotFound),
		when(t.m.grade(u) > t.m.force(a), gotong.CodeForbidden), when(t.m.muted[u] == on, idle))
	if _, ok := t.run(a, s, thread.Mute{UserID: u, UntilMS: until}, code); ok {
		t.m.muted[u] = on
		t.m.note()
	}
}

func (t *trial) history() {
	a := t.actor("actor")
	p := rapid.SampledFrom([]thread.Policy{thread.All, thread.FromJoin}).Draw(t.T, "policy")
	code := first(t.hidden(a), when(t.m.grade(a.UserID) < 2, gotong.CodeForbidden), when(t.m.policy == p, idle))
	if _, ok := t.run(a, s, thread.SetHistory{Policy: p}, code); ok {
		t.m.policy = p
		t.m.note()
	}
}

// update changes the name, the archive or both.
func (t *trial) update() {
	a := t.actor("actor")
	var c thread.Update
	want := rapid.IntRange(1, 3).Draw(t.T, "what")
	name, archived := rapid.SampledFrom([]string{"", "Satu", "Dua"}).Draw(t.T, "name"), rapid.Bool().Draw(t.T, "archived")
	events := 0
	if want&1 > 0 {
		c.Name = &name
		events += map[bool]int{true: 1}[name != t.m.name]
	}
	if want&2 > 0 {
		c.Archived = &archived
		events += map[bool]int{true: 1}[archived != t.m.archived]
	}
	code := first(t.hidden(a), when(t.m.force(a) < 2, gotong.CodeForbidden), when(events == 0, idle))
	if made, ok := t.run(a, s, c, code); ok {
		if len(made) != events {
			t.Fatalf("%d events, the model says %d", len(made), events)
		}
		for range made {
			t.m.note()
		}
		if c.Name != nil {
			t.m.name = name
		}
		if c.Archived != nil {
			t.m.archived = archived
		}
	}
}

// silent: who is not a member, or is muted, does not write, and nobody does in an archived thread.
func (t *trial) silent(a gotong.Actor) func() gotong.Code {
	return func() gotong.Code {
		return first(when(t.m.grade(a.UserID) == 0 || t.m.muted[a.UserID], gotong.CodeForbidden), when(t.m.archived, gotong.CodeArchived))
	}
}

func (t *trial) post() {
	a := t.actor("actor")
	c, of := thread.Post{Body: "Halo"}, &message{}
	if msg, ok := t.message(); ok && rapid.Bool().Draw(t.T, "reply") {
		of, c.ReplyTo = msg, msg.id
	}
	unseen := func() gotong.Code { return "" }
	if of.seq > 0 {
		unseen = t.unseen(a, of)
	}
	code := first(t.hidden(a), t.silent(a), unseen, when(of.deleted, gotong.CodeTargetDeleted))
	if events, ok := t.run(a, s, c, code); ok {
		t.m.note()
		of.replies = append(of.replies, len(t.m.moments))
		t.m.messages = append(t.m.messages, message{
			id: events[0].ID, seq: int(events[0].Seq), author: a.UserID, posted: t.w.Now(),
			reactions: map[string]int{}, body: "Halo",
		})
	}
}

func (t *trial) message() (*message, bool) {
	if len(t.m.messages) == 0 {
		return nil, false
	}
	return &t.m.messages[rapid.IntRange(0, len(t.m.messages)-1).Draw(t.T, "message")], true
}

// unseen: what a member cannot see is not found.
func (t *trial) unseen(a gotong.Actor, msg *message) func() gotong.Code {
	return when(t.m.grade(a.UserID) > 0 && !t.m.sees(a.UserID, msg.seq), gotong.CodeNotFound)
}

func (t *trial) edit() {
	a := t.actor("actor")
	msg, ok := t.message()
	if !ok {
		return
	}
	rev := msg.revision + rapid.Uint64Range(0, 1).Draw(t.T, "ahead")
	body := rapid.StringMatching(`[a-z]{1,5}`).Draw(t.T, "body")
	age := t.w.Now().Add(time.Millisecond).Sub(msg.posted)
	late := age > 15*time.Minute || age < -15*time.Minute
	code := first(t.hidden(a), t.silent(a), t.unseen(a, msg), when(msg.author != a.UserID, gotong.CodeForbidden),
		when(msg.deleted, gotong.CodeTargetDeleted), when(late, gotong.CodeForbidden),
		when(rev != msg.revision, gotong.CodeVersion))
	if _, ok := t.run(a, s, thread.Edit{MessageID: msg.id, Revision: rev, Body: body}, code); ok {
		t.m.note(msg.seq)
		msg.revision, msg.body, msg.edited = rev+1, body, len(t.m.moments)
	}
}

func (t *trial) delete() {
	a := t.actor("actor")
	msg, ok := t.message()
	if !ok {
		return
	}
	code := first(t.hidden(a), when(t.m.force(a) == 0, gotong.CodeForbidden), t.unseen(a, msg),
		when(msg.author != a.UserID && t.m.force(a) < 2, gotong.CodeForbidden), when(msg.deleted, idle))
	if _, ok := t.run(a, s, thread.Delete{MessageID: msg.id, Revision: &msg.revision}, code); ok {
		msg.revision, msg.deleted, msg.pinned = msg.revision+1, true, 0
		t.m.pins = slices.DeleteFunc(t.m.pins, func(seq uint64) bool { return seq == uint64(msg.seq) })
		t.m.note(msg.seq)
	}
}

func (t *trial) react() {
	a := t.actor("actor")
	msg, ok := t.message()
	if !ok {
		return
	}
	on := rapid.Bool().Draw(t.T, "on")
	code := first(t.hidden(a), t.silent(a), t.unseen(a, msg), when(msg.deleted, gotong.CodeTargetDeleted),
		when(msg.reactions[a.UserID] > 0 == on, idle))
	if _, ok := t.run(a, s, thread.React{MessageID: msg.id, Emoji: "👍", On: on}, code); ok {
		t.m.note(msg.seq)
		msg.reactions[a.UserID] = map[bool]int{true: len(t.m.moments)}[on]
	}
}

func (t *trial) pin() {
	a := t.actor("actor")
	msg, ok := t.message()
	if !ok {
		return
	}
	var c any = thread.Unpin{MessageID: msg.id}
	on := rapid.Bool().Draw(t.T, "on")
	done := msg.pinned == 0
	if on {
		c, done = thread.Pin{MessageID: msg.id}, msg.pinned > 0 && t.m.sees(a.UserID, msg.pinned)
	}
	code := first(t.hidden(a), when(t.m.force(a) < 2, gotong.CodeForbidden), t.silent(a), t.unseen(a, msg),
		when(msg.deleted, gotong.CodeTargetDeleted), when(done, idle))
	if _, ok := t.run(a, s, c, code); ok {
		t.m.note(msg.seq)
		t.m.pins = slices.DeleteFunc(t.m.pins, func(seq uint64) bool { return seq == uint64(msg.seq) })
		if msg.pinned = 0; on {
			msg.pinned, t.m.pins = len(t.m.moments), append(t.m.pins, uint64(msg.seq))
		}
	}
}

// comeAndGo changes the members of the home.
func (t *trial) comeAndGo() {
	u := t.actor("target").UserID
	if !t.m.home {
		return
	}
	var keeper gotong.Actor // any admin of the group
	for _, a := range actors {
		if t.m.seats[a.UserID] == "admin" && a.UserID != u {
			keeper = a
		}
	}
	if keeper.UserID == "" {
		return
	}
	if t.m.seats[u] != "" {
		if _, ok := t.run(keeper, g, group.Remove{UserID: u}, first(when(t.m.last(u, "admin"), gotong.CodeConflict))); ok {
			t.seat(u, "")
		}
		return
	}
	role := rapid.SampledFrom([]group.Role{group.Admin, group.Moderator, group.Anggota}).Draw(t.T, "role")
	if _, ok := t.run(keeper, g, group.Add{UserID: u, Role: role}, first(when(t.m.disabled[u], gotong.CodeNotFound))); ok {
		t.seat(u, string(role))
	}
}

func start(t *rapid.T, home bool) *trial {
	w := accounts(t, actors...)
	m := &model{
		home: home, seats: map[string]string{}, ever: map[string]bool{"u1": true}, muted: map[string]bool{},
		banned: map[string]bool{}, disabled: map[string]bool{}, since: map[string]int{},
	}
	private := rapid.Bool().Draw(t, "private")
	m.policy = rapid.SampledFrom([]thread.Policy{thread.All, thread.FromJoin}).Draw(t, "history")
	create := thread.Create{ScopeID: "rt05", Privacy: thread.Public, History: m.policy}
	if private {
		create.Privacy = thread.Private
	}
	m.seats["u1"], m.secret = "owner", private
	if home {
		create.ScopeID, create.Members, m.seats["u1"] = in, thread.Home, "admin"
		join := rapid.SampledFrom([]group.JoinPolicy{group.Persetujuan, group.Undangan}).Draw(t, "join policy")
		m.secret = private || join == group.Undangan
		w.Do(actors[0], g, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: join})
	}
	w.Do(actors[0], s, create)
	m.note()
	return &trial{t, w, m}
}

func modelled(t *testing.T, home bool) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		t := start(rt, home)
		var earlier []communitytest.Snapshot
		step := func(f func()) func(*rapid.T) { return func(*rapid.T) { f() } }
		rt.Repeat(map[string]func(*rapid.T){
			"join": step(t.join), "leave": step(t.leave), "add": step(t.add), "remove": step(t.remove),
			"role": step(t.setRole), "mute": step(t.mute), "history": step(t.history), "post": step(t.post),
			"update": step(t.update), "unban": step(t.unban), "toggle": step(t.toggle), "appoint": step(t.appoint),
			"edit": step(t.edit), "delete": step(t.delete), "react": step(t.react), "pin": step(t.pin), "come and go": step(t.comeAndGo),
			"pass": step(func() { t.w.Pass(6 * time.Minute) }),
			"clock": step(func() {
				t.w.Pass(rapid.SampledFrom([]time.Duration{-time.Hour, 61 * time.Second, 10 * time.Minute, -10 * time.Minute}).Draw(t.T, "step"))
			}),
			"snapshot": step(func() { earlier = append(earlier, t.w.Snapshot()) }),
			"":         step(t.agree),
		})
		for _, snapshot := range earlier {
			t.w.Replay(snapshot) // contract D11
		}
	})
}

func TestThreadsWithOwnMembersAgreeWithAModel(t *testing.T)      { modelled(t, false) }
func TestThreadsWithBorrowedMembersAgreeWithAModel(t *testing.T) { modelled(t, true) }
