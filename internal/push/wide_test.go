package push_test

import (
	"fmt"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
)

// many is more members than a stream may have without being wide.
const many = 201

// TestAMentionOfAllInAWideGroupIsPushed to its members, as in a small one: not to those
// who mute the thread, who block the author, who look at it, or who have left.
func TestAMentionOfAllInAWideGroupIsPushed(t *testing.T) {
	w := newWorld(t)
	const rt, lent = gotong.Stream("group/ent-rt"), gotong.Stream("thread/lent")
	w.do(wati, rt, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	names := []string{"siti", "blocks", "levels", "looks", "left"}
	for n := range many {
		names = append(names, fmt.Sprint("u", n))
	}
	for _, id := range names {
		w.do(communitytest.User(id), rt, group.CmdJoin, group.Join{})
	}
	w.do(wati, lent, thread.CmdCreate, thread.Create{ScopeID: "ent-rt", Privacy: thread.Public, Members: thread.Home})
	devices := map[string]*device{}
	for _, id := range names[:6] {
		own := gotong.NewStream(user.Name, id)
		w.do(communitytest.User(id), own, user.CmdRegister, user.Register{Email: id + "@rt05.id", Username: "w-" + id, CommunityID: "rt05"})
		devices[id] = w.device(id)
	}
	w.do(communitytest.User("blocks"), "user/blocks", user.CmdBlock, user.Block{UserID: "wati"})
	w.do(communitytest.User("levels"), "user/levels", user.CmdPrefer, user.Prefer{Threads: map[string]user.Level{lent.ID(): user.Nothing}})
	w.do(communitytest.User("left"), rt, group.CmdLeave, group.Leave{})
	w.looks["looks"] = lent
	w.turn()
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "Halo @here"})
	w.pass(delay)
	for id, d := range devices {
		switch id {
		case "siti", "u0":
			if d.want(1); len(d.got) == 1 && (d.got[0].Kind != inbox.Mention || d.got[0].Stream != lent) {
				t.Errorf("%s got %+v", id, d.got[0])
			}
		default:
			d.want()
		}
	}
}

// TestAGateOfAWideCaseIsPushed once to each member whom it concerns, and withdrawn once
// they have read it.
func TestAGateOfAWideCaseIsPushed(t *testing.T) {
	w := newWorld(t)
	const c = gotong.Stream("case/case-1")
	w.do(wati, c, cases.CmdCreate, cases.Create{ScopeID: "rt05", Track: "musyawarah", Title: "Pos ronda", Privacy: cases.Private})
	names := []string{"siti", "off", "removed", "waits", "goes"}
	for n := range many {
		names = append(names, fmt.Sprint("u", n))
	}
	for _, id := range names {
		w.do(wati, c, cases.CmdSeat, cases.Seating{UserID: id, TrackRoles: []cases.Role{cases.Participant}})
	}
	w.turn()
	w.pass(delay)
	devices := map[string]*device{"wati": w.device("wati")}
	for _, id := range names {
		if id != "u1" { // who has no device
			w.do(communitytest.User(id), gotong.NewStream(user.Name, id), user.CmdRegister,
				user.Register{Email: id + "@rt05.id", Username: "w-" + id, CommunityID: "rt05"})
		}
	}
	for _, id := range []string{"siti", "off", "removed", "u0", "waits", "goes"} {
		devices[id] = w.device(id)
	}
	w.do(communitytest.User("off"), "user/off", user.CmdPrefer, user.Prefer{Kinds: map[string]bool{"gate_opened": false}})
	w.looks["waits"], w.looks["goes"] = "user/waits", "user/goes"
	w.clock.Pass(2 * interval)
	w.do(wati, c, cases.CmdPropose, cases.Propose{From: "usul", To: "bahas"})
	w.do(wati, c, cases.CmdRemove, cases.Remove{UserID: "removed"})
	w.pass(delay)
	for id, d := range devices {
		got := ""
		for _, p := range d.got {
			got += fmt.Sprint(p.Kind, " ")
		}
		if want := map[string]string{"siti": "gate_opened ", "u0": "gate_opened ", "removed": ""}[id]; got != want {
			t.Errorf("%s got %q, want %q", id, got, want)
		}
	}
	clear(w.decided)
	w.clock.Pass(30 * time.Second)
	w.turn()
	w.about("who looks", "goes", "waits")
	w.do(wati, c, cases.CmdRemove, cases.Remove{UserID: "goes"})
	delete(w.looks, "waits")
	w.clock.Pass(30 * time.Second)
	w.turn()
	w.about("who looked", "waits")
	devices["waits"].want(2)
	before := len(devices["siti"].unread())
	w.pass(2 * interval)
	if again := len(devices["siti"].unread()); again != before {
		t.Errorf("%d pushes, and later %d", before, again)
	}
	w.check(w.box.ReadAll(t.Context(), gotong.Viewer(siti), inbox.ID{}))
	w.marked("siti", "user/siti")
	if got := devices["siti"].unread(); len(got) == 0 || got[len(got)-1] != 0 {
		t.Errorf("the counts are %v", got)
	}
}
