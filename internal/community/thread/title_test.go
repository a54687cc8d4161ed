package thread_test

import (
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/thread"
)

//go:fix inline

// Each row is one update of a thread with the title of before. want is the title
// afterwards; changed is empty if nothing changes.
func TestUpdatesOfATitle(t *testing.T) {
	before := thread.Title{Name: "Banjir RT 05", Topic: "Pompa dan jadwal ronda", Icon: "🌧️"}
	for name, tc := range map[string]struct {
		by      gotong.Actor
		update  thread.Update
		code    gotong.Code
		changed string
		want    thread.Title
	}{
		"name":             {ani, thread.Update{Name: new(" Banjir\u00a02026 ")}, "", "name", thread.Title{Name: "Banjir 2026", Topic: before.Topic, Icon: before.Icon}},
		"all":              {budi, thread.Update{Name: new("A"), Topic: new("B"), Icon: new("❤")}, "", "name topic icon", thread.Title{Name: "A", Topic: "B", Icon: "❤️"}},
		"removed":          {ani, thread.Update{Topic: new(" "), Icon: new("")}, "", "topic icon", thread.Title{Name: before.Name}},
		"equal":            {ani, thread.Update{Name: new(before.Name + " "), Icon: new("🌧")}, "", "", before},
		"by a moderator":   {mod, thread.Update{Name: new("x")}, "", "name", thread.Title{Name: "x", Topic: before.Topic, Icon: before.Icon}},
		"by a member":      {citra, thread.Update{Name: new("x")}, gotong.CodeForbidden, "", before},
		"by a stranger":    {dewi, thread.Update{Name: new("x")}, gotong.CodeForbidden, "", before},
		"nothing":          {ani, thread.Update{}, gotong.CodeInvalid, "", before},
		"invisible":        {ani, thread.Update{Name: new("a\u200bb")}, gotong.CodeInvalid, "", before},
		"another way":      {ani, thread.Update{Topic: new("a\u202eb")}, gotong.CodeInvalid, "", before},
		"two lines":        {ani, thread.Update{Topic: new("a\nb")}, gotong.CodeInvalid, "", before},
		"long":             {ani, thread.Update{Topic: new(strings.Repeat("é", 251))}, gotong.CodeInvalid, "", before},
		"no emoji":         {ani, thread.Update{Icon: new("x")}, gotong.CodeInvalid, "", before},
		"two emoji":        {ani, thread.Update{Icon: new("👍👍")}, gotong.CodeInvalid, "", before},
		"a family as icon": {ani, thread.Update{Icon: new("👨‍👩‍👧‍👦")}, "", "icon", thread.Title{Name: before.Name, Topic: before.Topic, Icon: "👨‍👩‍👧‍👦"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := staffed(t, thread.Public, thread.All)
			w.Do(ani, s, thread.Update{Name: &before.Name, Topic: &before.Topic, Icon: &before.Icon})
			events, err := w.Try(tc.by, s, tc.update)
			if gotong.CodeOf(err) != tc.code || docOf(t, w).Title != tc.want || len(events) > 0 != (tc.changed != "") {
				t.Fatalf("got %v, %d events, %+v", err, len(events), docOf(t, w).Title)
			}
			if len(events) > 0 && strings.Join(events[0].Data.(thread.Updated).Changed, " ") != tc.changed {
				t.Fatalf("changed %v", events[0].Data)
			}
		})
	}
}

// A thread is created with its title; nobody outside may know it, or change it.
func TestATitleOfAPrivateThread(t *testing.T) {
	w := communitytest.Run(t, thread.Kind())
	w.Refuse(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Private, Title: thread.Title{Icon: "x"}}, gotong.CodeInvalid)
	w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Private, Title: thread.Title{Name: " Arisan ", Icon: "❤"}})
	if got := docOf(t, w).Title; got != (thread.Title{Name: "Arisan", Icon: "❤️"}) {
		t.Fatalf("got %+v", got)
	}
	for _, stranger := range []gotong.Actor{dewi, mod, boss} {
		w.Refuse(stranger, s, thread.Update{Name: new("x")}, gotong.CodeNotFound)
	}
}

// An erased text is gone from the thread, and no older one appears in its place.
func TestErasedTitles(t *testing.T) {
	w := communitytest.Run(t, thread.Kind())
	first := w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Public, Title: thread.Title{Name: "one", Topic: "topic", Icon: "👍"}})[0]
	second := w.Do(ani, s, thread.Update{Name: new("two")})[0]
	for _, actor := range []gotong.Actor{ani, mod} {
		w.Refuse(actor, s, gotong.Erase{Events: []gotong.EventID{first.ID}, Reason: "x"}, gotong.CodeForbidden)
	}
	erase := func(e gotong.Event) thread.Title {
		w.Do(boss, s, gotong.Erase{Events: []gotong.EventID{e.ID}, Reason: "by order"})
		return docOf(t, w).Title
	}
	if got := erase(second); got != (thread.Title{Topic: "topic", Icon: "👍"}) {
		t.Fatalf("after the second: %+v", got)
	}
	if got := erase(first); got != (thread.Title{}) {
		t.Fatalf("after the first: %+v", got)
	}
	w.Do(ani, s, thread.Update{Name: new("three")})
	if got := docOf(t, w).Name; got != "three" {
		t.Fatalf("a new name: %q", got)
	}
}

// In an archived thread, nobody writes, edits, reacts or sends a signal; everybody
// reads, and who may delete still may.
func TestAnArchivedThreadCanOnlyBeRead(t *testing.T) {
	w := staffed(t, thread.Public, thread.All)
	m := post(w, citra, "Halo")
	w.Refuse(citra, s, thread.Update{Archived: new(true)}, gotong.CodeForbidden)
	w.Idle(ani, s, thread.Update{Archived: new(false)})
	events := w.Do(budi, s, thread.Update{Name: new("Lama"), Archived: new(true)})
	if len(events) != 2 || events[1].Type != thread.EvArchived || docOf(t, w).ArchivedAt != events[1].At {
		t.Fatalf("got %+v, %+v", events, docOf(t, w))
	}
	w.Idle(ani, s, thread.Update{Archived: new(true)})
	for name, data := range map[string]any{
		"post":  thread.Post{Body: "x"},
		"edit":  thread.Edit{MessageID: m.ID, Body: "x"},
		"react": thread.React{MessageID: m.ID, Emoji: "👍", On: true},
	} {
		for _, a := range []gotong.Actor{ani, citra} {
			if _, err := w.Try(a, s, data); gotong.CodeOf(err) != gotong.CodeArchived {
				t.Errorf("%s by %s: %v", name, a.UserID, err)
			}
		}
		if _, err := w.Try(dewi, s, data); gotong.CodeOf(err) != gotong.CodeForbidden {
			t.Errorf("%s by a stranger: %v", name, err)
		}
	}
	if a := w.Access(s, viewer(citra)); !a.Readable || !a.Sees(m.Seq, "") || a.SilentUntil <= w.Now() {
		t.Fatalf("got %+v", a)
	}
	w.Do(citra, s, thread.Delete{MessageID: m.ID})
	w.Do(dewi, s, thread.Join{})
	w.Do(mod, s, thread.Update{Archived: new(false)})
	if a := w.Access(s, viewer(citra)); a.SilentUntil > w.Now() {
		t.Fatalf("silent until %s", a.SilentUntil)
	}
	post(w, dewi, "Halo")
}
