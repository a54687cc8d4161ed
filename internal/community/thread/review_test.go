package thread_test

import (
	"slices"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

var server = communitytest.System()

// shown returns what a viewer gets of the event seq, and whether they see it.
func shown(w *communitytest.World, a gotong.Actor, seq uint64) (gotong.Event, bool) {
	for _, e := range w.History(s, viewer(a)) {
		if e.Seq == seq {
			return e, true
		}
	}
	return gotong.Event{}, false
}

func bodyOf(w *communitytest.World, a gotong.Actor, seq uint64) string {
	e, _ := shown(w, a, seq)
	text, _ := e.Content.(thread.Text)
	return text.Body
}

func advice(id gotong.EventID) thread.Advise {
	return thread.Advise{
		MessageID: id, Action: "review", Status: "hold", Minutes: 15, Auto: true, Provider: "rules", Version: "v0.2.0",
		Reasoning: "quotes rude words", Violations: []string{"harassment"},
	}
}

func pending(w *communitytest.World) int { return len(w.Keys(thread.Reviews, s.ID())) }

// TestAdviceIsForReviewers: it is an event that owners and admins see, it holds
// nothing, and its reasons are erased with the message.
func TestAdviceIsForReviewers(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, citra, "rude words")
	w.Refuse(ani, s, advice(m.ID), gotong.CodeNotFound)
	w.Refuse(mod, s, advice(m.ID), gotong.CodeNotFound)
	events := w.Do(server, s, advice(m.ID))
	if len(events) != 1 || bodyOf(w, citra, m.Seq) != "rude words" || pending(w) != 1 {
		t.Fatalf("%+v, shown %q, %d pending", events, bodyOf(w, citra, m.Seq), pending(w))
	}
	seq := events[0].Seq
	for _, a := range []gotong.Actor{ani, budi} {
		if e, ok := shown(w, a, seq); !ok || e.Content.(thread.Reasons).Reasoning == "" {
			t.Errorf("%s sees %+v, %v", a.UserID, e, ok)
		}
	}
	if _, ok := shown(w, citra, seq); ok {
		t.Error("a member sees the advice")
	}
	w.Idle(server, s, advice(m.ID))
	w.Do(citra, s, thread.Delete{MessageID: m.ID})
	if e, ok := shown(w, ani, seq); !ok || e.Content != nil || pending(w) != 0 {
		t.Errorf("after the deletion the advice is %+v, with %d pending", e, pending(w))
	}
	gone := post(w, citra, "gone")
	w.Do(citra, s, thread.Delete{MessageID: gone.ID})
	w.Idle(server, s, advice(gone.ID))
}

// TestAdviceOnAnEdit: it concerns one revision, and replaces the reasons of advice on
// an older one.
func TestAdviceOnAnEdit(t *testing.T) {
	w := lent(t, thread.Public, "")
	w.Do(ani, g, group.Update{Policy: &gotong.Policy{AutoHold: true}})
	m := post(w, budi, "harmless")
	first := w.Do(server, s, advice(m.ID))
	w.Do(ani, s, thread.Review{MessageID: m.ID, Decision: thread.Release})
	w.Do(budi, s, thread.Edit{MessageID: m.ID, Body: "rude words"})
	w.Idle(server, s, advice(m.ID)) // on the text that was replaced
	onEdit := advice(m.ID)
	onEdit.Revision = 1
	second := w.Do(server, s, onEdit)
	if len(second) != 2 || second[0].Data.(thread.Advised).Revision != 1 || second[1].Data.(thread.Held).TargetSeq != m.Seq {
		t.Fatalf("%+v", second)
	}
	w.Idle(server, s, onEdit)
	if bodyOf(w, ani, m.Seq) != "" || bodyOf(w, budi, m.Seq) != "rude words" || pending(w) != 1 {
		t.Errorf("ani gets %q, the author %q, %d pending", bodyOf(w, ani, m.Seq), bodyOf(w, budi, m.Seq), pending(w))
	}
	if e, ok := shown(w, ani, first[0].Seq); !ok || e.Content != nil {
		t.Errorf("the older advice is %+v", e)
	}
	w.Do(ani, s, thread.Delete{MessageID: m.ID})
	if e, ok := shown(w, ani, second[0].Seq); !ok || e.Content != nil || pending(w) != 0 {
		t.Errorf("after the deletion the advice is %+v, with %d pending", e, pending(w))
	}
}

