package cases_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
)

var roleSets = [][]cases.Role{
	{cases.PIC}, {cases.Participant}, {cases.Saksi}, {cases.Participant, cases.Bendahara}, {cases.Author, cases.PIC},
}

// command draws a command, mostly one about the open gate.
func (m *model) command(r *rapid.T, head uint64) any {
	stages := []string{m.stage, "batal", "bahas", "tuntas"}
	gate, due := rapid.Uint64Range(1, head).Draw(r, "gate"), gotong.Instant(1)
	if m.gate != nil && rapid.IntRange(0, 9).Draw(r, "other gate") > 0 {
		gate, due = m.gate.seq, m.gate.closes
	}
	user := rapid.SampledFrom([]string{"ani", "budi", "citra", "dedi", "eka", "fajar"}).Draw(r, "user")
	kind := rapid.IntRange(0, 15).Draw(r, "command")
	if m.gate == nil && kind > 4 {
		kind = 0
	} else if m.gate != nil && rapid.IntRange(0, 2).Draw(r, "fitting") > 0 { // what moves the gate on
		kind = rapid.SampledFrom(map[string][]int{
			"consent": {5, 11, 11}, "approve": {7, 7, 11}, "vote": {14, 14, 14, 4, 10, 11, 13}, "ratify": {14, 14, 4, 10, 11, 13},
			"challenge": {8, 11}, "dispute": {9, 9, 11},
		}[m.gate.w]).Draw(r, "fitting command")
	}
	switch kind {
	case 0, 1:
		to := rapid.SampledFrom(stages).Draw(r, "to")
		if rapid.IntRange(0, 7).Draw(r, "no step") > 0 {
			for s := range strings.SplitSeq(steps[m.track], ";") {
				if at, found := strings.CutPrefix(strings.TrimSpace(s), m.stage+">"); found && rapid.Bool().Draw(r, "this step") {
					to = trimGate(at)
					break
				}
			}
		}
		return cases.Propose{From: m.stage, To: to, FastTrack: rapid.IntRange(0, 3).Draw(r, "fast") == 0}
	case 2, 3:
		return cases.Seating{UserID: user, TrackRoles: rapid.SampledFrom(roleSets).Draw(r, "roles")}
	case 4:
		return rapid.SampledFrom([]any{cases.Remove{UserID: user}, cases.Leave{}}).Draw(r, "go")
	case 5:
		return cases.Object{Gate: gate, Reason: "belum"}
	case 6:
		return cases.Withdraw{Gate: gate}
	case 7:
		return cases.Approve{Gate: gate}
	case 8:
		return cases.Dispute{Gate: gate, Reason: "belum"}
	case 9:
		return cases.Resolve{Gate: gate, Confirm: rapid.Bool().Draw(r, "confirm"), Reason: "sudah"}
	case 10:
		return cases.Void{Gate: gate, UserID: user, Reason: "pindah"}
	case 11, 12:
		return cases.Close{Gate: gate, Due: due}
	case 13:
		return cases.Remind{Gate: gate, Due: due}
	default:
		return cases.Cast{Gate: gate, Choice: rapid.SampledFrom([]cases.Choice{cases.Yes, cases.Yes, cases.No, cases.Abstain}).Draw(r, "choice")}
	}
}

// trimGate returns the stage before the letters of its gate.
func trimGate(s string) string {
	words := strings.Fields(s)
	for n := len(words); n > 1; n-- {
		if strings.Trim(words[n-1], "cvsekhof/") != "" {
			return strings.Join(words[:n], " ")
		}
	}
	return words[0]
}

