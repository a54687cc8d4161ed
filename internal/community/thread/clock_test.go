package thread_test

import (
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/thread"
)

// Deadlines for people follow the clock, whatever it did before: a post while it
// ran ahead moves the thread's newest event, and no mute and no time for edits
// with it.
func TestDeadlinesAreComparedWithTheClock(t *testing.T) {
	for name, steps := range clocktest.Steps() {
		t.Run(name, func(t *testing.T) {
			w := staffed(t, thread.Public, "")
			old := post(w, citra, "before")
			for _, step := range steps {
				w.Pass(step)
				post(w, ani, "meanwhile")
			}
			ahead := post(w, citra, "after")

			until := w.Now().Add(time.Minute)
			w.Refuse(budi, s, thread.Mute{UserID: "citra", UntilMS: w.Now().Milli() - 1}, gotong.CodeInvalid)
			w.Do(budi, s, thread.Mute{UserID: "citra", UntilMS: until.Milli()})
			w.Refuse(citra, s, thread.Post{Body: "x"}, gotong.CodeForbidden)
			w.Pass(time.Minute)
			w.Do(citra, s, thread.Post{Body: "the mute is over"})

			edit := func(m gotong.Event, revision uint64) thread.Edit {
				return thread.Edit{MessageID: m.ID, Revision: revision, Body: "x"}
			}
			w.Do(citra, s, edit(ahead, 0))
			w.Pass(thread.EditWindow)
			w.Refuse(citra, s, edit(ahead, 1), gotong.CodeForbidden)
			w.Refuse(citra, s, edit(old, 0), gotong.CodeForbidden)
		})
	}
}

// A message of a clock that ran ahead cannot be edited for as long as it did.
func TestAMessageFromTheFutureCannotBeEdited(t *testing.T) {
	w := staffed(t, thread.Public, "")
	w.Pass(7 * 24 * time.Hour)
	m := post(w, citra, "ahead")
	w.Pass(-7*24*time.Hour + time.Minute)
	w.Refuse(citra, s, thread.Edit{MessageID: m.ID, Body: "x"}, gotong.CodeForbidden)

	near := post(w, citra, "by a node whose clock is a little ahead")
	w.Pass(-2 * time.Second)
	w.Do(citra, s, thread.Edit{MessageID: near.ID, Body: "x"})
}

// What a decision compared with a deadline is in the event; where there was
// none and the event's time is the clock's, nothing is.
func TestEventsKeepTheTimeThatWasCompared(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, citra, "never muted")
	if now := m.Data.(thread.Posted).Now; now != 0 {
		t.Errorf("a post that compared nothing keeps %s", now)
	}
	edited := w.Do(citra, s, thread.Edit{MessageID: m.ID, Body: "x"})[0]
	if now := edited.Data.(thread.Edited).Now; now != w.Now() {
		t.Errorf("an edit keeps %s, want %s", now, w.Now())
	}
	muted := w.Do(budi, s, thread.Mute{UserID: "citra", UntilMS: w.Now().Milli() + 1000})[0]
	if now := muted.Data.(thread.Muted).Now; now != w.Now() {
		t.Errorf("a mute keeps %s, want %s", now, w.Now())
	}
	w.Pass(time.Second)
	if now := post(w, citra, "was muted").Data.(thread.Posted).Now; now != w.Now() {
		t.Errorf("a post after a mute keeps %s, want %s", now, w.Now())
	}
	reacted := w.Do(citra, s, thread.React{MessageID: m.ID, Emoji: "👍", On: true})[0]
	if now := reacted.Data.(thread.Reacted).Now; now != w.Now() {
		t.Errorf("a reaction after a mute keeps %s, want %s", now, w.Now())
	}
	w.Pass(-time.Hour)
	behind := post(w, ani, "the clock is behind the thread")
	if now := behind.Data.(thread.Posted).Now; now != w.Now() || behind.At <= now {
		t.Errorf("a post behind its thread keeps %s, want %s; it is at %s", now, w.Now(), behind.At)
	}
}
