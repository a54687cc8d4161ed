package thread_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

var emi = communitytest.User("emi")

func recordOf(w *world, seq uint64) thread.Moderation {
	m, _ := w.Doc(thread.ModerationKey("t", seq)).(thread.Moderation)
	return m
}

func review(e gotong.Event, a thread.Action) thread.Review {
	return thread.Review{MessageID: e.ID, Decision: a}
}

// reports are those of these users, filed after all that was done.
func reports(w *world, e gotong.Event, users ...string) thread.Report {
	r := thread.Report{MessageID: e.ID}
	for _, u := range users {
		r.Reporters = append(r.Reporters, thread.Reporter{UserID: u, At: w.Now() + 1})
	}
	return r
}

// reach brings citra's message into a state.
var reach = map[string]func(w *world, e gotong.Event){
	"processing": func(*world, gotong.Event) {},
	"advised":    func(w *world, e gotong.Event) { w.Do(server, s, advice(e.ID)) },
	"reported":   func(w *world, e gotong.Event) { w.Do(server, s, reports(w, e, "dewi")) },
	"held":       func(w *world, e gotong.Event) { w.Do(budi, s, review(e, thread.Hold)) },
	"rejected":   func(w *world, e gotong.Event) { w.Do(budi, s, review(e, thread.Block)) },
	"appealed": func(w *world, e gotong.Event) {
		w.Do(budi, s, review(e, thread.Block))
		w.Do(citra, s, thread.Appeal{MessageID: e.ID})
	},
	"published": func(w *world, e gotong.Event) {
		w.Do(budi, s, review(e, thread.Hold))
		w.Do(budi, s, review(e, thread.Release))
	},
	"warned":  func(w *world, e gotong.Event) { w.Do(budi, s, review(e, thread.Warn)) },
	"deleted": func(w *world, e gotong.Event) { w.Do(citra, s, thread.Delete{MessageID: e.ID}) },
}

// TestWhoDecides tries every command in every state by everybody.
func TestWhoDecides(t *testing.T) {
	opened := []string{"reported", "held", "rejected", "appealed"}
	hidden := []string{"held", "rejected", "appealed"}
	after := map[thread.Action]thread.Status{
		thread.Release: thread.Published, thread.Warn: thread.Published, thread.Hold: thread.UnderReview, thread.Block: thread.Rejected,
	}
	decides := func(state string, actor gotong.Actor) gotong.Code {
		switch actor {
		case ani, budi:
			if state == "deleted" {
				return gotong.CodeTargetDeleted
			}
			return ""
		case mod, boss:
			if slices.Contains(opened, state) {
				return ""
			}
			return gotong.CodeNotFound
		case emi: // not a member
			return gotong.CodeNotFound
		default:
			return gotong.CodeForbidden
		}
	}
	appeals := func(state string, actor gotong.Actor) gotong.Code {
		switch {
		case actor != citra:
			return gotong.CodeForbidden
		case state == "deleted":
			return gotong.CodeTargetDeleted
		case state == "held" || state == "rejected":
			return ""
		default:
			return gotong.CodeConflict
		}
	}
	for state, bring := range reach {
		for _, actor := range []gotong.Actor{ani, budi, citra, dewi, emi, mod, boss} {
			t.Run(state+"/"+actor.UserID, func(t *testing.T) {
				var w *world
				var e gotong.Event
				try := func(data func(e gotong.Event) any, want gotong.Code) (*world, gotong.Event) {
					t.Helper()
					if w == nil || want == "" { // what is rejected changes nothing
						w = staffed(t, thread.Public, "")
						w.Do(dewi, s, thread.Join{})
						e = post(w, citra, "Halo")
						bring(w, e)
					}
					if _, err := w.Try(actor, s, data(e)); gotong.CodeOf(err) != want {
						t.Errorf("%T: %v, want %q", data(e), err, want)
					}
					return w, e
				}
				want := decides(state, actor)
				for action, status := range after {
					w, e := try(func(e gotong.Event) any { return review(e, action) }, want)
					idle := action == thread.Release && slices.Contains([]string{"processing", "published"}, state)
					if got := recordOf(w, e.Seq).Status; want == "" && got != status && !idle {
						t.Errorf("%s leads to %q, want %q", action, got, status)
					}
					hides := want == "" && status != thread.Published || want != "" && slices.Contains(hidden, state)
					if got := bodyOf(w, dewi, e.Seq) == ""; got != (hides || state == "deleted") {
						t.Errorf("after %s the text is hidden: %v", action, got)
					}
				}
				w = nil
				try(func(e gotong.Event) any { return thread.Appeal{MessageID: e.ID} }, appeals(state, actor))
				w = nil
				try(func(e gotong.Event) any { return thread.Open{MessageID: e.ID} }, want)
				try(func(e gotong.Event) any { return reports(&world{}, e, "dewi") }, gotong.CodeNotFound)
				if actor != boss {
					try(func(gotong.Event) any { return thread.Unhold{Seq: 6, Held: 8} }, gotong.CodeNotFound)
				}
			})
		}
	}
}

