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

// judged is one message as the model of moderation has it.
type judged struct {
	e             gotong.Event
	author, body  string
	edits         uint64
	deleted       bool
	hides         string // held or rejected, and why it is held
	until         gotong.Instant
	auto          bool
	appealBy      gotong.Instant
	appealed      bool
	cleared, once string // the text that a moderator published, and that reports hid
	warning, code string
	settled       gotong.Instant
	reported      int
	waits         bool
	holds         []gotong.Event // whose timers may run
}

// court is the thread of the model: ani and budi lead, citra, dewi and emi write.
type court struct {
	*rapid.T
	w       *world
	list    []*judged
	members map[string]bool
	filed   map[*judged]map[string]gotong.Instant
}

// TestModerationAgreesWithAModel walks at random through posts, edits, deletions,
// reports, decisions, appeals, ends of holds and changes of the clock. The model keeps
// no events and no documents.
func TestModerationAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := &court{T: rt, w: lent(rt, thread.Public, ""), members: map[string]bool{"citra": true, "dewi": true, "emi": true}, filed: map[*judged]map[string]gotong.Instant{}}
		for _, id := range []string{"dewi", "emi"} {
			c.w.Do(ani, g, group.Add{UserID: id})
		}
		c.w.Do(ani, g, group.Update{Policy: &gotong.Policy{AutoHide: true, FlagAt: 1, HideAt: 2}})
		c.post("dewi")
		for range rapid.IntRange(5, 25).Draw(rt, "steps") {
			c.step()
			got := map[string]map[uint64]gotong.Event{}
			for _, a := range []gotong.Actor{ani, citra, dewi, emi} {
				got[a.UserID] = map[uint64]gotong.Event{}
				for _, e := range c.w.History(s, viewer(a)) {
					got[a.UserID][e.Seq] = e
				}
			}
			for _, m := range c.list {
				c.agree(m, got)
			}
		}
	})
}

func (c *court) post(author string) {
	m := &judged{author: author, body: "0"}
	m.e = c.w.Do(communitytest.User(author), s, thread.Post{Body: "0"})[0]
	c.list, c.filed[m] = append(c.list, m), map[string]gotong.Instant{}
}

func (c *court) step() {
	pick := func(of []string, what string) string { return rapid.SampledFrom(of).Draw(c.T, what) }
	m := rapid.SampledFrom(c.list).Draw(c.T, "message")
	switch pick([]string{"post", "edit", "delete", "report", "report", "report", "decide", "decide", "decide", "appeal", "appeal", "end", "clock", "leave"}, "step") {
	case "post":
		if author := pick([]string{"dewi", "emi"}, "author"); c.members[author] {
			c.post(author)
		}
	case "edit":
		c.edit(m)
	case "delete":
		if !m.deleted {
			c.w.Do(ani, s, thread.Delete{MessageID: m.e.ID})
			m.deleted, m.hides, m.waits = true, "", false
		}
	case "report":
		c.report(m, pick([]string{"ani", "citra", "dewi", "emi"}, "reporter"))
	case "decide":
		who := rapid.SampledFrom([]gotong.Actor{ani, mod, citra, dewi}).Draw(c.T, "who")
		c.decide(m, who, rapid.SampledFrom([]thread.Action{thread.Release, thread.Warn, thread.Hold, thread.Block}).Draw(c.T, "action"))
	case "appeal":
		c.appeal(m)
	case "end":
		c.end(m)
	case "clock":
		c.w.Pass(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 8 * 24 * time.Hour, -time.Hour}).Draw(c.T, "pass"))
	case "leave":
		id := pick([]string{"dewi", "emi"}, "member")
		if c.members[id] {
			c.w.Do(ani, g, group.Remove{UserID: id})
		} else {
			c.w.Do(ani, g, group.Add{UserID: id})
		}
		c.members[id] = !c.members[id]
	}
}

func (c *court) edit(m *judged) {
	body := m.body + "+"
	_, err := c.w.Try(communitytest.User(m.author), s, thread.Edit{MessageID: m.e.ID, Revision: m.edits, Body: body})
	if err == nil {
		m.edits, m.body = m.edits+1, body
		if m.hides != "" || m.deleted || !c.members[m.author] {
			c.Fatalf("%s edited a message that is %q", m.author, m.hides)
		}
	}
}

// report counts all reports so far, as the job does after each.
func (c *court) report(m *judged, who string) {
	if _, again := c.filed[m][who]; !again {
		c.filed[m][who] = c.w.Now() + 1
	}
	data, count := thread.Report{MessageID: m.e.ID}, 0
	for id, at := range c.filed[m] {
		data.Reporters = append(data.Reporters, thread.Reporter{UserID: id, At: at})
		in, asked := c.members[id]
		if at > m.settled && id != m.author && (in || !asked) {
			count++
		}
	}
	slices.SortFunc(data.Reporters, func(a, b thread.Reporter) int { return int(a.At) - int(b.At) })
	events := c.w.Do(server, s, data)
	if m.deleted {
		return
	}
	hides := count >= 2 && m.hides == "" && m.cleared != m.body && m.once != m.body
	if count > m.reported || hides {
		m.reported, m.waits = max(m.reported, count), true
	}
	if hides {
		m.once = m.body
		c.hold(m, events[len(events)-1], "reports", c.w.Now().Add(time.Hour), true, c.w.Now().Add(7*24*time.Hour))
	}
}

