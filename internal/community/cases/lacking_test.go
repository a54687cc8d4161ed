package cases_test

import (
	"reflect"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
)

// A reason that shows nothing is none: who objects, disputes, decides or voids
// says why.
func TestReasonsSaySomething(t *testing.T) {
	for _, reason := range []string{"", "  \n", "\u200b", "\u2066\u2069"} {
		for _, c := range []gotong.Validator{
			cases.Object{Reason: reason}, cases.Dispute{Reason: reason}, cases.Resolve{Reason: reason},
			cases.Void{UserID: "budi", Reason: reason},
			gotong.Erase{Events: make([]gotong.EventID, 1), Reason: reason},
		} {
			if err := gotong.Validate(c.(gotong.Cleaner).Clean()); gotong.CodeOf(err) != gotong.CodeInvalid {
				t.Errorf("%T with %q: %v", c, reason, err)
			}
		}
	}
}

// A command about a transition names it: the open one is nobody's default, because
// it may be another than the one that a client has in mind.
func TestTheOpenGateIsNotADefault(t *testing.T) {
	v := found(t, "tuntaskan", budi)
	v.propose(cases.Propose{To: "bahas", Profile: "standard"})
	for _, c := range []any{
		cases.Cast{Choice: cases.Yes}, cases.Object{Reason: "Tidak"}, cases.Dispute{Reason: "Tidak"}, cases.Withdraw{}, cases.Approve{},
		cases.Resolve{Reason: "Tidak"}, cases.Void{UserID: "budi", Reason: "Pergi"}, cases.Close{}, cases.Remind{},
	} {
		for _, actor := range []gotong.Actor{ani, budi, mod, system} {
			v.Refuse(actor, v.s, c, gotong.CodeNotFound)
		}
	}
}

// A timer of a window that was replaced by another one changes nothing, before and after the
// newer one ends. It is not rejected as too early, which would keep it due.
func TestATimerOfAnEarlierWindowIsDone(t *testing.T) {
	v := found(t, "tuntaskan", budi)
	g := v.propose(cases.Propose{To: "bahas"})
	v.Do(budi, v.s, cases.Object{Gate: g.Seq, Reason: "Belum"})
	for range 2 {
		for _, c := range []any{cases.Close{Gate: g.Seq, Due: g.ClosesAt}, cases.Remind{Gate: g.Seq, Due: g.ClosesAt}} {
			v.Idle(system, v.s, c)
		}
		v.Pass(v.gate(g.Seq).ClosesAt.Sub(v.Now()))
	}
	v.close(g.Seq)
}

// A voter who was removed and came back can neither replace their vote nor keep a
// moderator from voiding it.
func TestAReturnDoesNotShieldAVote(t *testing.T) {
	v := found(t, "tuntaskan", budi)
	g := v.propose(cases.Propose{To: "bahas", Profile: "standard"})
	v.Do(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
	void := cases.Void{Gate: g.Seq, UserID: "budi", Reason: "Dipaksa"}
	v.Refuse(mod, v.s, void, gotong.CodeConflict)
	v.Do(ani, v.s, cases.Remove{UserID: "budi"})
	v.Do(ani, v.s, cases.Seating{UserID: "budi", TrackRoles: []cases.Role{cases.PIC}})
	v.Refuse(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.No}, gotong.CodeForbidden)
	v.Do(mod, v.s, void)
	if ballots := v.gate(g.Seq).Ballots; len(ballots) != 0 {
		t.Errorf("%+v", ballots)
	}
}

// The event of each write on a gate keeps the roles that its actor had at that
// moment, whatever becomes of them later.
func TestWritesKeepTheRolesOfTheirActor(t *testing.T) {
	author, saksi := []cases.Role{cases.Author}, []cases.Role{cases.Saksi}
	for _, c := range []struct {
		phase rune
		actor gotong.Actor
		give  func(gate uint64) any
		roles []cases.Role
	}{
		{'c', communitytest.User("saksi"), func(g uint64) any { return cases.Object{Gate: g, Reason: "belum"} }, saksi},
		{'c', ani, func(g uint64) any { return cases.Withdraw{Gate: g} }, author},
		{'c', mod, func(g uint64) any { return cases.Withdraw{Gate: g} }, nil},
		{'v', communitytest.User("saksi"), func(g uint64) any { return cases.Cast{Gate: g, Choice: cases.No} }, saksi},
		{'v', mod, func(g uint64) any { return cases.Void{Gate: g, UserID: "gone", Reason: "pindah"} }, nil},
		{'v', member, func(g uint64) any { return cases.Void{Gate: g, UserID: "gone", Reason: "pindah"} }, saksi},
		{'a', member, func(g uint64) any { return cases.Approve{Gate: g} }, saksi},
		{'h', communitytest.User("saksi"), func(g uint64) any { return cases.Dispute{Gate: g, Reason: "belum"} }, saksi},
		{'d', member, func(g uint64) any { return cases.Resolve{Gate: g, Confirm: true, Reason: "sudah"} }, saksi},
	} {
		v, gate := phase(t, c.phase)
		data := c.give(gate)
		e := v.Do(c.actor, v.s, data)[0]
		got, _ := reflect.TypeAssert[[]cases.Role](reflect.ValueOf(e.Data).FieldByName("TrackRoles"))
		if !slices.Equal(got, c.roles) {
			t.Errorf("%s by %s keeps %q, want %q", e.Type, c.actor.UserID, got, c.roles)
		}
	}
}

// member is a moderator who is a member of the cases of [phase].
var member = gotong.Actor{UserID: "saksi", Role: gotong.RoleModerator}