// TestNobodyLearnsWhoDecided: no viewer gets an event with the decider, their grounds,
// an appeal or the number of reports, and the event of the decision has no actor.
func TestNobodyLearnsWhoDecided(t *testing.T) {
	w := staffed(t, thread.Public, "")
	e := post(w, citra, "Halo")
	w.Do(server, s, reports(w, e, "budi"))
	w.Do(mod, s, thread.Open{MessageID: e.ID})
	w.Do(mod, s, thread.Review{MessageID: e.ID, Decision: thread.Block, Grounds: thread.Grounds{Reasoning: "KENARI"}})
	w.Do(citra, s, thread.Appeal{MessageID: e.ID, Plea: thread.Plea{Reason: "KENARI"}})
	w.Do(boss, s, review(e, thread.Warn))
	for _, a := range []gotong.Actor{ani, budi, citra} {
		for _, e := range w.History(s, viewer(a)) {
			if text := fmt.Sprintf("%+v", e); e.Actor.UserID == "mod" || e.Actor.UserID == "boss" || e.Type == thread.EvReported ||
				e.Type == thread.EvOpened || strings.Contains(text, "KENARI") {
				t.Errorf("%s gets %s", a.UserID, text)
			}
		}
	}
	m := recordOf(w, e.Seq)
	if len(m.Decided) != 3 || len(m.Grounds) != 3 || len(m.Looks) != 1 || !m.Appealed {
		t.Errorf("%+v", m)
	}
	w.Do(citra, s, thread.Delete{MessageID: e.ID})
	for _, seq := range m.Grounds {
		if e := w.Event(s, seq); e.Content != nil {
			t.Errorf("after the deletion %+v", e)
		}
	}
}

// TestReportsHideOnce: with the policy, enough members hide a message for an hour;
// neither later reports nor those after a moderator published it hide it again. Who
// was removed, or wrote the message, does not count.
func TestReportsHideOnce(t *testing.T) {
	begin := func(t *testing.T, auto bool) (*world, gotong.Event) {
		t.Helper()
		w := lent(t, thread.Public, "")
		for _, id := range []string{"dewi", "emi", "fajar", "gita", "hadi"} {
			w.Do(ani, g, group.Add{UserID: id})
		}
		w.Do(ani, g, group.Update{Policy: &gotong.Policy{AutoHide: auto, HideAt: 4}})
		return w, post(w, communitytest.User("fajar"), "Halo")
	}
	all := []string{"dewi", "emi", "fajar", "gita"}
	t.Run("off", func(t *testing.T) {
		w, e := begin(t, false)
		events := w.Do(server, s, reports(w, e, append(all, "hadi")...))
		if len(events) != 1 || !events[0].Data.(thread.Reported).Flagged || bodyOf(w, ani, e.Seq) == "" || pending(w) != 1 {
			t.Errorf("%+v, %d pending", events, pending(w))
		}
	})
	t.Run("on", func(t *testing.T) {
		w, e := begin(t, true)
		w.Do(ani, g, group.Remove{UserID: "emi"})
		if events := w.Do(server, s, reports(w, e, append(all, "hadi")...)); len(events) != 1 || events[0].Data.(thread.Reported).Count != 3 {
			t.Fatalf("the author and a removed member count: %+v", events)
		}
		w.Do(ani, g, group.Add{UserID: "emi"})
		events := w.Do(server, s, reports(w, e, append(all, "hadi")...))
		held, ok := events[len(events)-1].Data.(thread.Held)
		if !ok || held.By != thread.ByReports || !held.Auto || held.UntilMS != w.Now().Add(time.Hour).Milli() || bodyOf(w, ani, e.Seq) != "" {
			t.Fatalf("%+v", events)
		}
		w.Pass(time.Hour)
		w.Do(server, s, thread.Unhold{Seq: e.Seq, Held: events[len(events)-1].Seq})
		if bodyOf(w, ani, e.Seq) == "" || pending(w) != 1 {
			t.Errorf("shown %q, %d pending", bodyOf(w, ani, e.Seq), pending(w))
		}
		for _, e := range w.Do(server, s, reports(w, e, append(all, "hadi", "citra", "budi")...)) {
			if e.Type == thread.EvHeld {
				t.Error("reports hide it again")
			}
		}
	})
	t.Run("published", func(t *testing.T) {
		w, e := begin(t, true)
		w.Do(server, s, reports(w, e, "dewi"))
		w.Do(ani, s, review(e, thread.Release))
		w.Idle(server, s, thread.Report{MessageID: e.ID, Reporters: []thread.Reporter{{UserID: "dewi", At: 1}}}) // from before
		if events := w.Do(server, s, reports(w, e, append(all, "hadi")...)); len(events) != 1 || bodyOf(w, ani, e.Seq) == "" {
			t.Errorf("%+v", events)
		}
	})
}