func (c *court) hold(m *judged, e gotong.Event, by string, until gotong.Instant, auto bool, appeal gotong.Instant) {
	m.hides, m.until, m.auto, m.appealBy, m.warning, m.waits, m.code = by, until, auto, appeal, "", true, ""
	m.holds = append(m.holds, e)
}

func (c *court) decide(m *judged, who gotong.Actor, action thread.Action) {
	auto := action == thread.Hold && rapid.Bool().Draw(c.T, "auto")
	code := rapid.SampledFrom([]string{"aturan", "lain"}).Draw(c.T, "code")
	idle := code == m.code && (action == thread.Block && m.hides == "rejected" ||
		!m.waits && m.hides == "" && (action == thread.Warn && m.warning == code || action == thread.Release && m.warning == ""))
	events, err := c.w.Try(who, s, thread.Review{MessageID: m.e.ID, Decision: action, Auto: auto, Code: code})
	opened := !m.deleted && (m.hides != "" || m.reported > 0)
	var want gotong.Code
	switch {
	case who == dewi && !c.members["dewi"], who == mod && !opened: // of a public thread in a home that is known
		want = gotong.CodeNotFound
	case who == dewi:
		want = gotong.CodeForbidden
	case m.deleted:
		want = gotong.CodeTargetDeleted
	}
	if gotong.CodeOf(err) != want {
		c.Fatalf("%s by %s: %v, want %q; %+v", action, who.UserID, err, want, m)
	}
	if err == nil && idle != (len(events) == 0) {
		c.Fatalf("%s for %s makes %d events; %+v", action, code, len(events), m)
	}
	if err != nil || idle {
		return
	}
	switch now := c.w.Now(); action {
	case thread.Hold:
		c.hold(m, events[1], "moderator", now.Add(15*time.Minute), auto, now.Add(7*24*time.Hour))
		m.code = code
		return
	case thread.Block:
		m.hides, m.appealBy, m.warning = "rejected", now.Add(7*24*time.Hour), ""
	case thread.Release:
		m.hides, m.cleared, m.warning = "", m.body, ""
	case thread.Warn:
		m.hides, m.cleared, m.warning = "", m.body, code
	}
	m.code = code
	m.settled, m.reported, m.waits = c.w.Now(), 0, false
}

func (c *court) appeal(m *judged) {
	events, err := c.w.Try(communitytest.User(m.author), s, thread.Appeal{MessageID: m.e.ID})
	if ok := c.members[m.author] && !m.deleted && m.hides != "" && !m.appealed && c.w.Now() <= m.appealBy; ok != (err == nil) {
		c.Fatalf("an appeal: %v; %+v", err, m)
	}
	if err == nil {
		if m.appealed = true; m.hides == "rejected" {
			m.until, m.auto = 0, false
		}
		c.hold(m, events[1], "appeal", m.until, m.auto, m.appealBy)
	}
}

// end runs the timer of one of the holds.
func (c *court) end(m *judged) {
	if len(m.holds) == 0 {
		return
	}
	e := rapid.SampledFrom(m.holds).Draw(c.T, "hold")
	events, err := c.w.Try(server, s, thread.Unhold{Seq: m.e.Seq, Held: e.Seq})
	last := m.hides != "" && m.hides != "rejected" && e.Seq == m.holds[len(m.holds)-1].Seq && m.auto
	switch early := c.w.Now().Milli() < m.until.Milli(); {
	case !last && (err != nil || len(events) > 0), last && early && gotong.CodeOf(err) != gotong.CodeNotYet, last && !early && len(events) != 1:
		c.Fatalf("the end of a hold: %+v %v; %+v", events, err, m)
	case last && !early:
		m.hides, m.waits, m.code = "", m.reported > 0, thread.AutoRelease
	}
}

// agree compares what each user gets of a message, the queue and the counts.
func (c *court) agree(m *judged, got map[string]map[uint64]gotong.Event) {
	for id, history := range got {
		want := m.body
		if m.deleted || m.hides != "" && id != m.author {
			want = ""
		}
		in, asked := c.members[id]
		e, sees := history[m.e.Seq]
		if sees != (in || !asked) {
			c.Fatalf("%s sees message %d: %v", id, m.e.Seq, sees)
		}
		if !sees {
			continue
		}
		text, _ := e.Content.(thread.Text)
		d, _ := e.Data.(thread.Posted)
		if text.Body != want || !m.deleted && (d.Held != (m.hides != "") || d.Rejected != (m.hides == "rejected") || d.Warning != m.warning) {
			c.Fatalf("%s gets %q %+v, the model says %q %+v", id, text.Body, d.Later, want, m)
		}
	}
	p, _ := c.w.Doc(thread.PendingKey("t", m.e.Seq)).(thread.Pending)
	if (p.Since != 0) != m.waits || p.Reports != m.reported && m.waits {
		c.Fatalf("%+v waits; %+v", p, m)
	}
	if queued := slices.ContainsFunc(c.w.Keys(thread.Queue, thread.QueueOwner), func(k gotong.Key) bool {
		return c.w.Doc(k) == thread.Queued{Seq: m.e.Seq}
	}); queued != m.waits {
		c.Fatalf("in the queue: %v; %+v", queued, m)
	}
	if out := c.w.Doc(thread.DeletedKey("t", m.e.Count)) != nil; out != (m.deleted || m.hides != "") {
		c.Fatalf("left out of the counts: %v; %+v", out, m)
	}
}
