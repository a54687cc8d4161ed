package cases_test

import (
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/user"
)

const day = 24 * time.Hour

// village is a world of cases, groups and accounts.
type village struct {
	*communitytest.World
	t *testing.T
	s gotong.Stream // the case
}

func rules(tracks *cases.Tracks) (gotong.Kind, gotong.Kind) {
	g := group.Kind()
	return cases.Rules{Lenders: gotong.LendersOf([]gotong.Kind{g}), Tracks: tracks}.Kind(), g
}

var (
	ani, budi, citra, dedi, eka = communitytest.User("ani"), communitytest.User("budi"), communitytest.User("citra"),
		communitytest.User("dedi"), communitytest.User("eka")
	mod    = communitytest.Moderator("mod")
	system = communitytest.System()
)

// found returns a case of ani's on the track, with these members beside her.
func found(t *testing.T, track string, members ...gotong.Actor) *village {
	t.Helper()
	c, g := rules(cases.BuiltIn())
	v := &village{World: communitytest.Run(t, c, g, user.Kind()), t: t, s: cases.StreamOf("ani", "r1")}
	v.Do(ani, v.s, cases.Create{ScopeID: "rt05", Track: track, Title: "Selokan mampet", Privacy: cases.Public})
	for _, m := range members {
		v.Do(ani, v.s, cases.Seating{UserID: m.UserID, TrackRoles: []cases.Role{cases.Participant}})
	}
	return v
}

func (v *village) doc() cases.Case {
	c, _ := v.Doc(cases.CaseKey(v.s.ID())).(cases.Case)
	return c
}

func (v *village) gate(seq uint64) cases.Gate {
	g, _ := v.Doc(cases.GateKey(v.s.ID(), seq)).(cases.Gate)
	return g
}

// propose proposes a step as ani and returns its gate.
func (v *village) propose(c cases.Propose) cases.Gate {
	v.t.Helper()
	c.From = v.doc().Stage
	return v.gate(v.Do(ani, v.s, c)[0].Seq)
}

// close passes the time until the gate closes, and closes it.
func (v *village) close(seq uint64) []gotong.Event {
	v.t.Helper()
	g := v.gate(seq)
	v.Pass(g.ClosesAt.Sub(v.Now()))
	return v.Do(system, v.s, cases.Close{Gate: seq, Due: g.ClosesAt})
}

// types returns the types of events.
func types(events []gotong.Event) (names []string) {
	for _, e := range events {
		names = append(names, e.Type)
	}
	return names
}

// TestTuntaskan goes through a whole track: consent, an objection, a vote, and a
// vote with a challenge.
func TestTuntaskan(t *testing.T) {
	v := found(t, "tuntaskan", budi, citra)
	g := v.propose(cases.Propose{To: "bahas"})
	v.Refuse(ani, v.s, cases.Object{Gate: g.Seq, Reason: "Tidak"}, gotong.CodeForbidden)
	v.Refuse(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes}, gotong.CodeConflict)
	v.Refuse(system, v.s, cases.Close{Gate: g.Seq, Due: g.ClosesAt}, gotong.CodeNotYet)
	v.close(g.Seq)
	if got := v.doc(); got.Stage != "bahas" || got.Gate != 0 {
		t.Fatalf("%+v", got)
	}
	v.Refuse(budi, v.s, cases.Object{Gate: g.Seq, Reason: "Tidak"}, gotong.CodeGateClosed)

	g = v.propose(cases.Propose{To: "garap"})
	v.Do(budi, v.s, cases.Object{Gate: g.Seq, Reason: "Belum ada dana"})
	v.Refuse(citra, v.s, cases.Object{Gate: g.Seq, Reason: "Belum"}, gotong.CodeConflict)
	v.Do(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.No})
	v.Do(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
	v.Idle(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
	v.Refuse(ani, v.s, cases.Propose{From: "bahas", To: "garap"}, gotong.CodeConflict)
	v.Pass(v.gate(g.Seq).ClosesAt.Sub(v.Now()))
	v.Refuse(ani, v.s, cases.Propose{From: "bahas", To: "garap"}, gotong.CodeGateClosing)
	v.Refuse(ani, v.s, cases.Cast{Gate: g.Seq, Choice: cases.No}, gotong.CodeGateClosed)
	v.close(g.Seq)
	if v.doc().Stage != "garap" {
		t.Fatalf("%+v", v.doc())
	}

	g = v.propose(cases.Propose{To: "periksa"})
	v.Do(ani, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
	v.close(g.Seq)
	g = v.propose(cases.Propose{To: "tuntas"})
	v.Do(ani, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
	v.Refuse(budi, v.s, cases.Dispute{Gate: g.Seq, Reason: "Masih mampet"}, gotong.CodeConflict)
	v.close(g.Seq)
	if now := v.gate(g.Seq); now.Phase != cases.InChallenge || v.doc().Stage != "periksa" {
		t.Fatalf("%+v", now)
	}
	v.Do(budi, v.s, cases.Dispute{Gate: g.Seq, Reason: "Masih mampet"})
	v.Refuse(communitytest.Moderator("budi"), v.s, cases.Resolve{Gate: g.Seq, Confirm: true, Reason: "Sudah"}, gotong.CodeForbidden)
	v.Do(mod, v.s, cases.Resolve{Gate: g.Seq, Confirm: true, Reason: "Sudah lancar"})
	if v.doc().Stage != "tuntas" || v.gate(g.Seq).Phase != cases.Applied {
		t.Fatalf("%+v", v.doc())
	}
}