// TestAnAuthorSettlesNothing: what a leader decides about their own message keeps no
// report from counting, and does not keep reports from hiding it.
func TestAnAuthorSettlesNothing(t *testing.T) {
	w := lent(t, thread.Public, "")
	for _, id := range []string{"dewi", "emi"} {
		w.Do(ani, g, group.Add{UserID: id})
	}
	w.Do(ani, g, group.Update{Policy: &gotong.Policy{AutoHide: true, HideAt: 2}})
	e := post(w, ani, "Halo")
	filed := reports(w, e, "dewi", "emi")
	w.Do(ani, s, review(e, thread.Warn))
	events := w.Do(server, s, filed)
	if len(events) != 2 || events[0].Data.(thread.Reported).Count != 2 || bodyOf(w, dewi, e.Seq) != "" {
		t.Errorf("%+v", events)
	}
}

// TestAModeratorWhoLeftIsStillTheAuthor: a platform moderator who is not a member
// decides only about messages of others.
func TestAModeratorWhoLeftIsStillTheAuthor(t *testing.T) {
	w := lent(t, thread.Public, "")
	w.Do(ani, g, group.Update{Policy: &gotong.Policy{AutoHold: true}})
	w.Do(ani, g, group.Add{UserID: "mod"})
	e := post(w, mod, "Halo")
	w.Do(server, s, advice(e.ID))
	w.Do(ani, g, group.Remove{UserID: "mod"})
	for _, c := range []any{review(e, thread.Release), thread.Open{MessageID: e.ID}} {
		w.Refuse(mod, s, c, gotong.CodeForbidden)
	}
}

// TestReportsCountByTheClock: a thread whose newest event lies in the future, because
// the clock was set back, counts the reports from after a decision.
func TestReportsCountByTheClock(t *testing.T) {
	w := staffed(t, thread.Public, "")
	w.Do(dewi, s, thread.Join{})
	e := post(w, citra, "Halo")
	w.Pass(time.Hour)
	post(w, citra, "later")
	w.Pass(-time.Hour)
	w.Do(ani, s, review(e, thread.Warn))
	events := w.Do(server, s, reports(w, e, "dewi"))
	if len(events) != 1 || events[0].Data.(thread.Reported).Count != 1 {
		t.Errorf("%+v", events)
	}
}

