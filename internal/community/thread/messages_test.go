package thread_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/thread"
)

func TestAPostIsCleanedAndNumbered(t *testing.T) {
	w := staffed(t, thread.Public, "")
	first := post(w, ani, "\n \n  Halo \n  Pak \n")
	second := w.Do(citra, s, thread.Post{Body: "Ya", ReplyTo: first.ID})[0]
	if !reflect.DeepEqual(first.Content, thread.Text{Body: "  Halo \n  Pak"}) || first.Data.(thread.Posted).N != 1 {
		t.Fatalf("got %+v %+v", first.Data, first.Content)
	}
	if d := second.Data.(thread.Posted); d.N != 2 || d.ReplyTo != first.ID || second.Count != 2 {
		t.Fatalf("got %+v", second)
	}
	w.Refuse(dewi, s, thread.Post{Body: "x"}, gotong.CodeForbidden)
	w.Refuse(mod, s, thread.Post{Body: "x"}, gotong.CodeForbidden)
	w.Refuse(ani, s, thread.Post{Body: "x", ReplyTo: gotong.NewEventID(1, 1)}, gotong.CodeNotFound)
	created := w.Event(s, 1)
	w.Refuse(ani, s, thread.Post{Body: "x", ReplyTo: created.ID}, gotong.CodeNotFound)
	w.Do(ani, s, thread.Delete{MessageID: first.ID})
	w.Refuse(ani, s, thread.Post{Body: "x", ReplyTo: first.ID}, gotong.CodeTargetDeleted)
}

// What nobody can see is no message.
func TestABlankBodyIsRejected(t *testing.T) {
	for _, blank := range []string{
		"\u200b", " \u200b\u200d ", "\u2060\ufeff", "\u00ad", "\u3164", "\u115f\u1160", "\u2800", "\ufe0f", "\U000e0001", "\u202e\u2066", "\u180e", "\x00",
	} {
		for _, body := range []string{blank, blank + "\n" + blank} {
			if err := gotong.Validate(thread.Post{Body: body}); gotong.CodeOf(err) != gotong.CodeInvalid {
				t.Errorf("%+q: %v", body, err)
			}
			if err := gotong.Validate(thread.Edit{MessageID: gotong.NewEventID(1, 1), Body: body}); gotong.CodeOf(err) != gotong.CodeInvalid {
				t.Errorf("%+q as an edit: %v", body, err)
			}
		}
		if err := gotong.Validate(thread.Post{Body: blank + "a" + blank}); err != nil {
			t.Errorf("%+q beside a letter: %v", blank, err)
		}
	}
	for _, body := range []string{"👩\u200d🚒", "❤\ufe0f", "e\u0301", "من\u200cزل", "-", "ก"} {
		if err := gotong.Validate(thread.Post{Body: body}); err != nil {
			t.Errorf("%+q: %v", body, err)
		}
	}
}