// TestCasesAgreeWithAModel: random commands, legal or not, over all tracks, gates
// and roles. The world compares the stored documents with the projection of all
// events from zero after each command.
func TestCasesAgreeWithAModel(t *testing.T) {
	kind, _ := rules(cases.BuiltIn())
	rapid.Check(t, func(r *rapid.T) {
		w := communitytest.Run(r, kind)
		s := cases.StreamOf("ani", "r1")
		m := &model{track: rapid.SampledFrom(slices.Sorted(maps.Keys(steps))).Draw(r, "track"), author: "ani", known: map[uint64]bool{}}
		w.Do(ani, s, cases.Create{ScopeID: "rt05", Track: m.track, Title: "Selokan", Privacy: cases.Public})
		doc := func() cases.Case { c, _ := w.Doc(cases.CaseKey(s.ID())).(cases.Case); return c }
		m.stage, m.members = doc().Stage, map[string][]cases.Role{"ani": {cases.Author}}
		for _, id := range []string{"budi", "citra", "dedi", "eka"}[:rapid.IntRange(0, 4).Draw(r, "members")] {
			roles := rapid.SampledFrom(roleSets[:4]).Draw(r, "first roles")
			w.Do(ani, s, cases.Seating{UserID: id, TrackRoles: roles})
			m.members[id] = roles
		}
		for range rapid.IntRange(5, 120).Draw(r, "commands") {
			switch rapid.IntRange(0, 5).Draw(r, "pass") {
			case 0:
				w.Pass(time.Duration(rapid.IntRange(-5, 60).Draw(r, "hours")) * time.Hour)
			case 1, 2: // to an end, or to the instant before or after it
				if g := m.gate; g != nil {
					at := g.opens + (g.closes-g.opens)*gotong.Instant(rapid.IntRange(3, 4).Draw(r, "quarters"))/4
					w.Pass(at.Sub(w.Now()) + time.Duration(rapid.IntRange(-2, 0).Draw(r, "beside"))*time.Millisecond)
				}
			}
			actor := communitytest.User(rapid.SampledFrom([]string{"ani", "ani", "budi", "citra", "dedi", "eka", "fajar"}).Draw(r, "actor"))
			data := m.command(r, w.Head(s).Seq)
			switch data.(type) {
			case cases.Close, cases.Remind:
				actor = system
			case cases.Approve, cases.Resolve, cases.Void:
				actor = rapid.SampledFrom([]gotong.Actor{mod, mod, communitytest.Moderator("budi"), actor}).Draw(r, "moderator")
			}
			m.now = w.Now() + 1000
			before := m.gate
			want := m.do(actor, data, w.Head(s).Seq+1)
			events, err := w.Try(actor, s, data)
			got := accepted
			switch {
			case err != nil:
				got = rejected
			case len(events) == 0:
				got = idle
			}
			if got != want {
				r.Fatalf("%T%+v by %s: %s (%v), the model says %s; the gate was %+v", data, data, actor.UserID, got, err, want, before)
			}
			m.compare(r, doc(), func(seq uint64) cases.Gate { g, _ := w.Doc(cases.GateKey(s.ID(), seq)).(cases.Gate); return g })
		}
	})
}

// compare compares the documents with the model.
func (m *model) compare(r *rapid.T, doc cases.Case, gate func(uint64) cases.Gate) {
	var ids []string
	for _, seat := range doc.Seats {
		ids = append(ids, seat.UserID)
	}
	open := uint64(0)
	if m.gate != nil {
		open = m.gate.seq
		g := gate(open)
		votes := map[string]cases.Choice{}
		for _, b := range g.Ballots {
			votes[b.UserID] = b.Choice
		}
		if g.ClosesAt != m.gate.closes || g.Voters != len(m.gate.frozen) || !maps.Equal(votes, m.gate.votes) {
			r.Fatalf("the gate is %+v, the model has %+v", g, *m.gate)
		}
	}
	if doc.Stage != m.stage || doc.Gate != open || !slices.Equal(ids, slices.Sorted(maps.Keys(m.members))) {
		r.Fatalf("the case is %+v, the model has %s", doc, fmt.Sprint(m.stage, open, m.members))
	}
}
