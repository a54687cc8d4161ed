package thread_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

// sees is the bodies that a viewer gets of the thread, oldest first.
func sees(w *world, a gotong.Actor) []string {
	var bodies []string
	for _, e := range w.History(s, viewer(a)) {
		if text, ok := e.Content.(thread.Text); ok {
			bodies = append(bodies, text.Body)
		}
	}
	return bodies
}

func want(t *testing.T, w *world, a gotong.Actor, bodies ...string) {
	t.Helper()
	if got := sees(w, a); !slices.Equal(got, bodies) {
		t.Errorf("%s sees %q, want %q", a.UserID, got, bodies)
	}
}

// comings is how citra comes and goes, in the thread itself or in its home.
type comings struct {
	world   *world
	add     func()
	remove  func()
	removal func() gotong.Stream
}

func own(t *testing.T, h thread.Policy) comings {
	t.Helper()
	w := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind())
	w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Private, History: h})
	return comings{
		world:   w,
		add:     func() { w.Do(ani, s, thread.Add{UserID: "citra"}) },
		remove:  func() { w.Do(ani, s, thread.Remove{UserID: "citra"}) },
		removal: func() gotong.Stream { return s },
	}
}

func home(t *testing.T, h thread.Policy) comings {
	t.Helper()
	w := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind())
	w.Do(ani, g, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
	w.Do(ani, s, thread.Create{ScopeID: in, Privacy: thread.Private, History: h, Members: thread.Home})
	return comings{
		world:   w,
		add:     func() { w.Do(ani, g, group.Add{UserID: "citra"}) },
		remove:  func() { w.Do(ani, g, group.Remove{UserID: "citra"}) },
		removal: func() gotong.Stream { return g },
	}
}

func TestMembersSeeWhatThePolicyAndTheirMembershipsAllow(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, thread.Policy) comings{"own": own, "home": home} {
		t.Run(name, func(t *testing.T) {
			t.Run("all", func(t *testing.T) { everything(t, begin(t, thread.All)) })
			t.Run("from join", func(t *testing.T) { fromJoin(t, begin(t, thread.FromJoin)) })
			t.Run("changing", func(t *testing.T) { changing(t, begin(t, thread.FromJoin)) })
			t.Run("removal", func(t *testing.T) { removal(t, begin(t, thread.All)) })
		})
	}
}

func everything(t *testing.T, c comings) {
	t.Helper()
	post(c.world, ani, "1")
	want(t, c.world, citra)
	c.add()
	post(c.world, ani, "2")
	want(t, c.world, citra, "1", "2")
	c.remove()
	post(c.world, ani, "3")
	want(t, c.world, citra)
	c.add()
	want(t, c.world, citra, "1", "2", "3")
}

func fromJoin(t *testing.T, c comings) {
	t.Helper()
	post(c.world, ani, "1")
	c.add()
	want(t, c.world, citra)
	post(c.world, ani, "2")
	want(t, c.world, citra, "2")
	c.remove()
	post(c.world, ani, "3")
	want(t, c.world, citra)
	c.add()
	post(c.world, ani, "4")
	want(t, c.world, citra, "2", "4")
	want(t, c.world, ani, "1", "2", "3", "4")
}

// The policy of the moment of the commit holds for ever.
func changing(t *testing.T, c comings) {
	t.Helper()
	w := c.world
	post(w, ani, "closed 1")
	w.Do(ani, s, thread.SetHistory{Policy: thread.All})
	post(w, ani, "open 1")
	c.add()
	post(w, ani, "open 2")
	w.Do(ani, s, thread.SetHistory{Policy: thread.FromJoin})
	post(w, ani, "closed 2")
	c.remove()
	post(w, ani, "closed 3")
	w.Do(ani, s, thread.SetHistory{Policy: thread.All})
	post(w, ani, "open 3")
	c.add()
	want(t, w, citra, "open 1", "open 2", "closed 2", "open 3")
	want(t, w, ani, "closed 1", "open 1", "open 2", "closed 2", "closed 3", "open 3")
}