func TestACommandWithABadFieldIsRejected(t *testing.T) {
	id := gotong.NewEventID(1, 1)
	for name, tc := range map[string]struct {
		cmd   any
		code  gotong.Code
		field string
	}{
		"4000 characters":   {thread.Post{Body: strings.Repeat("𝄞", 4000)}, "", ""},
		"4001 characters":   {thread.Post{Body: strings.Repeat("é", 4001)}, gotong.CodeInvalid, "body"},
		"space around":      {thread.Post{Body: strings.Repeat("\n", 9000) + "x" + strings.Repeat(" ", 9000)}, "", ""},
		"space only":        {thread.Post{Body: " \n\t "}, gotong.CodeInvalid, "body"},
		"bad UTF-8":         {thread.Post{Body: "a\xff"}, gotong.CodeInvalid, "body"},
		"attachment":        {thread.Post{Body: "x", Attachments: []string{"no id"}}, gotong.CodeInvalid, "attachments"},
		"negative time":     {thread.Post{Body: "x", Origin: thread.Origin{SentAtMS: -1}}, gotong.CodeInvalid, "sent_at_ms"},
		"long name":         {thread.Post{Body: "x", Origin: thread.Origin{SentBy: strings.Repeat("x", 129)}}, gotong.CodeInvalid, "sent_by"},
		"edit of nothing":   {thread.Edit{Body: "x"}, gotong.CodeInvalid, "message_id"},
		"empty edit":        {thread.Edit{MessageID: id}, gotong.CodeInvalid, "body"},
		"delete of nothing": {thread.Delete{}, gotong.CodeInvalid, "message_id"},
		"letters":           {thread.React{MessageID: id, Emoji: "ok", On: true}, gotong.CodeInvalid, "emoji"},
		"nobody added":      {thread.Add{}, gotong.CodeInvalid, "user_id"},
		"nobody removed":    {thread.Remove{UserID: "a/b"}, gotong.CodeInvalid, "user_id"},
		"role of a group":   {thread.Add{UserID: "a", Role: "moderator"}, gotong.CodeInvalid, "role"},
		"no role":           {thread.SetRole{UserID: "a"}, gotong.CodeInvalid, "role"},
		"imported admin":    {thread.Add{UserID: "import:1", Role: thread.Admin}, gotong.CodeInvalid, "role"},
		"mute before 1970":  {thread.Mute{UserID: "a", UntilMS: -1}, gotong.CodeInvalid, "until_ms"},
		"policy":            {thread.SetHistory{Policy: "none"}, gotong.CodeInvalid, "policy"},
		"scope":             {thread.Create{ScopeID: "a b", Privacy: thread.Public}, gotong.CodeInvalid, "scope_id"},
		"long scope":        {thread.Create{ScopeID: strings.Repeat("x", 129), Privacy: thread.Public}, gotong.CodeInvalid, "scope_id"},
		"privacy":           {thread.Create{ScopeID: "a"}, gotong.CodeInvalid, "privacy_level"},
		"history":           {thread.Create{ScopeID: "a", Privacy: thread.Public, History: "x"}, gotong.CodeInvalid, "history"},
		"members":           {thread.Create{ScopeID: "a", Privacy: thread.Public, Members: "x"}, gotong.CodeInvalid, "members"},
	} {
		t.Run(name, func(t *testing.T) {
			if c, ok := tc.cmd.(gotong.Cleaner); ok {
				if cleaned := c.Clean(); cleaned != nil {
					tc.cmd = cleaned
				}
			}
			err := gotong.Validate(tc.cmd)
			if gotong.CodeOf(err) != tc.code {
				t.Fatalf("got %v, want %q", err, tc.code)
			}
			if got := communitytest.Fields(err); err != nil && got[0] != tc.field {
				t.Fatalf("got %v, want %s", got, tc.field)
			}
		})
	}
}

func TestOnlyTheAuthorEditsTheRevisionNamed(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, citra, "Halo")
	edit := func(rev uint64, body string) thread.Edit {
		return thread.Edit{MessageID: m.ID, Revision: rev, Body: body}
	}
	w.Refuse(ani, s, edit(0, "x"), gotong.CodeForbidden)
	w.Refuse(dewi, s, edit(0, "x"), gotong.CodeForbidden)
	w.Refuse(citra, s, thread.Edit{MessageID: gotong.NewEventID(1, 1), Body: "x"}, gotong.CodeNotFound)
	w.Refuse(citra, s, edit(1, "x"), gotong.CodeVersion)
	first := w.Do(citra, s, edit(0, " Halo semua "))[0]
	w.Refuse(citra, s, edit(0, "x"), gotong.CodeVersion)
	second := w.Do(citra, s, edit(1, "Halo semuanya"))[0]
	now := w.Event(s, m.Seq)
	if !reflect.DeepEqual(now.Content, thread.Text{Body: "Halo semuanya"}) || now.Data.(thread.Posted).Revision != 2 ||
		now.Data.(thread.Posted).EditedAtMS != second.At.Milli() {
		t.Fatalf("got %+v %+v", now.Data, now.Content)
	}
	if w.Event(s, first.Seq).Content != nil || w.Event(s, second.Seq).Content == nil {
		t.Fatal("of two edits the newest has text")
	}
	w.Do(citra, s, thread.Delete{MessageID: m.ID, Revision: new(uint64(2))})
	w.Refuse(citra, s, edit(2, "x"), gotong.CodeTargetDeleted)
	w.Refuse(citra, s, edit(3, "x"), gotong.CodeTargetDeleted)
}

func TestAMessageIsEditedFor15Minutes(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, citra, "Halo")
	w.Pass(thread.EditWindow - 1000_000) // the world's clock adds a millisecond: at the very end
	events := w.Do(citra, s, thread.Edit{MessageID: m.ID, Body: "just in time"})
	if events[0].At != m.At.Add(thread.EditWindow) {
		t.Fatalf("edited %d µs after the post", events[0].At-m.At)
	}
	w.Pass(-999_000) // a microsecond later
	w.Refuse(citra, s, thread.Edit{MessageID: m.ID, Revision: 1, Body: "too late"}, gotong.CodeForbidden)
	w.Do(citra, s, thread.Delete{MessageID: m.ID}) // any revision, and without such a bound
}

