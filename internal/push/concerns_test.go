package push_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
)

// TestWhatCameBeforeAJoinIsNotPushed: a message from before a user joined again counts as
// read, although they see it, and so a newer one does not announce it.
func TestWhatCameBeforeAJoinIsNotPushed(t *testing.T) {
	w := newWorld(t)
	w.do(siti, "user/siti", user.CmdRegister, user.Register{Email: "siti@rt05.id", Username: "siti", CommunityID: "rt05"})
	phone := w.device("siti")
	w.prefer(user.MentionsOnly)
	w.do(wati, talk, thread.CmdRemove, thread.Remove{UserID: "siti"})
	w.say(wati, "@here rapat")
	w.do(wati, talk, thread.CmdAdd, thread.Add{UserID: "siti"})
	w.say(wati, "Selamat datang kembali")
	w.pass(2 * delay)
	for i := range phone.got {
		if p := phone.got[i]; p.Type == "thread" {
			t.Errorf("a message from before the join is pushed: %+v", p)
		}
	}
	w.say(wati, "@here sekarang")
	w.pass(interval)
	if got := phone.got[len(phone.got)-1]; got.Type != "thread" || got.N != 3 || got.Unread != 2 {
		t.Errorf("got %+v, want the third message with 2 unread", got)
	}
}

// TestARoleOfACasePushesToThoseWhoHoldIt: a user who wants mentions alone gets a push for
// each of their roles, and for no other.
func TestARoleOfACasePushesToThoseWhoHoldIt(t *testing.T) {
	w := newWorld(t)
	const lent = gotong.Stream("thread/lent")
	of := cases.StreamOf("wati", "r1")
	w.do(wati, of, cases.CmdCreate, cases.Create{ScopeID: "rt05", Track: "Tuntaskan", Title: "Selokan mampet", Privacy: cases.Private})
	devices := map[string]*device{}
	for id, roles := range map[string][]cases.Role{"siti": {cases.Participant, cases.Saksi}, "joko": {cases.Participant}} {
		me := communitytest.User(id)
		w.do(wati, of, cases.CmdSeat, cases.Seating{UserID: id, TrackRoles: roles})
		w.do(me, gotong.NewStream(user.Name, id), user.CmdRegister, user.Register{Email: id + "@rt05.id", Username: id, CommunityID: "rt05"})
		w.do(me, gotong.NewStream(user.Name, id), user.CmdPrefer, user.Prefer{Threads: map[string]user.Level{lent.ID(): user.MentionsOnly}})
		devices[id] = w.device(id)
	}
	w.do(wati, lent, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Private, Members: thread.Home, Lender: of})
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "@saksi, ingat yang terjadi?"})
	w.pass(delay)
	devices["siti"].want(1)
	devices["joko"].want()
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "Halo @participant"})
	w.pass(interval)
	devices["siti"].want(1, 2)
	devices["joko"].want(2)
}
