package cases_test

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
)

// TestMain keeps the walks few unless a flag says otherwise: there are as many for
// each state, in a scope and in a group.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("10") // a number; a fifth of it with -short
	}
	os.Exit(m.Run())
}

// goal is a state of a gate, and the way that leads there from its proposal.
type goal struct {
	profile string // stricter than the consent of the step; empty: the consent
	fast    bool
	way     func(v *walk)
	phase   cases.Phase
	why     cases.Why
}

// yes lets a vote pass.
func yes(v *walk) { v.cast(cases.Yes) }
func no(v *walk)  { v.cast(cases.No) }

// cast lets every member vote.
func (v *walk) cast(c cases.Choice) {
	for _, id := range v.m.voters() {
		v.do(communitytest.User(id), cases.Cast{Gate: v.m.gate.seq, Choice: c})
	}
}

// end lets the open window end. In a group, citra is removed before, who may have
// voted.
func end(v *walk) {
	if v.m.group["citra"] {
		v.move("citra", false)
	}
	g := v.m.gate
	v.w.Pass(g.closes.Sub(v.w.Now()))
	v.do(system, cases.Close{Gate: g.seq, Due: g.closes})
}

// again is a second window.
func again(v *walk) { end(v) }

func object(v *walk)   { v.do(budi, cases.Object{Gate: v.m.gate.seq, Reason: "Belum ada dana"}) }
func withdraw(v *walk) { v.do(ani, cases.Withdraw{Gate: v.m.gate.seq}) }
func dispute(v *walk)  { v.do(budi, cases.Dispute{Gate: v.m.gate.seq, Reason: "Masih mampet"}) }

// approve is by a moderator or, if a group may know of the case, by its head.
func approve(v *walk) {
	by := mod
	if v.m.group != nil && !v.m.private {
		by = communitytest.User(head)
	}
	v.do(by, cases.Approve{Gate: v.m.gate.seq})
}

func resolve(confirm bool) func(*walk) {
	return func(v *walk) {
		v.do(mod, cases.Resolve{Gate: v.m.gate.seq, Confirm: confirm, Reason: "Sudah diperiksa"})
	}
}

// way is steps one after the other.
func way(steps ...func(*walk)) func(*walk) {
	return func(v *walk) {
		for _, f := range steps {
			f(v)
		}
	}
}

// goals are all states of a gate: the phases where it is open, and the outcomes
// with every reason.
var goals = map[string]goal{
	"consent":      {way: way(), phase: cases.InConsent},
	"vote":         {profile: "standard", way: way(), phase: cases.InVote},
	"objection":    {way: object, phase: cases.InVote},
	"approval":     {fast: true, way: way(), phase: cases.InApproval},
	"ratification": {fast: true, way: approve, phase: cases.InRatifying},
	"challenge":    {profile: "completion", way: way(yes, end), phase: cases.InChallenge, why: cases.WhyPassed},
	"dispute":      {profile: "completion", way: way(yes, end, dispute), phase: cases.InDispute, why: cases.WhyPassed},
	"no objection": {way: end, phase: cases.Applied, why: cases.WhyConsent},
	"passed":       {profile: "evidence", way: way(yes, end), phase: cases.Applied, why: cases.WhyPassed},
	"quorum":       {profile: "high_impact", way: end, phase: cases.Rejected, why: cases.WhyQuorum},
	"threshold":    {way: way(object, no, end), phase: cases.Rejected, why: cases.WhyThreshold},
	"yes of":       {profile: "spend", way: way(yes, end), phase: cases.Rejected, why: cases.WhyYesOf},
	"no dispute":   {profile: "completion", way: way(yes, end, again), phase: cases.Applied, why: cases.WhyChallenge},
	"confirmed":    {profile: "completion", way: way(yes, end, dispute, resolve(true)), phase: cases.Applied, why: cases.WhyConfirmed},
	"overruled":    {profile: "high_impact", way: way(yes, end, dispute, resolve(false)), phase: cases.Rejected, why: cases.WhyOverruled},
	"undecided":    {profile: "completion", way: way(yes, end, dispute, again), phase: cases.Rejected, why: cases.WhyUndecided},
	"withdrawn":    {way: withdraw, phase: cases.Revoked, why: cases.WhyWithdrawn},
	"not approved": {fast: true, way: end, phase: cases.Rejected, why: cases.WhyUnapproved},
	"ratified":     {fast: true, way: way(approve, yes, end), phase: cases.Ratified, why: cases.WhyPassed},
	"undone":       {fast: true, way: way(approve, no, end), phase: cases.Undone, why: cases.WhyThreshold},
}