func TestAuthorsAndModeratorsDeleteMessages(t *testing.T) {
	for _, by := range []gotong.Actor{ani, budi, citra, mod, boss} {
		t.Run(by.UserID, func(t *testing.T) {
			w := staffed(t, thread.Public, "")
			w.Do(ani, s, thread.Add{UserID: "dewi"})
			m := post(w, citra, "Halo")
			edit := w.Do(citra, s, thread.Edit{MessageID: m.ID, Body: "rahasia"})[0]
			w.Do(dewi, s, thread.React{MessageID: m.ID, Emoji: "👍", On: true})
			w.Refuse(dewi, s, thread.Delete{MessageID: m.ID, Revision: new(uint64(1))}, gotong.CodeForbidden)
			w.Refuse(by, s, thread.Delete{MessageID: m.ID, Revision: new(uint64(0))}, gotong.CodeVersion)
			w.Refuse(by, s, thread.Delete{MessageID: edit.ID}, gotong.CodeNotFound)
			gone := w.Do(by, s, thread.Delete{MessageID: m.ID, Revision: new(uint64(1))})[0]
			w.Idle(by, s, thread.Delete{MessageID: m.ID, Revision: new(uint64(1))})
			w.Idle(citra, s, thread.Delete{MessageID: m.ID})
			want := thread.Posted{N: 1, Later: thread.Later{Revision: 2, DeletedAtMS: gone.At.Milli()}}
			if now := w.Event(s, m.Seq); now.Content != nil || !reflect.DeepEqual(now.Data, want) {
				t.Fatalf("the tombstone is %+v %+v", now.Data, now.Content)
			}
			if w.Event(s, edit.Seq).Content != nil {
				t.Fatal("the edit still has its text")
			}
			if w.Doc(thread.DeletedKey("t", 1)) != (gotong.Entry{ID: m.ID.String()}) {
				t.Fatal("the ordinal is not marked")
			}
			if o, _ := w.Doc(thread.OverlayKey("t", m.Seq)).(thread.Overlay); o.EditSeq != 0 || o.Reactions != nil {
				t.Fatalf("the overlay keeps %+v", o)
			}
		})
	}
}

func TestAFormerMemberDeletesNothing(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, dewiJoins(w), "Halo")
	w.Do(dewi, s, thread.Leave{})
	w.Refuse(dewi, s, thread.Delete{MessageID: m.ID}, gotong.CodeForbidden)
}

func dewiJoins(w *world) gotong.Actor { w.Do(dewi, s, thread.Join{}); return dewi }

func TestReactionsAreSetAndTakenBackOnce(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, ani, "Halo")
	react := func(emoji string, on bool) thread.React { return thread.React{MessageID: m.ID, Emoji: emoji, On: on} }
	w.Refuse(dewi, s, react("👍", true), gotong.CodeForbidden)
	w.Refuse(mod, s, react("👍", true), gotong.CodeForbidden)
	w.Idle(citra, s, react("👍", false))
	w.Do(citra, s, react("👍", true))
	w.Idle(citra, s, react("👍", true))
	w.Do(budi, s, react("👍", true))
	w.Do(budi, s, react("🎉", true))
	want := map[string][]string{"👍": {"citra", "budi"}, "🎉": {"budi"}}
	if got := w.Event(s, m.Seq).Data.(thread.Posted).Reactions; !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	w.Do(budi, s, react("🎉", false))
	w.Do(budi, s, react("👍", false))
	w.Do(citra, s, react("👍", false))
	if w.Doc(thread.OverlayKey("t", m.Seq)) != nil {
		t.Fatal("an overlay of nothing")
	}
	w.Do(ani, s, thread.Delete{MessageID: m.ID})
	w.Refuse(citra, s, react("👍", true), gotong.CodeTargetDeleted)
	w.Refuse(citra, s, react("👍", false), gotong.CodeTargetDeleted)
}

