package cases_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/user"
)

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

// opened returns a case of ani's on one of the tracks.
func opened(t *testing.T, tracks *cases.Tracks, track string) *village {
	t.Helper()
	c, g := rules(tracks)
	v := &village{World: communitytest.Run(t, c, g, user.Kind()), t: t, s: cases.StreamOf("ani", "r1")}
	v.Do(ani, v.s, cases.Create{ScopeID: "rt05", Track: track, Title: "Selokan mampet", Privacy: cases.Public})
	return v
}

// found returns a case of ani's on the track, with these members beside her.
func found(t *testing.T, track string, members ...gotong.Actor) *village {
	t.Helper()
	v := opened(t, cases.BuiltIn(), track)
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

func TestQuorum(t *testing.T) {
	for _, c := range []struct{ percent, limit, voters, want int }{
		{30, 50, 0, 1}, {30, 50, 1, 1}, {30, 50, 3, 1}, {30, 50, 4, 2}, {30, 50, 10, 3}, {30, 50, 11, 4}, {30, 50, 166, 50},
		{30, 50, 167, 50}, {30, 50, 1000, 50}, {45, 75, 166, 75}, {45, 75, 3, 2}, {100, 0, 1000, 1000}, {1, 0, 1, 1},
	} {
		if got := (cases.Terms{Quorum: c.percent, Cap: c.limit}).Needed(c.voters); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestWhatTheVotesGive: at the bounds of quorum and threshold, and with the yes of a role.
func TestWhatTheVotesGive(t *testing.T) {
	kind, _ := rules(cases.BuiltIn())
	s, pic := cases.StreamOf("ani", "r1"), []cases.Role{cases.PIC}
	for name, c := range map[string]struct {
		choices []cases.Choice // the first is of a PIC
		yesOf   []cases.Role
		want    cases.Why
	}{
		"one too few":      {[]cases.Choice{cases.Yes, cases.Yes}, nil, cases.WhyQuorum},
		"just enough":      {[]cases.Choice{cases.Yes, cases.Yes, cases.Yes}, nil, cases.WhyPassed},
		"with abstentions": {[]cases.Choice{cases.Yes, cases.Abstain, cases.Abstain}, nil, cases.WhyPassed},
		"a tie":            {[]cases.Choice{cases.Yes, cases.No, cases.Abstain}, nil, cases.WhyThreshold},
		"its yes":          {[]cases.Choice{cases.Yes, cases.Yes, cases.No}, pic, cases.WhyPassed},
		"its no":           {[]cases.Choice{cases.No, cases.Yes, cases.Yes}, pic, cases.WhyYesOf},
	} {
		g := cases.Gate{Phase: cases.InVote, Proposed: cases.Proposed{
			Seq: 2, Voters: 10, ClosesAt: 5, Terms: cases.Terms{Quorum: 30, Threshold: 50, YesOf: c.yesOf},
		}}
		for i, choice := range c.choices {
			b := cases.Ballot{UserID: gotong.SeqName(uint64(i)), Seq: uint64(3 + i), Choice: choice, TrackRoles: []cases.Role{cases.Participant}}
			if i == 0 {
				b.TrackRoles = pic
			}
			g.Ballots = append(g.Ballots, b)
		}
		state := gotong.NewState(s, gotong.Head{Seq: 9})
		state.SetDoc(cases.CaseKey(s.ID()), cases.Case{Gate: 2, Home: "scope/rt05"})
		state.SetDoc(cases.GateKey(s.ID(), 2), g)
		d, err := kind.Decide(state, gotong.Command{Stream: s, Actor: system, Data: cases.Close{Gate: 2, Due: 5}, Now: 5})
		if err != nil {
			t.Fatal(err)
		}
		if tally, _ := d.Facts[0].Data.(cases.Tallied); tally.Why != c.want {
			t.Errorf("%s: %q, want %q", name, tally.Why, c.want)
		}
	}
}

// TestFastTrack: somebody else approves, a vote ratifies, and without a pass the
// step is undone.
func TestFastTrack(t *testing.T) {
	v := found(t, "tuntaskan", budi, citra)
	v.close(v.propose(cases.Propose{To: "bahas"}).Seq)
	v.Refuse(ani, v.s, cases.Propose{From: "bahas", To: "rancang", FastTrack: true}, gotong.CodeNoSuchStep)
	g := v.propose(cases.Propose{To: "garap", FastTrack: true})
	v.Refuse(budi, v.s, cases.Approve{Gate: g.Seq}, gotong.CodeForbidden)
	v.Refuse(communitytest.Moderator("ani"), v.s, cases.Approve{Gate: g.Seq}, gotong.CodeForbidden)
	v.Do(mod, v.s, cases.Approve{Gate: g.Seq})
	if v.doc().Stage != "garap" {
		t.Fatalf("%+v", v.doc())
	}
	v.Do(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.No})
	v.close(g.Seq)
	if v.doc().Stage != "bahas" || v.gate(g.Seq).Phase != cases.Undone {
		t.Fatalf("%+v", v.doc())
	}
	g = v.propose(cases.Propose{To: "garap", FastTrack: true})
	v.Do(mod, v.s, cases.Approve{Gate: g.Seq})
	v.Do(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
	if v.close(g.Seq); v.doc().Stage != "garap" || v.gate(g.Seq).Phase != cases.Ratified {
		t.Fatalf("%+v", v.doc())
	}
}

// TestStricterGates: a proposer can choose a stricter gate, never a laxer one, and
// what a request says of the gate is compared alone.
func TestStricterGates(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		propose cases.Propose
		want    gotong.Code // empty: accepted
		gate    cases.GateType
	}{
		"own":               {cases.Propose{}, "", cases.Consent},
		"named":             {cases.Propose{Profile: "routine"}, "", cases.Consent},
		"vote":              {cases.Propose{Profile: "standard"}, "", cases.Vote},
		"challenge":         {cases.Propose{Profile: "completion"}, "", cases.Challenge},
		"secret":            {cases.Propose{Profile: "standard", Secret: true}, "", cases.Vote},
		"unknown":           {cases.Propose{Profile: "juri"}, gotong.CodeInvalid, ""},
		"fast track":        {cases.Propose{Profile: "emergency"}, gotong.CodeInvalid, ""},
		"secret consent":    {cases.Propose{Secret: true}, gotong.CodeInvalid, ""},
		"secret with roles": {cases.Propose{Profile: "spend", Secret: true}, gotong.CodeInvalid, ""},
		"status":            {cases.Propose{GateStatus: "open"}, "", cases.Consent},
		"other status":      {cases.Propose{GateStatus: "applied"}, gotong.CodeConflict, ""},
		"type":              {cases.Propose{GateMetadata: &cases.Expects{GateType: cases.Consent, PorRefs: &no, ChallengeWindow: &no}}, "", cases.Consent},
		"other type":        {cases.Propose{GateMetadata: &cases.Expects{GateType: cases.None}}, gotong.CodeConflict, ""},
		"claims evidence":   {cases.Propose{GateMetadata: &cases.Expects{PorRefs: &yes}}, gotong.CodeConflict, ""},
		"claims a window":   {cases.Propose{GateMetadata: &cases.Expects{ChallengeWindow: &yes}}, gotong.CodeConflict, ""},
		"other track":       {cases.Propose{Track: "wujudkan"}, gotong.CodeNoSuchStep, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := found(t, "tuntaskan", budi)
			c.propose.From, c.propose.To = "keresahan", "bahas"
			if c.want != "" {
				v.Refuse(ani, v.s, c.propose, c.want)
			} else if g := v.propose(c.propose); g.Terms.Gate != c.gate || g.Terms.Secret != c.propose.Secret {
				t.Errorf("%+v", g)
			}
		})
	}
	v := found(t, "tuntaskan", budi, citra, dedi, eka)
	v.close(v.propose(cases.Propose{To: "bahas"}).Seq)
	v.Refuse(ani, v.s, cases.Propose{From: "bahas", To: "rancang", Profile: "simple"}, gotong.CodeInvalid)
	v.Refuse(ani, v.s, cases.Propose{From: "bahas", To: "garap"}, gotong.CodeNoSuchStep)
	v.Refuse(ani, v.s, cases.Propose{From: "keresahan", To: "bahas"}, gotong.CodeNoSuchStep)
	g := v.propose(cases.Propose{To: "rancang"})
	if g.Terms.Gate != cases.Vote {
		t.Errorf("of five voters: %+v", g)
	}
	v.Do(ani, v.s, cases.Leave{})
	v.Refuse(ani, v.s, cases.Withdraw{Gate: g.Seq}, gotong.CodeForbidden) // no longer a member
}

// TestSpending needs a yes of the PIC and one of the treasurer.
func TestSpending(t *testing.T) {
	v := found(t, "wujudkan")
	v.Do(ani, v.s, cases.Seating{UserID: "budi", TrackRoles: []cases.Role{cases.PIC}})
	v.Do(ani, v.s, cases.Seating{UserID: "citra", TrackRoles: []cases.Role{cases.Bendahara, cases.Saksi}})
	v.Refuse(ani, v.s, cases.Seating{UserID: "dedi", TrackRoles: []cases.Role{cases.PIC, cases.Bendahara}}, gotong.CodeInvalid)
	v.Refuse(ani, v.s, cases.Seating{UserID: "dedi", TrackRoles: []cases.Role{cases.Humas}}, gotong.CodeInvalid)
	v.Refuse(budi, v.s, cases.Remove{UserID: "ani"}, gotong.CodeForbidden) // a PIC removes no author
	for _, to := range []string{"bahas", "rancang"} {
		v.close(v.propose(cases.Propose{To: to}).Seq)
	}
	for _, with := range [][]gotong.Actor{{ani, budi}, {ani, citra}, {budi, citra}} {
		g := v.propose(cases.Propose{To: "galang"})
		for _, voter := range with {
			v.Do(voter, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
		}
		v.close(g.Seq)
	}
	if v.doc().Stage != "galang" {
		t.Errorf("%+v", v.doc())
	}
}

// TestSecretVotes: nobody but a voter learns a choice, neither before the close
// nor from the tally of a secret gate; each voter finds their vote counted.
func TestSecretVotes(t *testing.T) {
	v := found(t, "tuntaskan", budi, citra)
	g := v.propose(cases.Propose{To: "bahas", Profile: "standard", Secret: true})
	voted := v.Do(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Abstain})
	v.Do(citra, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
	tally, _ := v.close(g.Seq)[0].Data.(cases.Tallied)
	if tally.Abstain != 1 || len(tally.Ballots) != 2 || tally.Ballots[0].UserID != "budi" || tally.Ballots[0].Seq != voted[0].Seq || tally.Ballots[0].Choice != "" {
		t.Errorf("%+v", tally)
	}
	for _, e := range v.History(v.s, gotong.Viewer{UserID: "ani"}) {
		if _, is := e.Data.(cases.Voted); is {
			t.Errorf("ani sees %+v", e)
		}
	}
	seen := 0
	for _, e := range v.History(v.s, gotong.Viewer{UserID: "budi"}) {
		if _, is := e.Data.(cases.Voted); is {
			seen++
		}
	}
	if seen != 1 {
		t.Errorf("budi sees %d votes", seen)
	}
}

// TestManyVoters: a tally of more than 200 voters names the seqs of their votes.
func TestManyVoters(t *testing.T) {
	kind, _ := rules(cases.BuiltIn())
	s := cases.StreamOf("ani", "r1")
	for _, n := range []int{cases.MaxListed, cases.MaxListed + 1} {
		g := cases.Gate{Phase: cases.InVote, Proposed: cases.Proposed{Seq: 2, Voters: n, ClosesAt: 5, Terms: cases.Terms{Quorum: 30, Threshold: 50}}}
		for i := range n {
			g.Ballots = append(g.Ballots, cases.Ballot{UserID: gotong.SeqName(uint64(i)), Seq: uint64(3 + i), Choice: cases.No})
		}
		state := gotong.NewState(s, gotong.Head{Seq: 9})
		state.SetDoc(cases.CaseKey(s.ID()), cases.Case{Gate: 2, Home: "scope/rt05"})
		state.SetDoc(cases.GateKey(s.ID(), 2), g)
		d, err := kind.Decide(state, gotong.Command{Stream: s, Actor: system, Data: cases.Close{Gate: 2, Due: 5}, Now: 5})
		if err != nil || len(d.Facts) != 2 {
			t.Fatal(d, err)
		}
		tally, _ := d.Facts[0].Data.(cases.Tallied)
		if many := n > cases.MaxListed; tally.No != n || (len(tally.Seqs) == n) != many || (len(tally.Ballots) == n) == many || tally.Why != cases.WhyThreshold {
			t.Errorf("%d: %d ballots, %d seqs, %+v", n, len(tally.Ballots), len(tally.Seqs), tally.Count)
		}
	}
}

// TestCasesOfAGroup: only members of the group are members of its cases; a user
// who leaves it loses them at once and casts no further vote, also if they return.
func TestCasesOfAGroup(t *testing.T) {
	c, g := rules(cases.BuiltIn())
	v := &village{World: communitytest.Run(t, c, g, user.Kind()), t: t, s: cases.StreamOf("ani", "r1")}
	rt := group.StreamOf("ani", "g1")
	v.Do(ani, rt, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	v.Do(budi, rt, group.Join{})
	create := cases.Create{ScopeID: rt.ID(), Track: "tuntaskan", Title: "Selokan", Privacy: cases.Private}
	v.Refuse(citra, v.s, create, gotong.CodeNotFound)
	v.Do(ani, v.s, create)
	v.Refuse(ani, v.s, cases.Seating{UserID: "citra", TrackRoles: []cases.Role{cases.Saksi}}, gotong.CodeConflict)
	v.Do(ani, v.s, cases.Seating{UserID: "budi", TrackRoles: []cases.Role{cases.Saksi}})
	gate := v.propose(cases.Propose{To: "bahas", Profile: "standard"})
	v.Do(budi, v.s, cases.Cast{Gate: gate.Seq, Choice: cases.Yes})
	v.Do(budi, rt, group.Leave{})
	if v.Access(v.s, gotong.Viewer{UserID: "budi"}).Readable {
		t.Error("budi left the group and still reads its case")
	}
	v.Refuse(budi, v.s, cases.Cast{Gate: gate.Seq, Choice: cases.No}, gotong.CodeNotFound)
	v.Do(budi, rt, group.Join{})
	v.Refuse(budi, v.s, cases.Cast{Gate: gate.Seq, Choice: cases.No}, gotong.CodeForbidden)
	v.Do(budi, rt, group.Leave{})
	if g := v.propose2(); g.Voters != 1 {
		t.Errorf("%+v", g)
	}
}

// propose2 closes the open gate and proposes the next step.
func (v *village) propose2() cases.Gate {
	v.close(v.doc().Gate)
	return v.propose(cases.Propose{To: "rancang"})
}

// ronda returns a case of ani's on the track ronda of this file.
func ronda(t *testing.T, file string) *village {
	t.Helper()
	tracks, err := cases.Load(map[string][]byte{"ronda.yaml": []byte(file)})
	if err != nil {
		t.Fatal(err)
	}
	return opened(t, tracks, "ronda")
}

// TestNoLaxerGateIsChosen, whatever it is laxer in.
func TestNoLaxerGateIsChosen(t *testing.T) {
	v := ronda(t, `
profiles:
  strict: {gate: vote, window: 24h, quorum: 30, threshold: 60, secret: true}
  lower:  {gate: vote, window: 24h, quorum: 30, threshold: 50, secret: true}
  shown:  {gate: vote, window: 24h, quorum: 30, threshold: 60}
  agreed: {gate: consent, window: 24h, vote: strict}
  hasty:  {gate: consent, window: 12h, vote: strict}
tracks: {ronda: {stages: [keresahan, bahas, rancang], edges: [
  {from: keresahan, to: bahas, gate: strict}, {from: keresahan, to: rancang, gate: agreed}, {from: bahas, to: rancang, gate: strict}]}}
`)
	for profile, to := range map[string]string{"lower": "bahas", "shown": "bahas", "hasty": "rancang"} {
		v.Refuse(ani, v.s, cases.Propose{From: "keresahan", To: to, Profile: profile}, gotong.CodeInvalid)
	}
	v.propose(cases.Propose{To: "rancang", Profile: "strict"})
}

// TestPartiesOfADispute: the author and the PICs are parties, also if they did nothing;
// another member who did nothing is none.
func TestPartiesOfADispute(t *testing.T) {
	v := ronda(t, `
profiles: {uji: {gate: challenge, window: 24h, quorum: 10, threshold: 50, challenge: 24h, dispute: 24h}}
tracks: {ronda: {stages: [keresahan, bahas], edges: [{from: keresahan, to: bahas, gate: uji}]}}
`)
	for who, role := range map[string]cases.Role{"budi": cases.PIC, "citra": cases.PIC, "dedi": cases.Participant, "eka": cases.Participant} {
		v.Do(ani, v.s, cases.Seating{UserID: who, TrackRoles: []cases.Role{role}})
	}
	gate := v.Do(budi, v.s, cases.Propose{From: "keresahan", To: "bahas"})[0].Seq
	v.Do(budi, v.s, cases.Cast{Gate: gate, Choice: cases.Yes})
	v.Do(eka, v.s, cases.Cast{Gate: gate, Choice: cases.Abstain})
	v.close(gate)
	v.Do(budi, v.s, cases.Dispute{Gate: gate, Reason: "Masih mampet"})
	decision := cases.Resolve{Gate: gate, Confirm: true, Reason: "Sudah lancar"}
	for _, party := range []string{"ani", "budi", "citra", "eka"} {
		v.Refuse(communitytest.Moderator(party), v.s, decision, gotong.CodeForbidden)
	}
	v.Do(communitytest.Moderator("dedi"), v.s, decision)
}