// Contract D13: no event of the thread at a position at or beyond the
// removal's, not the removal itself.
func removal(t *testing.T, c comings) {
	t.Helper()
	w := c.world
	c.add()
	post(w, ani, "1")
	before := w.Access(s, viewer(citra))
	c.remove()
	post(w, ani, "2")
	last := w.Head(s).Seq
	after := w.Access(s, viewer(citra))
	at := w.Position(c.removal(), w.Head(c.removal()).Seq) // where the members are borrowed
	if c.removal() == s {
		at = w.Position(s, last-1)
	}
	for seq := uint64(1); seq <= last; seq++ {
		beyond := w.Position(s, seq) >= at
		if after.Sees(seq, "") || after.Sees(seq, gotong.ForUser("citra")) {
			t.Errorf("sees event %d after a removal at position %d", seq, at)
		}
		if !beyond && !before.Sees(seq, "") {
			t.Errorf("did not see event %d before", seq)
		}
	}
	if !before.Readable {
		t.Error("saw nothing before")
	}
	grant, _ := w.Grant(s, viewer(citra))
	if grant.Readable || knows(w, citra) {
		t.Error("a removed member of a private thread knows of it")
	}
	c.add()
	if !w.Access(s, viewer(citra)).Sees(last, "") {
		t.Error("who came back does not see what he saw")
	}
}

func TestAMemberHoldsTheirRoleAsAnAudience(t *testing.T) {
	w := staffed(t, thread.Public, "")
	for _, tc := range []struct {
		a     gotong.Actor
		roles []string
	}{{ani, []string{"owner", thread.Reviewer}}, {budi, []string{"admin", thread.Reviewer}}, {citra, []string{"member"}}} {
		if got := w.Access(s, viewer(tc.a)).Roles; !slices.Equal(got, tc.roles) {
			t.Errorf("%s holds %v", tc.a.UserID, got)
		}
	}
	w = lent(t, thread.Public, "")
	for _, tc := range []struct {
		a    gotong.Actor
		role string
	}{{ani, "admin"}, {budi, "admin"}, {citra, "owner"}} {
		if got := w.Access(s, viewer(tc.a)).Roles; !slices.Equal(got, []string{tc.role, thread.Reviewer}) {
			t.Errorf("%s holds %v", tc.a.UserID, got)
		}
	}
}

// A public thread is known to everybody and read by members only, whatever
// their platform role.
func TestOnlyMembersReadAPublicThread(t *testing.T) {
	w := staffed(t, thread.Public, "")
	for _, a := range []gotong.Actor{dewi, mod, boss} {
		grant, _ := w.Grant(s, viewer(a))
		if grant.Readable || !knows(w, a) {
			t.Errorf("%s: %+v", a.UserID, grant)
		}
	}
}

// A grant does not name what its other spans hold, so that reading it needs
// few look-ups.
func TestAGrantLeavesOutStretchesThatAreOpenToAll(t *testing.T) {
	w := staffed(t, thread.Public, thread.All)
	for range 3 {
		w.Do(citra, s, thread.Leave{})
		w.Do(citra, s, thread.Join{})
	}
	grant, _ := w.Grant(s, viewer(citra))
	if !slices.Equal(grant.Spans, []gotong.Span{{Stream: s}}) {
		t.Fatalf("got %+v", grant.Spans)
	}
}

// ofGroups is the rules of threads that may borrow the members of groups.
var ofGroups = thread.Rules{Lenders: gotong.Lenders{group.Kind()}}

func TestARoleInTheHomeGivesARoleInTheThread(t *testing.T) {
	ownMembers := thread.Thread{CreatedBy: "ani", Members: thread.Own}
	borrows := thread.Thread{CreatedBy: "ani", Members: thread.Home, Home: g, Lender: g}
	for _, tc := range []struct {
		t          thread.Thread
		user, role string
		want       thread.Role
	}{
		{ownMembers, "ani", "member", thread.MemberRole},
		{borrows, "ani", "anggota", thread.Owner},
		{borrows, "ani", "", ""},
		{borrows, "budi", string(group.Admin), thread.Admin},
		{borrows, "budi", string(group.Moderator), thread.Admin},
		{borrows, "budi", string(group.Anggota), thread.MemberRole},
		{borrows, "budi", "owner", ""},
	} {
		if got := ofGroups.RoleIn(tc.t, tc.user, tc.role); got != tc.want {
			t.Errorf("%s as %q: %q, want %q", tc.user, tc.role, got, tc.want)
		}
	}
	if thread.Chain(ownMembers, s)[0] != s || thread.Chain(borrows, s)[0] != g {
		t.Error("governed by another stream")
	}
}