// TestTheEndOfAHoldSaysWhyItDoesNothing has the reasons of the no-ops.
func TestTheEndOfAHoldSaysWhyItDoesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(w *world, e gotong.Event)
		want string
	}{
		"the hold":          {func(*world, gotong.Event) {}, ""},
		"a later decision":  {func(w *world, e gotong.Event) { w.Do(budi, s, review(e, thread.Hold)) }, thread.NoopStale},
		"released":          {func(w *world, e gotong.Event) { w.Do(budi, s, review(e, thread.Release)) }, thread.NoopStale},
		"appealed":          {func(w *world, e gotong.Event) { w.Do(citra, s, thread.Appeal{MessageID: e.ID}) }, thread.NoopStale},
		"deleted meanwhile": {func(w *world, e gotong.Event) { w.Do(citra, s, thread.Delete{MessageID: e.ID}) }, thread.NoopNot},
	} {
		t.Run(name, func(t *testing.T) {
			w := staffed(t, thread.Public, "")
			e := post(w, citra, "Halo")
			held := w.Do(ani, s, thread.Review{MessageID: e.ID, Decision: thread.Hold, Auto: true, Minutes: 10})[1]
			unhold := thread.Unhold{Seq: e.Seq, Held: held.Seq}
			c.do(w, e)
			o, _ := w.Doc(thread.OverlayKey("t", e.Seq)).(thread.Overlay)
			if got := unhold.Noop(o, recordOf(w, e.Seq)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if c.want == "" {
				w.Refuse(server, s, unhold, gotong.CodeNotYet)
			} else {
				w.Idle(server, s, unhold)
			}
		})
	}
	w := staffed(t, thread.Public, "")
	e := post(w, citra, "Halo")
	held := w.Do(ani, s, review(e, thread.Hold))[1]
	o, _ := w.Doc(thread.OverlayKey("t", e.Seq)).(thread.Overlay)
	if got := (thread.Unhold{Seq: e.Seq, Held: held.Seq}).Noop(o, recordOf(w, e.Seq)); got != thread.NoopDisabled {
		t.Errorf("%q", got)
	}
}

// TestAdminsEndAHoldWhoseTimeIsOver names the message alone: not before its time, not a
// hold that a reviewer must end, and not what they may not know. Nobody sees who it was.
func TestAdminsEndAHoldWhoseTimeIsOver(t *testing.T) {
	w := staffed(t, thread.Private, "")
	end := func(e gotong.Event) thread.Unhold { return thread.Unhold{MessageID: e.ID} }
	e := post(w, citra, "Halo")
	w.Refuse(boss, s, end(e), gotong.CodeNotFound)
	w.Do(ani, s, review(e, thread.Hold))
	w.Pass(time.Hour)
	w.Idle(boss, s, end(e))
	w.Do(ani, s, thread.Review{MessageID: e.ID, Decision: thread.Hold, Auto: true, Minutes: 10})
	w.Refuse(boss, s, end(e), gotong.CodeConflict)
	w.Pass(10 * time.Minute)
	for _, a := range []gotong.Actor{ani, citra, emi, mod} {
		w.Refuse(a, s, end(e), gotong.CodeNotFound)
	}
	events := w.Do(boss, s, end(e))
	if d, ok := events[0].Data.(thread.Released); len(events) != 1 || !ok || !d.Auto || events[0].Actor != server || bodyOf(w, ani, e.Seq) != "Halo" {
		t.Errorf("%+v", events)
	}
	w.Refuse(boss, s, end(e), gotong.CodeNotFound)
}

// TestARepeatedDecisionChangesNothing with the same reason code. With another one it is a
// new decision, which everybody sees.
func TestARepeatedDecisionChangesNothing(t *testing.T) {
	for _, action := range []thread.Action{thread.Release, thread.Warn, thread.Block} {
		t.Run(string(action), func(t *testing.T) {
			w := staffed(t, thread.Public, "")
			e := post(w, citra, "Halo")
			c := review(e, action)
			if action == thread.Release {
				w.Idle(ani, s, c) // nobody ever decided otherwise
			}
			for _, c.Code = range []string{"spam", "aturan", ""} {
				w.Do(ani, s, c)
				c.Reasoning = "again"
				w.Idle(budi, s, c)
				if got := recordOf(w, e.Seq).Code; got != c.Code {
					t.Errorf("the reason is %q, want %q", got, c.Code)
				}
			}
		})
	}
}

