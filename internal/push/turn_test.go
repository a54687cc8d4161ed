package push_test

import (
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

// TestWhoWaitsIsDecidedAboutAlone: a job that runs again for one member reads nothing of
// the others, unless something is newer or it runs on another node, and nothing of a
// member who was removed meanwhile.
func TestWhoWaitsIsDecidedAboutAlone(t *testing.T) {
	w := newWorld(t)
	siti1, joko1 := w.device("siti"), w.device("joko")
	w.looks["siti"] = talk
	again := func(what string, want ...string) {
		t.Helper()
		w.clock.Pass(30 * time.Second)
		w.turn()
		w.about(what, want...)
	}
	w.say(wati, "satu")
	w.plan()
	clear(w.decided)
	w.clock.Pass(delay)
	w.turn()
	w.about("the message", "joko", "siti", "wati")
	again("siti looks", "siti")
	again("siti looks still", "siti")
	w.clock.Pass(30 * time.Second)
	w.run(w.second)
	w.about("another node", "joko", "siti", "wati")
	again("the first one, which knows nothing of that run", "joko", "siti", "wati")
	again("and then", "siti")
	w.say(wati, "dua")
	again("another message", "joko", "siti", "wati")
	joko1.want(1, 2)
	siti1.want()
	again("siti looks", "siti")
	delete(w.looks, "siti")
	again("siti looks no more", "siti")
	siti1.want(2)
	again("nobody waits")

	w.looks["siti"] = talk
	w.say(wati, "tiga")
	again("a third message", "joko", "siti", "wati")
	w.clock.Pass(28 * time.Second)
	w.say(wati, "empat")
	w.clock.Pass(2 * time.Second)
	w.turn()
	w.about("a message that is due later than the job", "joko", "siti", "wati")
	w.do(wati, talk, thread.CmdRemove, thread.Remove{UserID: "siti"})
	again("siti was removed", "joko", "wati")
}

// TestAFormerMemberOfAHomeGetsNoWithdrawal: they are still a member of the case whose
// members the thread borrows.
func TestAFormerMemberOfAHomeGetsNoWithdrawal(t *testing.T) {
	w := newWorld(t)
	const rt, affair, lent = gotong.Stream("group/ent-rt"), gotong.Stream("case/affair"), gotong.Stream("thread/lent")
	joko := communitytest.User("joko")
	w.do(wati, rt, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	w.do(wati, affair, cases.CmdCreate, cases.Create{ScopeID: rt.ID(), Track: "musyawarah", Title: "Pos ronda", Privacy: cases.Private})
	for _, a := range []gotong.Actor{siti, joko} {
		w.do(a, rt, group.CmdJoin, group.Join{})
		w.do(wati, affair, cases.CmdSeat, cases.Seating{UserID: a.UserID, TrackRoles: []cases.Role{cases.Participant}})
	}
	w.do(wati, lent, thread.CmdCreate, thread.Create{ScopeID: rt.ID(), Privacy: thread.Private, Members: thread.Home, Lender: affair})
	w.turn()
	w.pass(delay)
	siti1, joko1 := w.device("siti"), w.device("joko")
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "satu"})
	w.pass(delay)
	siti1.want(1)
	w.clock.Pass(interval)
	w.do(siti, rt, group.CmdLeave, group.Leave{})
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "dua"})
	w.pass(delay)
	siti1.want(1)
	joko1.want(1, 2)
}
