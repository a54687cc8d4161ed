package cases_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
)

// allowed lists, by command and role, the phases of a gate that accept the
// command. Each letter is a phase
// (c consent, v vote, a approval, r ratification, h challenge, d dispute, - no
// gate). A command or a role that is missing is rejected in every phase.
var allowed = map[string]map[string]string{
	cases.CmdSeat:   {"author": "cvarhd-", "pic": "cvarhd-", "moderator": "cvarhd-"},
	cases.CmdRemove: {"author": "cvarhd-", "pic": "cvarhd-", "moderator": "cvarhd-"},
	cases.CmdLeave: {
		"author": "cvarhd-", "pic": "cvarhd-", "participant": "cvarhd-", "saksi": "cvarhd-", "bendahara": "cvarhd-",
		"moderator": "cvarhd-", "outsider": "cvarhd-", "system": "cvarhd-", // changes nothing for those who are not members
	},
	cases.CmdPropose:  {"author": "-", "pic": "-"},
	cases.CmdApprove:  {"moderator": "a"},
	cases.CmdObject:   {"pic": "c", "participant": "c", "saksi": "c", "bendahara": "c"}, // the author proposed
	cases.CmdVote:     {"author": "vr", "pic": "vr", "participant": "vr", "saksi": "vr", "bendahara": "vr"},
	cases.CmdWithdraw: {"author": "cva", "moderator": "cva"},
	cases.CmdDispute:  {"author": "h", "pic": "h", "participant": "h", "saksi": "h", "bendahara": "h"},
	cases.CmdResolve:  {"moderator": "d"},
	cases.CmdVoid:     {"moderator": "vr"},
	cases.CmdClose:    {"system": "cvarhd-"}, // changes nothing where none is open
	cases.CmdRemind:   {"system": "cvarhd-"}, // changes nothing where there is no vote
}

// phase brings a new case into a phase and returns the seq of its gate. The voter
// gone has voted, where there is a vote, and left.
func phase(t *testing.T, letter rune) (*village, uint64) {
	t.Helper()
	v := found(t, "tuntaskan", dedi)
	for id, roles := range map[string][]cases.Role{
		"pic": {cases.PIC}, "participant": {cases.Participant}, "saksi": {cases.Saksi}, "bendahara": {cases.Saksi, cases.Bendahara}, "gone": {cases.Saksi},
	} {
		v.Do(ani, v.s, cases.Seating{UserID: id, TrackRoles: roles})
	}
	to, profile := "bahas", map[rune]string{'v': "standard", 'h': "completion", 'd': "completion"}[letter]
	if letter == 'a' || letter == 'r' {
		v.vote(v.propose(cases.Propose{To: to}).Seq)
		v.vote(v.propose(cases.Propose{To: "rancang"}).Seq)
		to = "garap"
	}
	g := v.propose(cases.Propose{To: to, Profile: profile, FastTrack: letter == 'a' || letter == 'r'})
	switch letter {
	case 'r':
		v.Do(mod, v.s, cases.Approve{Gate: g.Seq})
	case 'h', 'd':
		v.vote(g.Seq)
		if letter == 'd' {
			v.Do(dedi, v.s, cases.Dispute{Gate: g.Seq, Reason: "belum"})
		}
	case '-':
		v.Do(ani, v.s, cases.Withdraw{Gate: g.Seq})
	}
	if letter == 'v' || letter == 'r' {
		v.Do(communitytest.User("gone"), v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
	}
	v.Do(communitytest.User("gone"), v.s, cases.Leave{})
	return v, g.Seq
}

// vote lets a gate pass, with the votes of three members where it is a vote.
func (v *village) vote(seq uint64) {
	if v.gate(seq).Phase == cases.InVote {
		for _, id := range []string{"ani", "dedi", "participant"} {
			v.Do(communitytest.User(id), v.s, cases.Cast{Gate: seq, Choice: cases.Yes})
		}
	}
	v.close(seq)
}

// TestRoleMatrix: every command by every role in every phase.
func TestRoleMatrix(t *testing.T) {
	kind, _ := rules(cases.BuiltIn())
	actors := map[string]gotong.Actor{
		"author": ani, "pic": communitytest.User("pic"), "participant": communitytest.User("participant"), "saksi": communitytest.User("saksi"),
		"bendahara": communitytest.User("bendahara"), "moderator": mod, "outsider": communitytest.User("outsider"), "system": system,
	}
	for _, letter := range "cvarhd-" {
		for _, c := range kind.Commands {
			if c.Name == cases.CmdCreate {
				continue
			}
			var v *village // as long as nothing was accepted
			var gate uint64
			for role, actor := range actors {
				if v == nil {
					v, gate = phase(t, letter)
				}
				_, err := v.Try(actor, v.s, v.command(c, gate))
				if want := slices.Contains([]rune(allowed[c.Name][role]), letter); (err == nil) != want {
					t.Errorf("%c %s by %s: %v, want accepted: %t", letter, c.Name, role, err, want)
				}
				if err == nil {
					v = nil
				}
			}
		}
	}
}

// command returns the command of this type about a gate, when it can be given.
func (v *village) command(c gotong.Type, gate uint64) any {
	g, stage := v.gate(gate), v.doc().Stage
	switch c.Name {
	case cases.CmdSeat:
		return cases.Seating{UserID: "dedi", TrackRoles: []cases.Role{cases.Saksi}}
	case cases.CmdRemove:
		return cases.Remove{UserID: "dedi"}
	case cases.CmdPropose:
		return cases.Propose{From: stage, To: "batal"}
	case cases.CmdVote:
		return cases.Cast{Gate: gate, Choice: cases.No}
	case cases.CmdVoid:
		return cases.Void{Gate: gate, UserID: "gone", Reason: "pindah"}
	case cases.CmdResolve:
		return cases.Resolve{Gate: gate, Confirm: true, Reason: "sudah"}
	case cases.CmdClose:
		v.Pass(g.ClosesAt.Sub(v.Now()))
		return cases.Close{Gate: gate, Due: g.ClosesAt}
	case cases.CmdRemind:
		v.Pass(time.Duration(g.ClosesAt-g.Now) * time.Microsecond * 4 / 5)
		return cases.Remind{Gate: gate, Due: g.ClosesAt}
	}
	data := reflect.New(reflect.TypeOf(c.New()).Elem()).Elem()
	for name, value := range map[string]any{"Gate": gate, "Reason": "belum"} {
		if f := data.FieldByName(name); f.IsValid() {
			f.Set(reflect.ValueOf(value))
		}
	}
	return data.Interface()
}