func TestTheTimeToAppealEnds(t *testing.T) {
	w := staffed(t, thread.Public, "")
	e := post(w, citra, "Halo")
	w.Do(ani, s, thread.Review{MessageID: e.ID, Decision: thread.Block, Appeal: 10})
	w.Pass(11 * time.Minute)
	w.Refuse(citra, s, thread.Appeal{MessageID: e.ID}, gotong.CodeForbidden)
	w.Pass(-11 * time.Minute)
	w.Do(citra, s, thread.Appeal{MessageID: e.ID})
	w.Do(ani, s, review(e, thread.Block))
	w.Refuse(citra, s, thread.Appeal{MessageID: e.ID}, gotong.CodeConflict) // once
}

// TestSlowMode: ordinary members wait between two messages by the clock; if it was set
// back, no longer than the slow mode.
func TestSlowMode(t *testing.T) {
	w := staffed(t, thread.Public, "")
	w.Refuse(citra, s, thread.Update{SlowS: new(30)}, gotong.CodeForbidden)
	post(w, citra, "before")
	w.Do(ani, s, thread.Update{SlowS: new(30)})
	w.Idle(ani, s, thread.Update{SlowS: new(30)})
	post(w, citra, "one")
	w.Pass(10 * time.Second)
	_, err := w.Try(citra, s, thread.Post{Body: "two"})
	if e, ok := err.(*gotong.Error); !ok || e.Code != gotong.CodeRateLimited || e.RetryAfterS != 20 { //nolint:errorlint // the world returns it as it is
		t.Errorf("%+v", err)
	}
	for range 3 {
		post(w, budi, "an admin")
		post(w, ani, "the owner")
	}
	w.Pass(-time.Hour)
	_, err = w.Try(citra, s, thread.Post{Body: "two"})
	if e, ok := err.(*gotong.Error); !ok || e.RetryAfterS != 30 { //nolint:errorlint // the world returns it as it is
		t.Errorf("%+v", err)
	}
	w.Pass(time.Hour + 21*time.Second)
	post(w, citra, "two")
	w.Do(ani, s, thread.Update{SlowS: new(0)})
	post(w, citra, "three")
}

// TestAnEditAfterADecisionIsNewContent: a reviewer's publication keeps reports from hiding
// the text that it is about, and not the text of a later edit. A decision about a text
// that was edited meanwhile is rejected.
func TestAnEditAfterADecisionIsNewContent(t *testing.T) {
	w := lent(t, thread.Public, "")
	for _, id := range []string{"dewi", "emi"} {
		w.Do(ani, g, group.Add{UserID: id})
	}
	w.Do(ani, g, group.Update{Policy: &gotong.Policy{AutoHide: true, HideAt: 2}})
	e := post(w, citra, "satu")
	all := []string{"dewi", "emi"}
	if events := w.Do(server, s, reports(w, e, all...)); len(events) != 2 || events[1].Type != thread.EvHeld {
		t.Fatalf("reports do not hide a message: %+v", events)
	}
	w.Do(budi, s, review(e, thread.Release))
	w.Pass(time.Second)
	if events := w.Do(server, s, reports(w, e, all...)); len(events) != 1 || events[0].Type != thread.EvReported {
		t.Fatalf("reports hide a text that was published: %+v", events)
	}
	w.Do(citra, s, thread.Edit{MessageID: e.ID, Body: "dua"})
	stale, decided := uint64(0), review(e, thread.Block)
	decided.Revision = &stale
	if _, err := w.Try(budi, s, decided); gotong.CodeOf(err) != gotong.CodeVersion {
		t.Errorf("a decision about the text before the edit: %v", err)
	}
	if events := w.Do(server, s, reports(w, e, all...)); len(events) != 2 || events[1].Type != thread.EvHeld {
		t.Fatalf("reports do not hide the text of the edit: %+v", events)
	}
	newest := uint64(1)
	decided = review(e, thread.Release)
	decided.Revision = &newest
	if events := w.Do(budi, s, decided); events[0].Data.(thread.Decided).Revision != 1 {
		t.Errorf("the decision names the revision %+v", events[0].Data)
	}
	w.Pass(time.Second)
	if events := w.Do(server, s, reports(w, e, all...)); len(events) != 1 || events[0].Type != thread.EvReported {
		t.Fatalf("reports hide the edit, which was published: %+v", events)
	}
}
