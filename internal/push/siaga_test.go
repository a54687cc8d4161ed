package push_test

import (
	"errors"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/store"
)

// TestAnEmergencyIsPushedAtOnce: without the delay, and within the interval after another
// push.
func TestAnEmergencyIsPushedAtOnce(t *testing.T) {
	w := newWorld(t)
	phone, other := w.device("siti"), w.device("joko")
	w.say(wati, "Halo")
	w.pass(delay)
	phone.want(1)
	w.say(wati, "Ronda?")
	w.do(wati, talk, thread.CmdPost, thread.Post{Body: "Banjir", Siaga: true})
	w.turn()
	phone.want(1, 3)
	other.want(1, 3)
	if got := phone.got[1]; got.Kind != inbox.Siaga {
		t.Errorf("%+v", got)
	}
}

// TestABlockSilencesNoEmergencyOfAGroup: a block silences other messages of the sender,
// and the emergencies of a thread with members of its own.
func TestABlockSilencesNoEmergencyOfAGroup(t *testing.T) {
	w := newWorld(t)
	w.do(siti, "user/siti", user.CmdRegister, user.Register{Email: "siti@rt05.id", Username: "siti", CommunityID: "rt05"})
	const rt, lent = gotong.Stream("group/ent-rt"), gotong.Stream("thread/lent")
	w.do(wati, rt, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	w.do(siti, rt, group.CmdJoin, group.Join{})
	w.do(wati, lent, thread.CmdCreate, thread.Create{ScopeID: "ent-rt", Privacy: thread.Public, Members: thread.Home})
	w.do(siti, "user/siti", user.CmdBlock, user.Block{UserID: "wati"})
	phone, other := w.device("siti"), w.device("joko")
	w.do(wati, talk, thread.CmdPost, thread.Post{Body: "Banjir", Siaga: true})
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "Ronda?"})
	w.pass(2 * time.Minute)
	other.want(1)
	phone.want()
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "Banjir", Siaga: true})
	w.turn()
	phone.want(2)
	if got := phone.got[0]; got.Stream != lent || got.Kind != inbox.Siaga {
		t.Errorf("%+v", got)
	}
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "Sudah surut"})
	w.pass(2 * time.Minute)
	phone.want(2)
}

// TestAThreadAndAnInboxOfOneIDHaveStatesOfTheirOwn: what was sent about an inbox does not
// count for the thread whose id is that of the user.
func TestAThreadAndAnInboxOfOneIDHaveStatesOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.device("siti")
	w.say(wati, "Halo")
	w.pass(delay)
	for s, want := range map[gotong.Stream]bool{talk: true, "user/talk": false, "user/siti": false} {
		key := gotong.Key{Collection: "push_states", Owner: string(s), Name: "siti"}
		reg, err := store.ReadRegister(t.Context(), w.store, key)
		if err != nil || (reg.Version > 0) != want {
			t.Errorf("%s: version %d, %v", s, reg.Version, err)
		}
	}
}

// TestABlockSilencesWhoAdds: a blocked user adds the user to a group, a thread and a case,
// as the rules allow, and invites them. None of it is pushed or in the inbox; that they are
// members does not change.
func TestABlockSilencesWhoAdds(t *testing.T) {
	w := newWorld(t)
	const rt, rw, arisan, affair = gotong.Stream("group/ent-rt"), gotong.Stream("group/ent-rw"), gotong.Stream("thread/arisan"), gotong.Stream("case/pos")
	w.do(siti, "user/siti", user.CmdRegister, user.Register{Email: "siti@rt05.id", Username: "siti", CommunityID: "rt05"})
	phone := w.device("siti")
	for _, s := range []gotong.Stream{rt, rw} {
		w.do(wati, s, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	}
	w.do(wati, arisan, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Private})
	w.do(wati, affair, cases.CmdCreate, cases.Create{ScopeID: "rt05", Track: "musyawarah", Title: "Pos ronda", Privacy: cases.Private})
	w.do(siti, "user/siti", user.CmdBlock, user.Block{UserID: "wati"})
	w.clock.Pass(time.Minute)
	w.do(wati, rt, group.CmdAdd, group.Add{UserID: "siti", Role: group.Anggota})
	w.do(wati, rw, group.CmdInvite, group.Invite{UserID: "siti"})
	w.do(wati, arisan, thread.CmdAdd, thread.Add{UserID: "siti"})
	w.do(wati, affair, cases.CmdSeat, cases.Seating{UserID: "siti", TrackRoles: []cases.Role{cases.Participant}})
	w.pass(2 * interval)
	phone.want()
	list := func(want int) {
		t.Helper()
		page, err := w.box.List(t.Context(), gotong.Viewer(siti), inbox.Query{Limit: 50})
		n, err2 := w.box.Unread(t.Context(), gotong.Viewer(siti))
		if w.check(errors.Join(err, err2)); n != want || len(page.Items) != want {
			t.Errorf("the inbox has %d items, %d of them unread; want %d: %+v", len(page.Items), n, want, page.Items)
		}
	}
	list(0)
	for _, s := range []gotong.Stream{rt, arisan, affair} {
		if members, err := w.box.Members(t.Context(), s, []string{"siti"}); err != nil || len(members) != 1 {
			t.Errorf("siti is no member of %s: %v", s, err)
		}
	}
	w.do(siti, "user/siti", user.CmdUnblock, user.Unblock{UserID: "wati"})
	list(5) // with the thread of the world
}
