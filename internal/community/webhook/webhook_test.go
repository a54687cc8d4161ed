package webhook_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/community/webhook"
)

const (
	rt     = gotong.Stream("group/ent-rt")
	other  = gotong.Stream("group/ent-other")
	hook   = gotong.Stream("webhook/whk-1")
	open   = gotong.Stream("thread/open")
	inner  = gotong.Stream("thread/inner")
	far    = gotong.Stream("thread/far")
	affair = gotong.Stream("case/case-1")
)

var (
	wati, budi, siti = communitytest.User("wati"), communitytest.User("budi"), communitytest.User("siti")
	boss             = communitytest.Admin("boss")
	viewer           = gotong.Viewer{UserID: "whk-1", Role: gotong.RoleWebhook}
)

// village returns a group of wati, an admin, and of budi and siti, with a public and
// a private thread and a case of budi, and another group.
func village(t *testing.T) *communitytest.World {
	t.Helper()
	kinds := []gotong.Kind{user.Kind(), group.Kind()}
	kinds = append(kinds, cases.Rules{Lenders: gotong.LendersOf(kinds), Tracks: cases.BuiltIn()}.Kind())
	lenders := gotong.LendersOf(kinds)
	kinds = append(kinds, thread.Kind(lenders...), webhook.Rules{Lenders: lenders}.Kind())
	for i := range kinds {
		kinds[i] = gotong.WithWebhooks(kinds[i], gotong.AnyIssuer)
	}
	w := communitytest.Run(t, kinds...)
	for _, g := range []gotong.Stream{rt, other} {
		w.Do(wati, g, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	}
	w.Do(budi, rt, group.Join{})
	w.Do(siti, rt, group.Join{})
	w.Do(budi, open, thread.Create{ScopeID: "ent-rt", Privacy: thread.Public})
	w.Do(budi, inner, thread.Create{ScopeID: "ent-rt", Privacy: thread.Private})
	w.Do(wati, far, thread.Create{ScopeID: "ent-other", Privacy: thread.Public})
	w.Do(budi, affair, cases.Create{ScopeID: "ent-rt", Track: "tuntaskan", Title: "Jembatan", Privacy: cases.Public})
	return w
}

func say(w *communitytest.World, s gotong.Stream) uint64 {
	who := budi
	if s == far {
		who = wati
	}
	return w.Do(who, s, thread.Post{Body: "halo"})[0].Seq
}

// sees compares what the webhook sees of an event.
func sees(t *testing.T, w *communitytest.World, s gotong.Stream, seq uint64, want bool) {
	t.Helper()
	if got := w.Access(s, viewer).Sees(seq, ""); got != want {
		t.Errorf("%s %d: %v, want %v", s, seq, got, want)
	}
}

func TestRegisterIsForAdminsOfTheGroup(t *testing.T) {
	w := village(t)
	for actor, code := range map[gotong.Actor]gotong.Code{budi: gotong.CodeNotFound, boss: gotong.CodeNotFound, gotong.Anonymous(): gotong.CodeUnauthorized} {
		w.Refuse(actor, hook, webhook.Register{ScopeID: "ent-rt"}, code)
	}
	w.Do(wati, hook, webhook.Register{ScopeID: "ent-rt"})
	w.Refuse(wati, hook, webhook.Register{ScopeID: "ent-rt"}, gotong.CodeConflict)
	w.Refuse(wati, "webhook/whk-2", webhook.Register{ScopeID: "kampung"}, gotong.CodeForbidden)
	w.Do(boss, "webhook/whk-2", webhook.Register{ScopeID: "kampung"})
	for _, c := range []any{webhook.Update{URL: true}, webhook.Rotate{}, webhook.Disable{}, webhook.Enable{}, webhook.End{}, webhook.TakeOver{}} {
		w.Refuse(budi, hook, c, gotong.CodeNotFound)
		w.Refuse(boss, hook, c, gotong.CodeNotFound)
		w.Refuse(wati, "webhook/whk-2", c, gotong.CodeNotFound)
	}
	if w.Access(hook, gotong.Viewer(budi)).Readable || !w.Access(hook, gotong.Viewer(wati)).Readable {
		t.Error("others read the webhook, or its admin does not")
	}
}

// TestAWebhookSeesWhatItsPlaceShows walks through all that a webhook may come to see,
// and all that it may not.
func TestAWebhookSeesWhatItsPlaceShows(t *testing.T) {
	w := village(t)
	before := say(w, open)
	w.Do(wati, hook, webhook.Register{ScopeID: "ent-rt"})
	inOpen, inInner, inFar := say(w, open), say(w, inner), say(w, far)
	sees(t, w, open, before, false)
	sees(t, w, open, inOpen, true)
	sees(t, w, inner, inInner, false)
	sees(t, w, far, inFar, false)
	sees(t, w, rt, w.Head(rt).Seq, false) // from before it was registered
	w.Do(wati, rt, group.Update{Name: new("RT 05")})
	sees(t, w, rt, w.Head(rt).Seq, true)
	if w.Access(rt, viewer).Sees(w.Head(rt).Seq, gotong.ForRole(group.Managing)) || w.Access(rt, viewer).Sees(w.Head(rt).Seq, gotong.ForUser("wati")) {
		t.Error("a webhook sees what is not for everybody")
	}
	for _, s := range []gotong.Stream{"user/wati", hook, affair} {
		sees(t, w, s, 1, false)
	}

	w.Refuse(siti, inner, gotong.AddWebhook{WebhookID: "whk-1"}, gotong.CodeNotFound)
	w.Refuse(wati, inner, gotong.AddWebhook{WebhookID: "whk-1"}, gotong.CodeNotFound) // an admin of the group, but no member
	w.Do(budi, inner, thread.Add{UserID: "boss"})
	w.Refuse(boss, inner, gotong.AddWebhook{WebhookID: "whk-1"}, gotong.CodeForbidden) // who may only remove it
	w.Do(boss, inner, thread.Leave{})
	w.Refuse(siti, affair, gotong.AddWebhook{WebhookID: "whk-1"}, gotong.CodeForbidden)
	w.Refuse(wati, far, gotong.AddWebhook{WebhookID: "whk-1"}, gotong.CodeNotFound) // of another group
	for s, remove := range map[gotong.Stream]any{inner: thread.Remove{UserID: "whk-1"}, affair: cases.Remove{UserID: "whk-1"}} {
		w.Refuse(budi, s, gotong.AddWebhook{WebhookID: "whk-none"}, gotong.CodeNotFound)
		w.Do(budi, s, gotong.AddWebhook{WebhookID: "whk-1"})
		w.Idle(budi, s, gotong.AddWebhook{WebhookID: "whk-1"})
		sees(t, w, s, w.Head(s).Seq-1, false)
		sees(t, w, s, w.Head(s).Seq, true)
		for _, actor := range []gotong.Actor{wati, siti, gotong.Anonymous()} {
			if _, err := w.Try(actor, s, remove); err == nil {
				t.Errorf("%q removed it from %s", actor.UserID, s)
			}
		}
		if e := w.Do(budi, s, remove); len(e) != 1 || e[0].Type != gotong.EvWebhookRemoved {
			t.Errorf("the removal made %v", e)
		}
		w.Idle(budi, s, remove)
		if w.Access(s, viewer).Readable {
			t.Errorf("%s is read after the removal", s)
		}
	}
	w.Do(budi, "thread/lent", thread.Create{ScopeID: "ent-rt", Privacy: thread.Private, Members: thread.Home})
	w.Do(budi, "thread/lent", gotong.AddWebhook{WebhookID: "whk-1"})
	if e := w.Do(wati, "thread/lent", thread.Remove{UserID: "whk-1", Ban: gotong.Ban{Ever: true}}); e[0].Type != gotong.EvWebhookRemoved {
		t.Errorf("the removal by an admin of the group made %v", e)
	}
	if n := w.Doc(thread.ThreadKey("inner")).(thread.Thread).Roster.Members; n != 1 {
		t.Errorf("a webhook counts as a member: %d", n)
	}
}

// TestAPrivateThreadOfTwo: nobody but its owner brings a webhook into a conversation of
// two, whatever they are elsewhere, and only one that its group has at that moment. Once
// nobody is there any more, it sees nothing and none is added.
func TestAPrivateThreadOfTwo(t *testing.T) {
	const two, late, foreign, lapsed = gotong.Stream("thread/two"), "whk-late", "whk-foreign", "whk-lapsed"
	add := func(id string) gotong.AddWebhook { return gotong.AddWebhook{WebhookID: id} }
	w := village(t)
	w.Do(wati, rt, group.SetRole{UserID: "siti", Role: group.Admin})
	w.Do(wati, hook, webhook.Register{ScopeID: "ent-rt"})
	w.Do(wati, "webhook/"+foreign, webhook.Register{ScopeID: "ent-other"})
	w.Do(siti, "webhook/"+lapsed, webhook.Register{ScopeID: "ent-rt"})
	w.Do(wati, rt, group.SetRole{UserID: "siti", Role: group.Anggota})
	w.Do(wati, "webhook/"+late, webhook.Register{ScopeID: "ent-rt"})
	w.Do(wati, "webhook/"+late, webhook.End{})
	w.Do(budi, two, thread.Create{ScopeID: "ent-rt", Privacy: thread.Private})
	w.Do(budi, two, thread.Add{UserID: "siti"})
	secret := say(w, two)
	for _, id := range []string{"whk-1", foreign, late, lapsed, "whk-none"} {
		for actor, code := range map[gotong.Actor]gotong.Code{
			wati: gotong.CodeNotFound, boss: gotong.CodeNotFound, gotong.Anonymous(): gotong.CodeNotFound, siti: gotong.CodeForbidden,
		} {
			w.Refuse(actor, two, add(id), code)
			w.Refuse(actor, two, thread.Remove{UserID: id}, map[bool]gotong.Code{true: gotong.CodeUnauthorized, false: code}[actor == gotong.Anonymous()])
		}
		if id != "whk-1" {
			w.Refuse(budi, two, add(id), gotong.CodeNotFound)
		}
		sees(t, w, two, secret, false)
	}
	w.Do(budi, two, add("whk-1"))
	w.Refuse(wati, two, thread.Remove{UserID: "whk-1"}, gotong.CodeNotFound) // its registrant, who is no member
	sees(t, w, two, secret, false)
	sees(t, w, two, say(w, two), true)
	w.Do(budi, two, thread.SetRole{UserID: "siti", Role: thread.Owner})
	w.Do(budi, two, thread.Leave{})
	w.Do(siti, two, thread.Leave{})
	for _, actor := range []gotong.Actor{budi, siti, wati} {
		w.Refuse(actor, two, add("whk-1"), gotong.CodeNotFound)
		if _, err := w.Try(actor, two, thread.Post{Body: "halo"}); err == nil {
			t.Errorf("%s writes to a thread without members", actor.UserID)
		}
	}
	w.Do(wati, hook, webhook.End{})
	sees(t, w, two, w.Head(two).Seq, false)
}

// TestItEndsWithTheRightOfItsRegistrant: whatever takes the right away.
func TestItEndsWithTheRightOfItsRegistrant(t *testing.T) {
	for name, lose := range map[string]func(w *communitytest.World){
		"role":    func(w *communitytest.World) { w.Do(siti, rt, group.SetRole{UserID: "wati", Role: group.Anggota}) },
		"removed": func(w *communitytest.World) { w.Do(siti, rt, group.Remove{UserID: "wati"}) },
		"left":    func(w *communitytest.World) { w.Do(wati, rt, group.Leave{}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := village(t)
			w.Do(wati, rt, group.SetRole{UserID: "siti", Role: group.Admin})
			w.Do(wati, hook, webhook.Register{ScopeID: "ent-rt"})
			w.Do(budi, inner, gotong.AddWebhook{WebhookID: "whk-1"})
			first, said := say(w, open), say(w, inner)
			w.Idle(communitytest.System(), hook, webhook.End{Why: webhook.Lapsed}) // too early
			lose(w)
			for _, s := range []gotong.Stream{open, inner, rt} {
				if w.Access(s, viewer).Readable {
					t.Errorf("%s is still read", s)
				}
			}
			w.Do(communitytest.System(), hook, webhook.End{Why: webhook.Lapsed})
			missed, unheard := say(w, open), say(w, inner)
			w.Refuse(siti, hook, webhook.Enable{}, gotong.CodeConflict)
			w.Do(siti, hook, webhook.TakeOver{})
			later, heard := say(w, open), say(w, inner)
			sees(t, w, open, first, true)
			sees(t, w, open, missed, false)
			sees(t, w, open, later, true)
			sees(t, w, inner, said, true)
			sees(t, w, inner, unheard, false)
			sees(t, w, inner, heard, true)
			w.Do(siti, hook, webhook.End{})
			w.Refuse(siti, hook, webhook.TakeOver{}, gotong.CodeConflict)
			if w.Access(open, viewer).Readable {
				t.Error("a removed webhook reads")
			}
		})
	}
}

// TestTakenOverInTime: a webhook whose registrant changes before the old one goes
// misses nothing.
func TestTakenOverInTime(t *testing.T) {
	w := village(t)
	w.Do(wati, rt, group.SetRole{UserID: "siti", Role: group.Admin})
	w.Do(wati, hook, webhook.Register{ScopeID: "ent-rt"})
	w.Do(siti, hook, webhook.TakeOver{})
	w.Do(wati, rt, group.Leave{})
	sees(t, w, open, say(w, open), true)
}