func TestReactionsOfOneMessageAreBounded(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := post(w, ani, "Halo")
	for i := range thread.MaxEmoji {
		w.Do(ani, s, thread.React{MessageID: m.ID, Emoji: string(rune('🌀' + i)), On: true})
	}
	w.Refuse(ani, s, thread.React{MessageID: m.ID, Emoji: "👍", On: true}, gotong.CodeConflict)
	w.Do(citra, s, thread.React{MessageID: m.ID, Emoji: "🌀", On: true})
	w.Do(ani, s, thread.React{MessageID: m.ID, Emoji: "🌁", On: false})
	w.Do(ani, s, thread.React{MessageID: m.ID, Emoji: "👍", On: true})
}

// The bound on all reactions is tested on the rule alone: a thousand members
// would take the world, which checks everything after each command, too long.
func TestAMessageHasAtMost1000Reactions(t *testing.T) {
	kind := thread.Kind()
	state := gotong.NewState(s, gotong.Head{Seq: 2, Count: 1}).WithSight(func(gotong.Event) bool { return true })
	id := gotong.NewEventID(1, 1)
	full := thread.Overlay{MessageID: id, N: 1, Reactions: map[string][]thread.Reaction{}}
	for i := range thread.MaxReactions {
		full.Reactions["👍"] = append(full.Reactions["👍"], thread.Reaction{UserID: fmt.Sprint("user-", i), Seq: 3})
	}
	state.SetDoc(thread.ThreadKey("t"), thread.Thread{
		Privacy: thread.Public, Members: thread.Own, History: []thread.PolicyChange{{Seq: 1, Policy: thread.All}},
	})
	state.SetDoc(thread.MemberKey("t", "ani"), thread.Member{
		Membership: gotong.Membership{Role: "member", JoinedAt: 1, Stretches: []gotong.Stretch{{From: 1}}},
	})
	state.SetDoc(thread.OverlayKey("t", 2), full)
	state.SetEvent(id, gotong.Event{Stream: s, Seq: 2, ID: id, Type: thread.EvPosted, Count: 1, Data: thread.Posted{N: 1}})
	cmd := gotong.Command{Stream: s, Actor: ani, Data: thread.React{MessageID: id, Emoji: "👍", On: true}}
	if _, err := kind.Decide(state, cmd); gotong.CodeOf(err) != gotong.CodeConflict {
		t.Fatalf("got %v", err)
	}
	cmd.Actor, cmd.Data = communitytest.User("user-7"), thread.React{MessageID: id, Emoji: "👍"}
	state.SetDoc(thread.MemberKey("t", "user-7"), thread.Member{
		Membership: gotong.Membership{Role: "member", JoinedAt: 1, Stretches: []gotong.Stretch{{From: 1}}},
	})
	if d, err := kind.Decide(state, cmd); err != nil || len(d.Facts) != 1 {
		t.Fatalf("taking one off: %v %v", d, err)
	}
}

// A member who came back under from_join cannot touch what they cannot see, be
// the members the thread's own or borrowed.
func TestCommandsOnMessagesOutOfSightFindNothing(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, thread.Policy) comings{"own": own, "home": home} {
		t.Run(name, func(t *testing.T) {
			c := begin(t, thread.FromJoin)
			w := c.world
			c.add()
			seen, mine := post(w, ani, "seen"), post(w, citra, "mine")
			c.remove()
			unseen := post(w, ani, "unseen")
			c.add()
			w.Do(citra, s, thread.Post{Body: "x", ReplyTo: seen.ID})
			w.Do(citra, s, thread.React{MessageID: seen.ID, Emoji: "👍", On: true})
			w.Do(citra, s, thread.Edit{MessageID: mine.ID, Body: "still mine"})
			for _, command := range []any{
				thread.Post{Body: "x", ReplyTo: unseen.ID}, thread.React{MessageID: unseen.ID, Emoji: "👍", On: true},
				thread.Edit{MessageID: unseen.ID, Body: "x"}, thread.Delete{MessageID: unseen.ID},
			} {
				w.Refuse(citra, s, command, gotong.CodeNotFound)
			}
			if name == "own" { // where all may know of it, a platform moderator acts on the whole thread
				w.Do(ani, s, thread.Add{UserID: "budi", Role: thread.Admin})
				w.Refuse(budi, s, thread.Delete{MessageID: unseen.ID}, gotong.CodeNotFound)
			}
		})
	}
	w := staffed(t, thread.Public, thread.FromJoin)
	w.Do(mod, s, thread.Delete{MessageID: post(w, ani, "x").ID}) // who moderates the platform acts on the whole thread
}