// told is what a viewer gets of a message: its text, or why there is none.
func told(w *world, a gotong.Actor, id gotong.EventID) string {
	for _, e := range w.History(s, viewer(a)) {
		posted, ok := e.Data.(thread.Posted)
		text, has := e.Content.(thread.Text)
		switch {
		case !ok || e.ID != id:
		case posted.DeletedAtMS > 0:
			return "deleted"
		case posted.Withheld && !has:
			return fmt.Sprint("withheld ", posted.Reactions["👍"])
		default:
			return fmt.Sprint(text.Body, " ", posted.Reactions["👍"])
		}
	}
	return "unknown"
}

// What an event says about another is visible where both are.
func TestAnEventAboutAnotherIsSeenOnlyWithIt(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, thread.Policy) comings{"own": own, "home": home} {
		t.Run(name, func(t *testing.T) {
			t.Run("of an unseen message", func(t *testing.T) { aboutUnseen(t, begin(t, thread.FromJoin)) })
			t.Run("unseen, of a seen message", func(t *testing.T) { unseenAbout(t, begin(t, thread.All)) })
		})
	}
}

func aboutUnseen(t *testing.T, c comings) {
	t.Helper()
	w := c.world
	m := post(w, ani, "before")
	c.add()
	w.Do(ani, s, thread.Edit{MessageID: m.ID, Body: "secret"})
	w.Do(ani, s, thread.React{MessageID: m.ID, Emoji: "👍", On: true})
	w.Do(ani, s, thread.Delete{MessageID: m.ID, Revision: new(uint64(1))})
	for _, e := range w.History(s, viewer(citra)) {
		if e.Type != thread.EvAdded {
			t.Errorf("is told of %s %d", e.Type, e.Seq)
		}
	}
}

func unseenAbout(t *testing.T, c comings) {
	t.Helper()
	w := c.world
	edited, deleted, reacted := post(w, ani, "old"), post(w, ani, "gone"), post(w, ani, "liked")
	w.Do(ani, s, thread.Edit{MessageID: reacted.ID, Body: "liked again"})
	w.Do(ani, s, thread.React{MessageID: reacted.ID, Emoji: "👍", On: true})
	w.Do(ani, s, thread.SetHistory{Policy: thread.FromJoin})
	w.Do(ani, s, thread.Edit{MessageID: edited.ID, Body: "secret"})
	w.Do(ani, s, thread.React{MessageID: edited.ID, Emoji: "👍", On: true})
	w.Do(ani, s, thread.Delete{MessageID: deleted.ID})
	c.add()
	w.Do(citra, s, thread.React{MessageID: edited.ID, Emoji: "👍", On: true})
	for _, tt := range []struct {
		id   gotong.EventID
		want string
	}{{edited.ID, "withheld [citra]"}, {deleted.ID, "deleted"}, {reacted.ID, "liked again [ani]"}} {
		if got := told(w, citra, tt.id); got != tt.want {
			t.Errorf("citra gets %q, want %q", got, tt.want)
		}
	}
	if got := told(w, ani, edited.ID); got != "secret [ani citra]" {
		t.Errorf("ani gets %q", got)
	}
	w.Do(ani, s, thread.Edit{MessageID: edited.ID, Revision: 1, Body: "for all of us"})
	if got := told(w, citra, edited.ID); got != "for all of us [citra]" {
		t.Errorf("after another edit citra gets %q", got)
	}
}

// No document holds what somebody said: it is read from its event, where it is
// verified, erased and judged.
func TestDocumentsHoldNoText(t *testing.T) {
	w := staffed(t, thread.Public, "")
	m, gone := post(w, ani, "rahasia one"), post(w, ani, "rahasia two")
	w.Do(ani, s, thread.Edit{MessageID: m.ID, Body: "rahasia three"})
	w.Do(ani, s, thread.Edit{MessageID: m.ID, Revision: 1, Body: "rahasia four"})
	w.Do(budi, s, thread.React{MessageID: m.ID, Emoji: "👍", On: true})
	w.Do(ani, s, thread.Edit{MessageID: gone.ID, Body: "rahasia five"})
	w.Do(ani, s, thread.Delete{MessageID: gone.ID, Revision: new(uint64(1))})
	found := 0
	for _, collection := range []string{thread.Threads, thread.Members, thread.Overlays, thread.Deletions} {
		for _, k := range w.Keys(collection, s.ID()) {
			found++
			if b, err := json.Marshal(w.Doc(k)); err != nil || strings.Contains(string(b), "rahasia") {
				t.Errorf("%v holds %s (%v)", k, b, err)
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d documents", found)
	}
}