// TestLateAdviceHoldsNothing: what a moderator published stays, until its author edits
// it.
func TestLateAdviceHoldsNothing(t *testing.T) {
	w := lent(t, thread.Public, "")
	w.Do(ani, g, group.Update{Policy: &gotong.Policy{AutoHold: true}})
	m := post(w, budi, "Halo")
	w.Do(ani, s, thread.Review{MessageID: m.ID, Decision: thread.Warn})
	if events := w.Do(server, s, advice(m.ID)); len(events) != 1 || bodyOf(w, citra, m.Seq) != "Halo" {
		t.Errorf("%+v", events)
	}
	w.Do(budi, s, thread.Edit{MessageID: m.ID, Body: "rude words"})
	onEdit := advice(m.ID)
	onEdit.Revision = 1
	if events := w.Do(server, s, onEdit); len(events) != 2 || bodyOf(w, citra, m.Seq) != "" {
		t.Errorf("%+v", events)
	}
}

func TestAModeratorHoldsAndReleases(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, citra, "first")
	edited := w.Do(citra, s, thread.Edit{MessageID: m.ID, Body: "second"})[0]
	w.Do(dewi, s, thread.Join{})
	w.Refuse(citra, s, thread.Review{MessageID: m.ID, Decision: thread.Hold}, gotong.CodeForbidden)
	w.Idle(budi, s, thread.Review{MessageID: m.ID, Decision: thread.Release})
	w.Do(budi, s, thread.Review{MessageID: m.ID, Decision: thread.Hold, Minutes: 30})
	for _, a := range []gotong.Actor{ani, budi, citra, dewi} {
		want := ""
		if a == citra {
			want = "second"
		}
		e, _ := shown(w, a, m.Seq)
		if bodyOf(w, a, m.Seq) != want || (e.Content == nil) != (want == "") || !e.Data.(thread.Posted).Held {
			t.Errorf("%s gets %+v of a held message", a.UserID, e)
		}
		if e, _ := shown(w, a, edited.Seq); e.Content != nil {
			t.Errorf("%s gets the text by its edit", a.UserID)
		}
	}
	w.Refuse(citra, s, thread.Edit{MessageID: m.ID, Revision: 1, Body: "third"}, gotong.CodeConflict)
	w.Do(ani, s, thread.React{MessageID: m.ID, Emoji: "👍", On: true})
	w.Pass(time.Hour) // without auto-release it stays
	w.Idle(server, s, thread.Unhold{Seq: m.Seq, Held: 5})
	w.Do(mod, s, thread.Review{MessageID: m.ID, Decision: thread.Release})
	if got := bodyOf(w, dewi, m.Seq); got != "second" || pending(w) != 0 {
		t.Errorf("released as %q, %d pending", got, pending(w))
	}
	if e, _ := shown(w, dewi, edited.Seq); e.Content == nil {
		t.Error("the edit has no text after the release")
	}
}

