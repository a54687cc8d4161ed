package cases_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/user"
)

// walk is a case beside its model. Each step compares the two, and the world
// compares the stored documents with the projection of all events from zero.
type walk struct {
	*rapid.T
	w     *communitytest.World
	s, rt gotong.Stream
	m     *model
}

var roleSets = [][]cases.Role{
	{cases.PIC}, {cases.Participant}, {cases.Saksi}, {cases.Participant, cases.Bendahara}, {cases.Author, cases.PIC},
}

// begin returns a walk on a track: a case of ani's with two to four members beside
// her, in a scope or in a group.
func begin(r *rapid.T, track string, grouped, plain bool) *walk {
	kind, g := rules(cases.BuiltIn())
	v := &walk{T: r, w: communitytest.Run(r, kind, g, user.Kind()), s: cases.StreamOf("ani", "r1"), rt: group.StreamOf(head, "g1")}
	v.m = &model{track: track, author: "ani", private: rapid.Bool().Draw(r, "private"), known: map[uint64]bool{}}
	create := cases.Create{ScopeID: "rt05", Track: track, Title: "Selokan", Description: "Mampet", Privacy: cases.Public}
	if v.m.private {
		create.Privacy = cases.Private
	}
	others := []string{"budi", "citra", "dedi", "eka"}[:rapid.IntRange(2, 4).Draw(r, "members")]
	if grouped {
		v.m.group = map[string]bool{}
		v.w.Do(communitytest.User(head), v.rt, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
		for _, id := range append(others, "ani") {
			v.move(id, true)
		}
		create.ScopeID = v.rt.ID()
	}
	v.w.Do(ani, v.s, create)
	v.m.stage, v.m.members = v.doc().Stage, map[string][]cases.Role{"ani": {cases.Author}}
	for _, id := range others {
		roles := roleSets[1]
		if !plain {
			roles = rapid.SampledFrom(roleSets[:4]).Draw(r, "first roles")
		}
		v.do(ani, cases.Seating{UserID: id, TrackRoles: roles})
	}
	return v
}

func (v *walk) doc() cases.Case { c, _ := v.w.Doc(cases.CaseKey(v.s.ID())).(cases.Case); return c }

func (v *walk) gate(seq uint64) cases.Gate {
	g, _ := v.w.Doc(cases.GateKey(v.s.ID(), seq)).(cases.Gate)
	return g
}

// move moves a user into the group, or out of it: they leave, or are removed.
func (v *walk) move(id string, in bool) {
	switch {
	case in:
		v.w.Do(communitytest.User(id), v.rt, group.Join{})
	case rapid.Bool().Draw(v.T, "leaves"):
		v.w.Do(communitytest.User(id), v.rt, group.Leave{})
	default:
		v.w.Do(communitytest.User(head), v.rt, group.Remove{UserID: id})
	}
	v.m.move(id, in)
}

// erase erases the content of an event of the case, if it has some, and reports
// whether it had.
func (v *walk) erase(seq uint64) bool {
	e := v.w.Event(v.s, seq)
	if e.Content == nil {
		return false
	}
	v.w.Do(communitytest.Admin("eraser"), v.s, gotong.Erase{Events: []gotong.EventID{e.ID}, Reason: "Permintaan warga"})
	v.compare()
	return true
}

// step runs a command in the world and in the model.
func (v *walk) step(actor gotong.Actor, data any) result {
	v.m.now = v.w.Now() + 1000
	before := v.m.gate
	want := v.m.do(actor, data, v.w.Head(v.s).Seq+1)
	events, err := v.w.Try(actor, v.s, data)
	got := accepted
	switch {
	case err != nil:
		got = rejected
	case len(events) == 0:
		got = idle
	}
	if got != want {
		v.Fatalf("%T%+v by %s: %s (%v), the model says %s; the gate was %+v", data, data, actor.UserID, got, err, want, before)
	}
	v.compare()
	return got
}

// do runs a command that must take effect.
func (v *walk) do(actor gotong.Actor, data any) {
	if got := v.step(actor, data); got != accepted {
		v.Fatalf("%T%+v by %s: %s", data, data, actor.UserID, got)
	}
}

// compare compares the documents with the model.
func (v *walk) compare() {
	doc, m, open := v.doc(), v.m, uint64(0)
	var ids []string
	for _, seat := range doc.Seats {
		ids = append(ids, seat.UserID)
	}
	if m.gate != nil {
		open = m.gate.seq
		g := v.gate(open)
		votes := map[string]cases.Choice{}
		for _, b := range g.Ballots {
			votes[b.UserID] = b.Choice
		}
		if g.ClosesAt != m.gate.closes || g.Voters != len(m.gate.frozen) || !maps.Equal(votes, m.gate.votes) {
			v.Fatalf("the gate is %+v, the model has %+v", g, *m.gate)
		}
	}
	if doc.Stage != m.stage || doc.Gate != open || !slices.Equal(ids, slices.Sorted(maps.Keys(m.members))) {
		v.Fatalf("the case is %+v, the model has %s", doc, fmt.Sprint(m.stage, open, m.members))
	}
}

// random runs a random command, legal or not, after some time.
func (v *walk) random() {
	r, m := v.T, v.m
	switch rapid.IntRange(0, 5).Draw(r, "pass") {
	case 0:
		v.w.Pass(time.Duration(rapid.IntRange(-5, 60).Draw(r, "hours")) * time.Hour)
	case 1, 2: // to an end, or to the instant before or after it
		if g := m.gate; g != nil {
			at := g.opens + (g.closes-g.opens)*gotong.Instant(rapid.IntRange(3, 4).Draw(r, "quarters"))/4
			v.w.Pass(at.Sub(v.w.Now()) + time.Duration(rapid.IntRange(-2, 0).Draw(r, "beside"))*time.Millisecond)
		}
	}
	people := []string{"ani", "ani", "budi", "citra", "dedi", "eka", "fajar"}
	switch who := rapid.SampledFrom(people).Draw(r, "who"); rapid.IntRange(0, 11).Draw(r, "beside the case") {
	case 0:
		v.erase(rapid.Uint64Range(1, v.w.Head(v.s).Seq).Draw(r, "erased"))
		return
	case 1, 2:
		if m.group != nil {
			v.move(who, !m.group[who])
			return
		}
	}
	if m.group != nil {
		people = append(people, head)
	}
	actor := communitytest.User(rapid.SampledFrom(people).Draw(r, "actor"))
	data := v.command()
	switch data.(type) {
	case cases.Close, cases.Remind:
		actor = system
	case cases.Approve, cases.Resolve, cases.Void:
		actor = rapid.SampledFrom([]gotong.Actor{mod, mod, communitytest.Moderator("budi"), actor}).Draw(r, "moderator")
	}
	v.step(actor, data)
}

// command draws a command, mostly one about the open gate.
func (v *walk) command() any {
	r, m := v.T, v.m
	gate, due := rapid.Uint64Range(1, v.w.Head(v.s).Seq).Draw(r, "gate"), gotong.Instant(1)
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
		return v.proposal()
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

// proposal draws a step, mostly one that the track has, and sometimes a gate that is
// stricter than a consent.
func (v *walk) proposal() any {
	r, m := v.T, v.m
	c := cases.Propose{From: m.stage, To: rapid.SampledFrom([]string{m.stage, "batal", "bahas", "tuntas"}).Draw(r, "to")}
	if rapid.IntRange(0, 7).Draw(r, "no step") > 0 {
		for s := range strings.SplitSeq(steps[m.track], ";") {
			if at, found := strings.CutPrefix(strings.TrimSpace(s), m.stage+">"); found && rapid.Bool().Draw(r, "this step") {
				c.To = trimGate(at)
				break
			}
		}
	}
	c.FastTrack = rapid.IntRange(0, 3).Draw(r, "fast") == 0
	if kind, _, _ := m.step(c.From, c.To); kind == 'c' && !c.FastTrack && rapid.Bool().Draw(r, "stricter") {
		c.Profile = rapid.SampledFrom(slices.Sorted(maps.Keys(stricter))).Draw(r, "profile")
	}
	return c
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
