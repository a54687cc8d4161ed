package cases_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
)

// matrix lists, for each command and role, the phases of a gate that accept it: a
// letter for each of [letters], * for all, . for none. It has a row for each command
// of the kind but the first, and a column for each role and for three users without one.
// All but pic and participant are saksi too. The author proposed the step.
//
//nolint:dupword // letters
const matrix = `
                     author  pic  participant saksi bendahara humas verifikator moderator outsider system
member.seat          *       *    .           .     .         .     .           *         .        .
member.remove        *       *    .           .     .         .     .           *         .        .
case.leave           *       *    *           *     *         *     *           *         *        *
transition.propose   -       -    .           .     .         .     .           .         .        .
transition.approve   .       .    .           .     .         .     .           a         .        .
transition.object    .       c    c           c     c         c     c           .         .        .
transition.vote      vr      vr   vr          vr    vr        vr    vr          .         .        .
transition.withdraw  cva     .    .           .     .         .     .           cva       .        .
transition.dispute   h       h    h           h     h         h     h           .         .        .
dispute.resolve      .       .    .           .     .         .     .           d         .        .
vote.void            .       .    .           .     .         .     .           vr        .        .
transition.close     .       .    .           .     .         .     .           .         .        *
transition.remind    .       .    .           .     .         .     .           .         .        *
`

// letters names the phases in the matrix. The empty one is that no gate is open,
// where some commands are accepted and change nothing.
var letters = map[cases.Phase]rune{
	cases.InConsent: 'c', cases.InVote: 'v', cases.InApproval: 'a', cases.InRatifying: 'r', cases.InChallenge: 'h', cases.InDispute: 'd', "": '-',
}

// rows returns the fields of the matrix by command and the names of its columns.
func rows() (cells map[string][]string, columns []string) {
	cells = map[string][]string{}
	for i, line := range strings.Split(strings.Trim(matrix, "\n"), "\n") {
		if fields := strings.Fields(line); i == 0 {
			columns = fields
		} else {
			cells[fields[0]] = fields[1:]
		}
	}
	return cells, columns
}

// phase brings a new case into a phase and returns the seq of its gate. The voter
// gone has voted, where there is a vote, and left.
func phase(t *testing.T, letter rune) (*village, uint64) {
	t.Helper()
	v := found(t, "tuntaskan", dedi)
	for _, role := range cases.Roles()[1:] {
		roles := []cases.Role{role}
		if role != cases.PIC && role != cases.Participant {
			roles = slices.Compact([]cases.Role{cases.Saksi, role})
		}
		v.Do(ani, v.s, cases.Seating{UserID: string(role), TrackRoles: roles})
	}
	v.Do(ani, v.s, cases.Seating{UserID: "gone", TrackRoles: []cases.Role{cases.Saksi}})
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
	if is := v.gate(g.Seq).Phase; is.Open() != (letter != '-') || is.Open() && letters[is] != letter {
		t.Fatalf("the gate is in the phase %s, not %c", is, letter)
	}
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

// TestRoleMatrix: every command of the kind by every role in every phase. One that
// the matrix lacks fails.
func TestRoleMatrix(t *testing.T) {
	kind, _ := rules(cases.BuiltIn())
	cells, columns := rows()
	want := []string{}
	for _, role := range cases.Roles() {
		want = append(want, string(role))
	}
	if want = append(want, "moderator", "outsider", "system"); !slices.Equal(columns, want) || len(cells) != len(kind.Commands)-1 {
		t.Fatalf("the matrix has %d commands by %q, the kind %d by %q", len(cells), columns, len(kind.Commands)-1, want)
	}
	for _, open := range append(cases.OpenPhases(), "") {
		if letters[open] == 0 {
			t.Fatalf("the phase %s has no letter", open)
		}
		v, gate := phase(t, letters[open])
		for _, c := range kind.Commands {
			switch row := cells[c.Name]; {
			case c.Name == cases.CmdCreate:
			case len(row) != len(columns):
				t.Errorf("%s has %d of %d entries", c.Name, len(row), len(columns))
			default:
				v.tryRow(letters[open], gate, c, row, columns)
			}
		}
	}
}

// tryRow runs a command as each role, each in a copy of a village in one phase.
func (v *village) tryRow(letter rune, gate uint64, c gotong.Type, row, columns []string) {
	v.t.Helper()
	others := map[string]gotong.Actor{"author": ani, "moderator": mod, "system": system}
	for i, role := range columns {
		v := &village{World: v.Fork(), t: v.t, s: v.s}
		actor, is := others[role]
		if !is {
			actor = communitytest.User(role)
		}
		_, err := v.Try(actor, v.s, v.command(c, gate))
		if want := row[i] == "*" || strings.ContainsRune(row[i], letter); (err == nil) != want {
			v.t.Errorf("%c %s by %s: %v, want accepted: %t", letter, c.Name, role, err, want)
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