// What an eraser takes from an event does not come back through an overlay,
// and what an edit holds is shown although the first text is gone. An edit that
// the viewer does not see takes the older text with it.
func TestAnErasedTextIsNotShownAgain(t *testing.T) {
	kind := thread.Kind()
	e := gotong.Event{Stream: s, Seq: 2, Type: thread.EvPosted, Data: thread.Posted{N: 1}}
	seen := gotong.Later{Sees: func(uint64) bool { return true }}
	o := thread.Overlay{N: 1, Reactions: map[string][]thread.Reaction{"👍": {{UserID: "ani", Seq: 3}}}}
	if got := kind.Overlay(e, o, seen); got.Content != nil {
		t.Fatalf("got %+v", got.Content)
	}
	o.Revision, o.EditSeq = 1, 4
	seen.Text = &gotong.Event{Seq: 4, Content: thread.NewText{Body: "new"}}
	if got := kind.Overlay(e, o, seen); !reflect.DeepEqual(got.Content, thread.Text{Body: "new"}) {
		t.Fatalf("got %+v", got.Content)
	}
	e.Content, seen.Text = thread.Text{Body: "old"}, &gotong.Event{Seq: 4}
	if got := kind.Overlay(e, o, seen); got.Content != nil || got.Data.(thread.Posted).Withheld {
		t.Fatalf("of an erased edit got %+v %+v", got.Data, got.Content)
	}
	seen.Text = nil
	if got := kind.Overlay(e, o, seen); got.Content != nil || !got.Data.(thread.Posted).Withheld {
		t.Fatalf("of an edit out of sight got %+v %+v", got.Data, got.Content)
	}
	if got := kind.Overlay(e, nil, seen); !reflect.DeepEqual(got, e) {
		t.Fatalf("no overlay changes nothing, got %+v", got)
	}
}

func TestADeletedMessageIsEncodedWithoutText(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m := w.Do(ani, s, thread.Post{Body: "Halo"})[0]
	gone := w.Do(ani, s, thread.Delete{MessageID: m.ID})[0]
	b, err := json.Marshal(w.Event(s, m.Seq).Data)
	want := fmt.Sprintf(`{"n":1,"revision":1,"deleted_at_ms":%d}`, gone.At.Milli())
	if err != nil || string(b) != want {
		t.Fatalf("got %s %v, want %s", b, err, want)
	}
}

// BenchmarkPost is the rules' share of a post: needs, decision, projection.
func BenchmarkPost(b *testing.B) {
	kind := thread.Kind()
	state := gotong.NewState(s, gotong.Head{Seq: 2, Count: 1})
	state.SetDoc(thread.ThreadKey("t"), thread.Thread{
		Privacy: thread.Public, Members: thread.Own, History: []thread.PolicyChange{{Seq: 1, Policy: thread.All}},
	})
	state.SetDoc(thread.MemberKey("t", "ani"), thread.Member{
		Membership: gotong.Membership{Role: "member", JoinedAt: 1, Stretches: []gotong.Stretch{{From: 1}}},
	})
	cmd := gotong.Command{Stream: s, Actor: ani, Data: thread.Post{Body: "Halo semuanya"}, At: 5}
	b.ReportAllocs()
	for b.Loop() {
		kind.Needs(state, cmd)
		d, err := kind.Decide(state, cmd)
		if err != nil {
			b.Fatal(err)
		}
		kind.Project(state, gotong.Event{Stream: s, Seq: 3, Type: thread.EvPosted, Data: d.Facts[0].Data})
	}
}

// All that a member's post needs is known before anything is read: a node that
// does not have the thread in memory takes one read.
func TestAPostNeedsOneRead(t *testing.T) {
	kind, cmd := thread.Kind(), gotong.Command{Stream: s, Actor: ani, Data: thread.Post{Body: "x"}}
	state := gotong.NewState(s, gotong.Head{})
	docs := map[gotong.Key]any{
		thread.ThreadKey("t"): thread.Thread{
			Privacy: thread.Public, Members: thread.Own, Home: "scope/rt05", History: []thread.PolicyChange{{Seq: 1, Policy: thread.All}},
		},
		thread.MemberKey("t", "ani"): thread.Member{
			Membership: gotong.Membership{Role: "member", JoinedAt: 1, Stretches: []gotong.Stretch{{From: 1}}},
		},
	}
	for _, r := range kind.Needs(state, cmd) {
		state.SetDoc(r.Key, docs[r.Key])
	}
	if missing := state.Missing(kind.Needs(state, cmd)); len(missing) > 0 {
		t.Errorf("then it needs %v", missing)
	}
}