func TestAHoldEndsByItself(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, citra, "text")
	first := w.Do(ani, s, thread.Review{MessageID: m.ID, Decision: thread.Hold, Minutes: 10, Auto: true})[1]
	timers := thread.Kind().Timers(first)
	if len(timers) != 1 || timers[0].Due.Milli() != w.Now().Add(10*time.Minute).Milli() {
		t.Fatalf("%+v", timers)
	}
	unhold, ok := timers[0].Data.(thread.Unhold)
	if !ok || !slices.Contains(thread.Kind().Timed, first.Type) {
		t.Fatalf("%+v", timers)
	}
	w.Refuse(server, s, unhold, gotong.CodeNotYet)
	w.Refuse(ani, s, unhold, gotong.CodeNotFound)
	second := w.Do(ani, s, thread.Review{MessageID: m.ID, Decision: thread.Hold, Minutes: 20, Auto: true})[1]
	w.Pass(15 * time.Minute)
	w.Idle(server, s, unhold) // of the first hold, which the second replaced
	w.Pass(10 * time.Minute)
	w.Do(server, s, thread.Unhold{Seq: m.Seq, Held: second.Seq})
	if bodyOf(w, citra, m.Seq) != "text" {
		t.Error("the message is still held")
	}
	w.Idle(server, s, thread.Unhold{Seq: m.Seq, Held: second.Seq})
}

// TestPolicyDecidesWhetherAdviceHolds needs a group, whose policy is one.
func TestPolicyDecidesWhetherAdviceHolds(t *testing.T) {
	for name, c := range map[string]struct {
		policy gotong.Policy
		status string
		held   bool
		auto   bool
	}{
		"proposal":   {gotong.Policy{}, "hold", false, false},
		"automatic":  {gotong.Policy{AutoHold: true}, "hold", true, true},
		"escalation": {gotong.Policy{AutoHold: true}, "escalate", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := lent(t, thread.Public, "")
			if _, err := w.Try(ani, g, group.Update{Policy: &c.policy}); err != nil {
				t.Fatal(err)
			}
			m := post(w, budi, "text")
			a := advice(m.ID)
			a.Status = c.status
			events := w.Do(server, s, a)
			if held := len(events) == 2; held != c.held || held && events[1].Data.(thread.Held).Auto != c.auto {
				t.Errorf("%+v", events)
			}
			if shown := bodyOf(w, ani, m.Seq) != ""; shown == c.held {
				t.Errorf("the message is shown: %v", shown)
			}
		})
	}
}

// TestNewcomersAreReviewedFirst: the hold is in the commit of the message itself,
// and of an edit.
func TestNewcomersAreReviewedFirst(t *testing.T) {
	w := lent(t, thread.Public, "")
	w.Do(ani, g, group.Update{Policy: &gotong.Policy{NewcomerHours: 24}})
	joined := w.Do(ani, g, group.Add{UserID: "dewi"})[0]
	events := w.Do(dewi, s, thread.Post{Body: "new here"})
	if len(events) != 2 || events[1].Type != thread.EvHeld || bodyOf(w, ani, events[0].Seq) != "" || bodyOf(w, dewi, events[0].Seq) != "new here" {
		t.Fatalf("%+v", events)
	}
	if d := events[1].Data.(thread.Held); !d.Auto || d.By != thread.ByNewcomer || d.TargetSeq != events[0].Seq {
		t.Errorf("%+v", d)
	}
	w.Do(ani, s, thread.Review{MessageID: events[0].ID, Decision: thread.Release})
	edit := w.Do(dewi, s, thread.Edit{MessageID: events[0].ID, Body: "changed"})
	if len(edit) != 2 || bodyOf(w, ani, events[0].Seq) != "" {
		t.Errorf("the edit is not held: %+v", edit)
	}
	w.Pass(joined.At.Add(24*time.Hour).Sub(w.Now()) - time.Millisecond - time.Microsecond) // a command takes a millisecond
	if events := w.Do(dewi, s, thread.Post{Body: "the last moment"}); len(events) != 2 {
		t.Errorf("not held: %+v", events)
	}
	w.Pass(time.Microsecond - time.Millisecond)
	if events := w.Do(dewi, s, thread.Post{Body: "a day later"}); len(events) != 1 {
		t.Errorf("still held: %+v", events)
	}
	if events := w.Do(ani, s, thread.Post{Body: "the owner"}); len(events) != 1 {
		t.Errorf("the owner is held: %+v", events)
	}
}