// reach walks to a goal.
func (v *walk) reach(g goal) {
	stages := map[string][]string{"tuntaskan": {"bahas", "rancang", "garap"}, "wujudkan": {"bahas", "rancang", "garap"}}[v.m.track]
	if !g.fast {
		stages = []string{trimGate(strings.TrimSpace(strings.SplitN(strings.SplitN(steps[v.m.track], ";", 2)[0], ">", 2)[1]))}
	}
	for _, to := range stages[:len(stages)-1] {
		v.do(ani, cases.Propose{From: v.m.stage, To: to})
		if v.m.gate.w == "vote" {
			yes(v)
		}
		end(v)
	}
	v.do(ani, cases.Propose{From: v.m.stage, To: stages[len(stages)-1], Profile: g.profile, FastTrack: g.fast})
	seq := v.m.gate.seq
	g.way(v)
	if is := v.gate(seq); is.Phase != g.phase || is.Why != g.why || is.Phase.Open() != (v.m.gate != nil) {
		v.Fatalf("reached %+v; the model is at %+v", is, v.m.gate)
	}
}

// TestCasesAgreeWithAModel: for every state of a gate, in a scope and in a group, a
// walk that leads there over any track that has the way, then erasures of every text
// so far, and then random commands, legal or not, by all roles. In a group, users
// are removed and return.
func TestCasesAgreeWithAModel(t *testing.T) {
	reached, ran := map[string]int{}, 0
	for name, g := range goals {
		for _, home := range []string{"scope", "group"} {
			t.Run(home+" "+name, func(t *testing.T) {
				ran++
				rapid.Check(t, func(r *rapid.T) {
					tracks := slices.Sorted(maps.Keys(steps))
					if g.fast {
						tracks = []string{"tuntaskan", "wujudkan"}
					}
					v := begin(r, rapid.SampledFrom(tracks).Draw(r, "track"), home == "group", g.why == cases.WhyYesOf)
					v.reach(g)
					reached[home+" "+string(g.phase)]++
					reached[home+" "+string(g.why)]++
					for seq := range v.w.Head(v.s).Seq {
						if seq++; v.erase(seq) {
							reached[home+" erased "+v.w.Event(v.s, seq).Type]++
						}
					}
					for range rapid.IntRange(5, 40).Draw(r, "commands") {
						v.random()
					}
				})
			})
		}
	}
	if ran < 2*len(goals) || t.Failed() { // only some were asked for, or one has failed
		return
	}
	var want []string
	for _, p := range []cases.Phase{
		cases.InConsent, cases.InVote, cases.InApproval, cases.InRatifying, cases.InChallenge, cases.InDispute,
		cases.Applied, cases.Rejected, cases.Revoked, cases.Ratified, cases.Undone,
	} {
		want = append(want, string(p))
	}
	for _, why := range []cases.Why{ // all but WhyNoGate, because every step of these tracks has a gate
		cases.WhyPassed, cases.WhyQuorum, cases.WhyThreshold, cases.WhyYesOf, cases.WhyConsent, cases.WhyChallenge, cases.WhyConfirmed,
		cases.WhyOverruled, cases.WhyUndecided, cases.WhyUnapproved, cases.WhyWithdrawn,
	} {
		want = append(want, string(why))
	}
	for _, typ := range []string{cases.EvCreated, cases.EvObjected, cases.EvDisputed, cases.EvResolved} {
		want = append(want, "erased "+typ)
	}
	for _, state := range want {
		for _, home := range []string{"scope ", "group "} {
			if reached[home+state] == 0 {
				t.Errorf("%s%s was never reached", home, state)
			}
		}
	}
}
