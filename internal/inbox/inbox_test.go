package inbox_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/store"
)

// all returns everything that a user's inbox shows, as text.
func (w *world) everything(a gotong.Actor) string {
	w.Helper()
	var b strings.Builder
	for _, s := range w.list(0, a, false) {
		event := s.Event
		s.Event = nil
		fmt.Fprintf(&b, "%+v\n", s)
		if event != nil {
			fmt.Fprintf(&b, "%+v\n", event.Event)
		}
	}
	return b.String()
}

// TestARemovalShowsItsDateAlone: after a removal, nothing of the thread or group is
// shown: no id, no name, no text, nobody's id. Only the text of a message of one's own
// remains, with the decision about it.
func TestARemovalShowsItsDateAlone(t *testing.T) {
	for _, tc := range []struct {
		name   string
		s      gotong.Stream
		remove func(w *world)
	}{
		{"own members", own, func(w *world) { w.do(ani, own, thread.CmdRemove, thread.Remove{UserID: "budi"}) }},
		{"borrowed members", lent, func(w *world) { w.do(ani, rt, group.CmdRemove, group.Remove{UserID: "budi"}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(ani, own, thread.CmdAdd, thread.Add{UserID: "budi"})
			w.do(ani, rt, group.CmdAdd, group.Add{UserID: "budi", Role: group.Anggota})
			mine := w.post(budi, tc.s, "KENARI-budi")
			w.do(ani, tc.s, thread.CmdPost, thread.Post{Body: "KENARI-balas", ReplyTo: mine.EventIDs[0]})
			w.post(ani, tc.s, "KENARI-sebut @budi @here")
			w.do(ani, tc.s, thread.CmdPost, thread.Post{Body: "KENARI-siaga", Siaga: true})
			w.do(ani, tc.s, thread.CmdReview, thread.Review{MessageID: mine.EventIDs[0], Decision: thread.Hold})
			before := w.everything(budi)
			for _, canary := range []string{"KENARI-budi", "KENARI-balas", "KENARI-sebut", "KENARI-siaga", string(tc.s)} {
				if !strings.Contains(before, canary) {
					t.Errorf("a member is not shown %s:\n%s", canary, before)
				}
			}
			tc.remove(w)
			if first := w.list(1, budi, true)[0]; first != (inbox.Shown{ID: first.ID, Kind: inbox.Removed, At: w.clock.Now()}) {
				t.Errorf("got %+v", first)
			}
			after := w.everything(budi)
			gone := []string{"KENARI-balas", "KENARI-sebut", "KENARI-siaga", string(tc.s), map[gotong.Stream]string{own: "Arisan", lent: "Ronda"}[tc.s]}
			for _, canary := range gone {
				if strings.Contains(after, canary) {
					t.Errorf("after the removal, %s is shown:\n%s", canary, after)
				}
			}
			if !strings.Contains(after, "KENARI-budi") {
				t.Errorf("a decision does not show one's own text:\n%s", after)
			}
			w.rebuilt()
		})
	}
}

// TestAnOpenInvitationIsAClosedView: while it is open, the invitee of a group that
// nobody may know is shown its name and description and who invited; later nothing.
func TestAnOpenInvitationIsAClosedView(t *testing.T) {
	w := newWorld(t)
	const hidden = gotong.Stream("group/ent-hidden")
	w.do(ani, hidden, group.CmdCreate, group.Create{Name: "Rahasia", Description: "Isi", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
	w.do(ani, hidden, group.CmdInvite, group.Invite{UserID: "budi"})
	got := w.list(0, budi, true)
	if len(got) != 1 || got[0].Title != "Rahasia" || got[0].Description != "Isi" || got[0].By != "ani" || got[0].Event != nil ||
		got[0].UntilMS != w.clock.Now().Add(group.InvitationLife).Milli() {
		t.Fatalf("got %+v", got)
	}
	mine := gotong.NewStream(user.Name, "budi")
	w.do(budi, mine, user.CmdBlock, user.Block{UserID: "ani"})
	if list := w.list(0, budi, true); len(list) != 0 {
		t.Errorf("the invitation by a blocked user is shown: %+v", list)
	}
	w.do(budi, mine, user.CmdUnblock, user.Unblock{UserID: "ani"})
	w.clock.Pass(group.InvitationLife)
	if list := w.list(0, budi, true); len(list) != 0 {
		t.Errorf("the invitation is over and shown: %+v", list)
	}
	w.do(ani, hidden, group.CmdInvite, group.Invite{UserID: "budi"}) // again: shown once
	if list := w.list(0, budi, true); len(list) != 1 {
		t.Errorf("got %+v", list)
	}
	w.do(budi, hidden, group.CmdDecline, group.Decline{})
	if list := w.list(0, budi, false); len(list) != 0 {
		t.Errorf("got %+v", list)
	}
}

// TestADeclinedRequestNamesAGroupThatOneMayKnow, and after the group admits by invitation
// alone, which group it was is left out.
func TestADeclinedRequestNamesAGroupThatOneMayKnow(t *testing.T) {
	w := newWorld(t)
	const asked = gotong.Stream("group/ent-asked")
	w.do(ani, asked, group.CmdCreate, group.Create{Name: "Rahasia", EntityType: group.Kelompok, JoinPolicy: group.Persetujuan})
	seq := w.do(budi, asked, group.CmdAsk, group.Ask{}).First
	w.do(ani, asked, group.CmdReject, group.Reject{RequestID: group.RequestID(seq)})
	want := func(title string, s gotong.Stream) {
		t.Helper()
		if got := w.list(0, budi, true); len(got) != 1 || got[0].Kind != inbox.Declined || got[0].Title != title || got[0].Stream != s {
			t.Errorf("got %+v, want %q of %q", got, title, s)
		}
	}
	want("Rahasia", asked)
	w.do(ani, asked, group.CmdUpdate, group.Update{JoinPolicy: new(group.Undangan)})
	want("", "")
}

// TestAHeldMessageIsNoItem while it is held: neither an emergency nor a reply.
func TestAHeldMessageIsNoItem(t *testing.T) {
	w := newWorld(t)
	w.do(budi, rt, group.CmdJoin, group.Join{})
	w.do(ani, rt, group.CmdAdd, group.Add{UserID: "citra", Role: group.Moderator}) // who may post an emergency
	mine := w.post(budi, lent, "Halo").EventIDs[0]
	for kind, post := range map[inbox.Kind]thread.Post{
		inbox.Siaga: {Body: "Banjir", Siaga: true}, inbox.Reply: {Body: "Halo juga", ReplyTo: mine},
	} {
		id := w.do(citra, lent, thread.CmdPost, post).EventIDs[0]
		decide := func(a thread.Action, want ...inbox.Kind) {
			t.Helper()
			w.do(ani, lent, thread.CmdReview, thread.Review{MessageID: id, Decision: a})
			var got []inbox.Kind
			for _, s := range w.list(0, budi, true) {
				got = append(got, s.Kind)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s after %s: the inbox has %q, want %q", kind, a, got, want)
			}
		}
		decide(thread.Hold)
		decide(thread.Release, kind)
		w.do(citra, lent, thread.CmdDelete, thread.Delete{MessageID: id})
	}
}

// TestGatesOfACase: members learn of a step that somebody else proposes, and of a vote
// that is about to close if they have not voted; nobody else does.
func TestGatesOfACase(t *testing.T) {
	w := newWorld(t)
	const c = gotong.Stream("case/case-1")
	w.do(ani, c, cases.CmdCreate, cases.Create{ScopeID: "rt05", Track: "musyawarah", Title: "Pos ronda", Privacy: cases.Private})
	for _, id := range []string{"budi", "citra"} {
		w.do(ani, c, cases.CmdSeat, cases.Seating{UserID: id, TrackRoles: []cases.Role{cases.Participant}})
	}
	gate := w.do(ani, c, cases.CmdPropose, cases.Propose{From: "usul", To: "bahas"}).First
	w.do(budi, c, cases.CmdObject, cases.Object{Gate: gate, Reason: "belum"})
	closes := w.clock.Now().Add(48 * time.Hour)
	w.clock.Pass(40 * time.Hour)
	w.do(communitytest.System(), c, cases.CmdRemind, cases.Remind{Gate: gate, Due: closes})
	kinds := func(a gotong.Actor) (list []inbox.Kind) {
		for _, s := range w.list(0, a, true) {
			if list = append(list, s.Kind); s.Title != "Pos ronda" {
				t.Errorf("got %+v", s)
			}
		}
		return list
	}
	for a, want := range map[gotong.Actor][]inbox.Kind{
		ani: {inbox.GateClosing}, budi: {inbox.GateClosing, inbox.GateOpened, inbox.Added},
		citra: {inbox.GateClosing, inbox.GateOpened, inbox.Added}, dewi: nil,
	} {
		if got := kinds(a); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s has %v, want %v", a.UserID, got, want)
		}
	}
	w.do(ani, c, cases.CmdRemove, cases.Remove{UserID: "citra"})
	if got := w.list(0, citra, false); len(got) != 1 || got[0].Kind != inbox.Removed {
		t.Errorf("got %+v", got)
	}
	w.rebuilt()
}

// TestWhatSignalsAChange: a new item and a moved mark do; what changes nothing does not.
func TestWhatSignalsAChange(t *testing.T) {
	w := newWorld(t)
	w.do(ani, own, thread.CmdAdd, thread.Add{UserID: "budi"})
	said := func(want ...string) {
		t.Helper()
		if len(w.changed) != len(want) || len(want) > 0 && !w.changed[want[0]] {
			t.Errorf("got %v, want %v", w.changed, want)
		}
		clear(w.changed)
	}
	said("budi")
	w.post(budi, own, "Halo @ani")
	said("ani")
	w.post(ani, own, "Halo")
	said()
	read := func(a gotong.Actor) {
		t.Helper()
		if err := w.boxes[0].ReadAll(t.Context(), viewer(a), inbox.ID{}); err != nil {
			t.Fatal(err)
		}
	}
	read(ani)
	said("ani")
	read(ani)
	said()
	read(citra)
	said()
}

// TestAnItemForAllSignalsTheMembers of a wide stream now, and nobody else.
func TestAnItemForAllSignalsTheMembers(t *testing.T) {
	defer inbox.SetNarrow(1)()
	w := newWorld(t)
	for _, a := range []gotong.Actor{budi, citra} {
		w.do(a, rt, group.CmdJoin, group.Join{})
	}
	w.do(citra, rt, group.CmdLeave, group.Leave{})
	clear(w.changed)
	w.post(ani, lent, "Halo @here")
	if got := slices.Sorted(maps.Keys(w.changed)); fmt.Sprint(got) != "[ani budi lent]" {
		t.Errorf("signalled are %v", got)
	}
}

// TestWhatChangesAnItemSignals those who have it, in a wide stream all its members: an
// edit that withdraws a mention, a hold, its end, and a deletion.
func TestWhatChangesAnItemSignals(t *testing.T) {
	for narrow, tc := range map[int]struct{ text, have, author string }{
		200: {"Halo @ani", "ani ", "ani budi "}, 1: {"Halo @here", "ani budi citra lent ", "ani budi citra lent "},
	} {
		t.Run(fmt.Sprint(narrow), func(t *testing.T) {
			defer inbox.SetNarrow(narrow)()
			w := newWorld(t)
			for _, a := range []gotong.Actor{budi, citra} {
				w.do(a, rt, group.CmdJoin, group.Join{})
			}
			signalled := func(what, want string) {
				t.Helper()
				got := ""
				for _, id := range slices.Sorted(maps.Keys(w.changed)) {
					got += id + " "
				}
				if clear(w.changed); got != want {
					t.Errorf("%s signals %q, want %q", what, got, want)
				}
			}
			clear(w.changed)
			id := w.post(budi, lent, tc.text).EventIDs[0]
			signalled("the message", tc.have)
			w.do(budi, lent, thread.CmdEdit, thread.Edit{MessageID: id, Body: "Halo"})
			signalled("an edit", tc.have)
			w.do(ani, lent, thread.CmdReview, thread.Review{MessageID: id, Decision: thread.Hold, Minutes: 60})
			signalled("a hold", tc.author)
			w.do(ani, lent, thread.CmdReview, thread.Review{MessageID: id, Decision: thread.Release})
			signalled("its end", tc.author)
			w.do(budi, lent, thread.CmdDelete, thread.Delete{MessageID: id})
			signalled("a deletion", tc.have)
			w.post(budi, lent, "Halo")
			signalled("another message", "")
			w.rebuilt()
		})
	}
}

// TestAnItemIsItsUsersAlone: another user's item, one that is not shown and one that
// does not exist are answered in the same way, and mark nothing.
func TestAnItemIsItsUsersAlone(t *testing.T) {
	w := newWorld(t)
	w.do(ani, own, thread.CmdAdd, thread.Add{UserID: "budi"})
	id := w.list(0, budi, true)[0].ID
	for name, tc := range map[string]struct {
		by gotong.Actor
		id inbox.ID
	}{
		"another user's": {citra, id}, "none": {budi, inbox.ID{Number: id.Number + 1, Partition: id.Partition}},
		"another partition's": {budi, inbox.ID{Number: id.Number, Partition: (id.Partition + 1) % gotong.Partitions}},
	} {
		if _, err := w.boxes[0].Read(t.Context(), viewer(tc.by), tc.id); gotong.CodeOf(err) != gotong.CodeNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.do(budi, own, thread.CmdLeave, thread.Leave{})
	if _, err := w.boxes[0].Read(t.Context(), viewer(budi), id); gotong.CodeOf(err) != gotong.CodeNotFound {
		t.Errorf("not shown: %v", err)
	}
	for _, s := range []string{"", "1", "1-16", "01-1", "1-01", "x-1", "1-1-1", "99999999999999999-1", "0-1"} {
		if _, err := inbox.ParseID(s); gotong.CodeOf(err) != gotong.CodeNotFound {
			t.Errorf("%q: %v", s, err)
		}
	}
	if got, err := inbox.ParseID(id.String()); got != id || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// TestAlerts: by the level of its thread, a mute and the kinds that are off, a message
// alerts a user or not; an emergency always does.
func TestAlerts(t *testing.T) {
	kinds := []inbox.Kind{inbox.Message, inbox.Mention, inbox.Reply, inbox.Siaga, ""}
	level := func(l user.Level) user.Settings { return user.Settings{Threads: map[string]user.Level{own.ID(): l}} }
	for name, tc := range map[string]struct {
		set   user.Settings
		muted bool
		want  []bool
	}{
		"nothing set": {user.Settings{}, false, []bool{true, true, true, true, false}},
		"mentions":    {level(user.MentionsOnly), false, []bool{false, true, true, true, false}},
		"none":        {level(user.Nothing), false, []bool{false, false, false, true, false}},
		"muted":       {user.Settings{}, true, []bool{false, false, false, true, false}},
		"a kind off":  {user.Settings{Off: []string{"mention"}}, false, []bool{true, false, true, true, false}},
	} {
		for i, k := range kinds {
			if got := inbox.Alerts(tc.set, own, k, tc.muted); got != tc.want[i] {
				t.Errorf("%s, %q: %v", name, k, got)
			}
		}
	}
}

// TestAMessageReachesEachUserOnce: however often and in whatever way a message names a
// user, also by edits, it is one item, which follows the newest text. So it is where the
// stream is wide: members then have items of a list that they share, but not those from
// before they joined, or from a time when they were out.
func TestAMessageReachesEachUserOnce(t *testing.T) {
	for _, narrow := range []int{200, 1} {
		t.Run(fmt.Sprint(narrow), func(t *testing.T) {
			defer inbox.SetNarrow(narrow)()
			w := newWorld(t)
			for _, a := range []gotong.Actor{budi, citra} {
				w.do(a, rt, group.CmdJoin, group.Join{})
			}
			want := func(a gotong.Actor, kinds ...inbox.Kind) {
				t.Helper()
				var got []inbox.Kind
				for _, s := range w.list(0, a, false) {
					got = append(got, s.Kind)
				}
				if fmt.Sprint(got) != fmt.Sprint(kinds) {
					t.Errorf("%s has %v, want %v", a.UserID, got, kinds)
				}
			}
			mine := w.post(budi, lent, "Halo")
			first := w.do(ani, lent, thread.CmdPost, thread.Post{Body: "@budi @here @anggota", ReplyTo: mine.EventIDs[0], Siaga: true})
			want(budi, inbox.Siaga)
			want(citra, inbox.Siaga)
			want(ani)
			second := w.do(ani, lent, thread.CmdPost, thread.Post{Body: "@budi", ReplyTo: mine.EventIDs[0]})
			revision := uint64(0)
			edit := func(r gotong.Receipt, text string) {
				t.Helper()
				w.do(ani, lent, thread.CmdEdit, thread.Edit{MessageID: r.EventIDs[0], Revision: revision, Body: text})
				revision++
			}
			edit(second, "Halo @here")
			want(budi, inbox.Mention, inbox.Siaga)
			want(citra, inbox.Mention, inbox.Siaga)
			edit(second, "Halo")
			want(budi, inbox.Reply, inbox.Siaga)
			want(citra, inbox.Siaga)
			w.do(dewi, rt, group.CmdJoin, group.Join{})
			want(dewi)
			edit(second, "Halo @here @budi @citra")
			want(dewi, inbox.Mention)
			want(citra, inbox.Mention, inbox.Siaga)
			w.do(dewi, rt, group.CmdLeave, group.Leave{})
			w.post(citra, lent, "Halo @here @admin")
			w.do(dewi, rt, group.CmdJoin, group.Join{})
			want(dewi, inbox.Mention)
			want(ani, inbox.Mention)
			want(budi, inbox.Mention, inbox.Mention, inbox.Siaga)
			w.do(ani, lent, thread.CmdDelete, thread.Delete{MessageID: first.EventIDs[0]})
			want(citra, inbox.Mention)
			w.do(ani, rt, group.CmdRemove, group.Remove{UserID: "dewi"})
			want(dewi, inbox.Removed)
			w.do(ani, rt, group.CmdRemove, group.Remove{UserID: "dewi", Ban: gotong.Ban{Ever: true}}) // who is no member learns nothing
			want(dewi, inbox.Removed)
			w.rebuilt()
		})
	}
}

// TestReadingKeepsTheFirstTime: an item that was read keeps its time, and marks of several
// devices at once all count.
func TestReadingKeepsTheFirstTime(t *testing.T) {
	w := newWorld(t)
	w.do(ani, own, thread.CmdAdd, thread.Add{UserID: "budi"})
	w.post(ani, own, "Halo @budi")
	items := w.list(0, budi, true)
	at := map[inbox.ID]gotong.Instant{}
	for _, i := range []int{1, 0} {
		w.clock.Pass(time.Hour)
		s, err := w.boxes[i].Read(t.Context(), viewer(budi), items[i].ID)
		w.check(err)
		if at[s.ID] = s.ReadAt; s.ReadAt != w.clock.Now() {
			t.Errorf("got %v, not now", s.ReadAt)
		}
	}
	w.clock.Pass(time.Hour)
	for _, i := range items {
		s, err := w.boxes[0].Read(t.Context(), viewer(budi), i.ID)
		if err != nil || s.ReadAt != at[i.ID] {
			t.Errorf("got %v, first %v; %v", s.ReadAt, at[i.ID], err)
		}
	}
	if list := w.list(1, budi, true); len(list) != 0 {
		t.Errorf("unread: %+v", list)
	}
}

// TestDecisionsOnOnesOwnMessage: each decision by somebody else reaches the author, and so
// does the one that turns down a proposal or reports. The author's own does not, nor what
// changes nothing.
func TestDecisionsOnOnesOwnMessage(t *testing.T) {
	w := newWorld(t)
	w.do(ani, own, thread.CmdAdd, thread.Add{UserID: "budi"})
	w.do(ani, own, thread.CmdRole, thread.SetRole{UserID: "budi", Role: thread.Admin})
	id := w.post(budi, own, "Halo").EventIDs[0]
	advise := func(revision uint64) {
		t.Helper()
		w.do(communitytest.System(), own, thread.CmdAdvise, thread.Advise{MessageID: id, Revision: revision, Action: "review", Status: "hold"})
	}
	var want []string // newest first
	decide := func(by gotong.Actor, decision thread.Action, event ...string) {
		t.Helper()
		w.do(by, own, thread.CmdReview, thread.Review{MessageID: id, Decision: decision})
		want = slices.Concat(event, want)
		var got []string
		for _, i := range w.list(0, budi, true) {
			if i.Kind == inbox.Decided {
				got = append(got, i.Decision)
			}
			if i.Kind == inbox.Decided && i.Text != "Halo" && i.Text != "Halo lagi" {
				t.Errorf("got %+v", i)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("after %s by %s: got %q, want %q", decision, by.UserID, got, want)
		}
	}
	advise(0)
	decide(budi, thread.Release) // the author turns down a proposal about their own message
	decide(ani, thread.Release)
	w.do(budi, own, thread.CmdEdit, thread.Edit{MessageID: id, Body: "Halo lagi"})
	advise(1)
	decide(ani, thread.Release, thread.EvReleased)
	w.do(communitytest.System(), own, thread.CmdReport, thread.Report{
		MessageID: id, Reporters: []thread.Reporter{{UserID: "ani", At: w.clock.Now() + 1}},
	})
	decide(ani, thread.Release, thread.EvReleased)
	decide(ani, thread.Warn, thread.EvReleased)
	decide(ani, thread.Release, thread.EvReleased) // without the warning
	decide(ani, thread.Hold, thread.EvHeld)
	decide(ani, thread.Block, thread.EvBlocked)
	decide(ani, thread.Release, thread.EvReleased)
	decide(budi, thread.Hold)
	decide(ani, thread.Release, thread.EvReleased)
	w.do(ani, own, thread.CmdDelete, thread.Delete{MessageID: id})
	if got := w.list(0, budi, true)[0]; got.Decision != thread.EvDeleted || got.Text != "" {
		t.Errorf("got %+v", got)
	}
	w.rebuilt()
}

// TestFarTimesSelectLikeNearOnes: a number of more than 16 digits is later than any item.
func TestFarTimesSelectLikeNearOnes(t *testing.T) {
	w := newWorld(t)
	w.do(ani, own, thread.CmdAdd, thread.Add{UserID: "budi"})
	const far = 110_000_000_000_000_000
	for q, want := range map[inbox.Query]int{{Limit: 9, Before: inbox.ID{Number: far}}: 1, {Limit: 9, Since: far}: 0} {
		page, err := w.boxes[0].List(t.Context(), viewer(budi), q)
		if w.check(err); len(page.Items) != want {
			t.Errorf("%+v: %d items, want %d", q, len(page.Items), want)
		}
	}
}

// counting counts the reads that name ranges.
type counting struct {
	store.Whole
	ranges *int
}

func (c counting) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	if len(need.Ranges) > 1 {
		*c.ranges++
	}
	return c.Whole.Load(ctx, need)
}

// TestAShortPageOfMuchThatIsHidden takes few reads of the lists.
func TestAShortPageOfMuchThatIsHidden(t *testing.T) {
	w := newWorld(t)
	w.do(ani, own, thread.CmdAdd, thread.Add{UserID: "budi"})
	for range 100 {
		w.post(ani, own, "Halo @budi")
	}
	w.do(budi, gotong.NewStream(user.Name, "budi"), user.CmdBlock, user.Block{UserID: "ani"})
	reads := 0
	w.boxes[0].Store = counting{w.store, &reads}
	page, err := w.boxes[0].List(t.Context(), viewer(budi), inbox.Query{Limit: 1})
	if w.check(err); len(page.Items) != 0 || page.Next != (inbox.ID{}) || reads > 8 {
		t.Errorf("%+v after %d reads", page, reads)
	}
}

// TestItemsOfOneInstant: events of two streams of a partition at the same time are two
// items, in order of their commits.
func TestItemsOfOneInstant(t *testing.T) {
	w := newWorld(t)
	w.do(budi, rt, group.CmdJoin, group.Join{})
	const second = gotong.Stream("thread/second")
	w.do(ani, second, thread.CmdCreate, thread.Create{ScopeID: "ent-rt", Privacy: thread.Public, Members: thread.Home})
	w.clock.Pass(time.Second)
	for i, s := range []gotong.Stream{lent, second} {
		_, err := w.engines[i].Execute(t.Context(), gotong.Command{
			Stream: s, Type: thread.CmdPost, Actor: ani, RequestID: "same", CorrelationID: "c", Data: thread.Post{Body: "Halo @here"},
		})
		w.check(err)
	}
	w.check(w.run.CatchUp(t.Context()))
	got := w.list(0, budi, true)
	if len(got) != 2 || got[0].Stream != second || got[1].Stream != lent || got[0].ID.Number != got[1].ID.Number+1 {
		t.Errorf("got %+v", got)
	}
}

// TestABlockHidesNoEmergencyOfAGroup: what a blocked user writes is hidden. An emergency
// broadcast is shown and counts among the members of a group, and nowhere else: not in a
// thread with members of its own, nor among those of a case.
func TestABlockHidesNoEmergencyOfAGroup(t *testing.T) {
	w := newWorld(t)
	const flood, ofFlood = gotong.Stream("case/flood"), gotong.Stream("thread/flood")
	w.do(budi, rt, group.CmdJoin, group.Join{})
	w.do(ani, own, thread.CmdAdd, thread.Add{UserID: "budi"})
	w.do(ani, flood, cases.CmdCreate, cases.Create{ScopeID: "rt05", Track: "tuntaskan", Title: "Banjir"})
	w.do(ani, flood, cases.CmdSeat, cases.Seating{UserID: "budi", TrackRoles: []cases.Role{cases.Participant}})
	w.do(ani, ofFlood, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Private, Members: thread.Home, Lender: flood})
	for _, s := range []gotong.Stream{own, ofFlood, lent} {
		w.post(ani, s, "Halo @budi")
		w.do(ani, s, thread.CmdPost, thread.Post{Body: "Banjir @budi " + s.ID(), Siaga: true})
		w.do(ani, s, thread.CmdPost, thread.Post{Body: "Banjir @here " + s.ID(), Siaga: true})
	}
	texts := func() (shown []string) {
		for _, i := range w.list(0, budi, true) {
			if i.Text != "" {
				shown = append(shown, i.Text)
			}
		}
		return shown
	}
	if got := texts(); len(got) != 9 {
		t.Errorf("without a block: %q", got)
	}
	w.do(budi, gotong.NewStream(user.Name, "budi"), user.CmdBlock, user.Block{UserID: "ani"})
	if got := texts(); fmt.Sprint(got) != "[Banjir @here lent Banjir @budi lent]" {
		t.Errorf("with a block: %q", got)
	}
}
