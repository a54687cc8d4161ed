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

// steps are the tracks as the model knows them: from > to, then the gate: c
// consent, v vote, s vote with a yes of pic and bendahara, e vote of 72 h, k vote
// with challenge, h the same with a quorum of 45 %. The gate of complex cases
// follows a slash; f: has a fast track; o: for simple cases only.
var steps = map[string]string{
	"tuntaskan": "keresahan>bahas c; bahas>rancang c/v; bahas>garap c of; rancang>galang s; rancang>siarkan v; rancang>garap c/v f;" +
		"galang>garap c/v; siarkan>garap c/v; garap>periksa e; periksa>tuntas k; periksa>garap c",
	"wujudkan":   "gagasan>bahas c; bahas>rancang c/v; rancang>galang s; rancang>garap c/v f; galang>garap c/v; garap>rayakan v; rayakan>tuntas k",
	"telusuri":   "pertanyaan>dugaan c; dugaan>uji c/v; uji>temuan e; temuan>tuntas k",
	"rayakan":    "kabar baik>sahkan c; sahkan>apresiasi v; apresiasi>dampak c; apresiasi>tuntas c/v; dampak>tuntas c/v",
	"musyawarah": "usul>bahas c; bahas>putuskan v; putuskan>jalankan h; jalankan>tinjau c; jalankan>tuntas k; tinjau>tuntas k",
}

// mGate is an open gate of the model. kind is a letter of steps; w is the window
// that it is in: consent, vote, approve, ratify, challenge or dispute.
type mGate struct {
	seq                uint64
	proposer, from, to string
	kind               byte
	w                  string
	opens, closes      gotong.Instant
	frozen             []string
	votes              map[string]cases.Choice
	roles              map[string][]cases.Role // of voters, when they voted
	parties            []string
	reminded           bool
}

// model is a case by the text of the domain, without a log.
type model struct {
	stage, track, author string
	members              map[string][]cases.Role
	unbroken             map[string]bool // members since the open gate was proposed
	gate                 *mGate
	known                map[uint64]bool // all gates
	now                  gotong.Instant
}

func has(roles []cases.Role, one ...cases.Role) bool {
	return slices.ContainsFunc(one, func(r cases.Role) bool { return slices.Contains(roles, r) })
}

// result is what becomes of a command.
type result string

const (
	accepted result = "accepted"
	idle     result = "idle"
	rejected result = "rejected"
)

// step returns the gate of a step: 0 if there is none.
func (m *model) step(from, to string) (kind byte, only, fast bool) {
	if to == "batal" && from != "batal" && from != "tuntas" {
		return 'c', false, false
	}
	for s := range strings.SplitSeq(steps[m.track], ";") {
		words := strings.Fields(s)
		at := slices.IndexFunc(words, func(w string) bool { return strings.Trim(w, "cvsekhof/") == "" })
		if strings.Join(words[:at], " ") != from+">"+to {
			continue
		}
		rest := strings.Join(words[at:], " ")
		gate, flags, _ := strings.Cut(rest, " ")
		kind = gate[0]
		if len(m.members) >= 5 && len(gate) > 1 {
			kind = gate[2]
		}
		return kind, strings.Contains(flags, "o"), strings.Contains(flags, "f")
	}
	return 0, false, false
}

func (m *model) open(w string, d time.Duration) {
	m.gate.w, m.gate.opens, m.gate.closes = w, m.now, m.now.Add(d)
}

func (m *model) propose(who string, c cases.Propose, seq uint64) result {
	kind, only, fast := m.step(c.From, c.To)
	switch {
	case !has(m.members[who], cases.Author, cases.PIC), m.gate != nil, c.From != m.stage, kind == 0,
		only && len(m.members) >= 5, c.FastTrack && !fast:
		return rejected
	}
	m.gate = &mGate{
		seq: seq, proposer: who, from: c.From, to: c.To, kind: kind, frozen: slices.Sorted(maps.Keys(m.members)),
		votes: map[string]cases.Choice{}, roles: map[string][]cases.Role{}, parties: []string{who},
	}
	m.unbroken, m.known[seq] = map[string]bool{}, true
	for id := range m.members {
		m.unbroken[id] = true
	}
	switch {
	case c.FastTrack:
		m.open("approve", 24*time.Hour)
		m.gate.kind = 'v'
	case kind == 'c':
		m.open("consent", 24*time.Hour)
	case kind == 'v' || kind == 's':
		m.open("vote", 48*time.Hour)
	default:
		m.open("vote", 72*time.Hour)
	}
	return accepted
}

// in reports whether the gate takes such a command now.
func (m *model) in(seq uint64, windows ...string) bool {
	return m.gate != nil && m.gate.seq == seq && slices.Contains(windows, m.gate.w) && m.now < m.gate.closes
}

func (m *model) end(stage string) result { m.stage, m.gate = stage, nil; return accepted }

// passed counts by the text: quorum, then threshold, then the roles.
func (g *mGate) passed() bool {
	percent, most := 30, 50
	if g.kind == 'h' {
		percent, most = 45, 75
	}
	need := 0
	for need*100 < percent*len(g.frozen) {
		need++
	}
	need = min(max(need, 1), most)
	ayes, noes := 0, 0
	by := map[cases.Role]bool{}
	for id, choice := range g.votes {
		switch choice { //nolint:exhaustive // abstain only takes part
		case cases.Yes:
			ayes++
			for _, r := range g.roles[id] {
				by[r] = true
			}
		case cases.No:
			noes++
		}
	}
	return len(g.votes) >= need && ayes > noes && (g.kind != 's' || by[cases.PIC] && by[cases.Bendahara])
}

func (m *model) close(c cases.Close) result {
	g := m.gate
	switch {
	case g == nil || g.seq != c.Gate || g.closes != c.Due:
		return idle
	case m.now < g.closes:
		return rejected
	case g.w == "consent", g.w == "challenge":
		return m.end(g.to)
	case g.w == "approve", g.w == "dispute":
		return m.end(m.stage)
	case g.w == "ratify" && !g.passed():
		return m.end(g.from)
	case g.w == "ratify":
		return m.end(g.to)
	case !g.passed():
		return m.end(m.stage)
	case g.kind == 'k' || g.kind == 'h':
		m.open("challenge", 72*time.Hour)
		return accepted
	default:
		return m.end(g.to)
	}
}

func (m *model) remind(c cases.Remind) result {
	g := m.gate
	if g == nil || g.seq != c.Gate || g.closes != c.Due {
		return idle
	}
	if m.now < g.opens+(g.closes-g.opens)*3/4 {
		return rejected
	}
	missing := 0
	for _, id := range g.frozen {
		if _, voted := g.votes[id]; !voted && m.unbroken[id] {
			missing++
		}
	}
	percent := 30
	if g.kind == 'h' {
		percent = 45
	}
	short := len(g.votes)*100 < percent*len(g.frozen) || len(g.votes) == 0
	if g.w != "vote" && g.w != "ratify" || g.reminded || m.now >= g.closes || !short || missing == 0 {
		return idle
	}
	g.reminded = true
	return accepted
}

// do says what becomes of a command, and remembers it.
func (m *model) do(actor gotong.Actor, data any, seq uint64) result {
	who, g := actor.UserID, m.gate
	mine, is := m.members[who]
	moderates, system := actor.Role == gotong.RoleModerator, actor.Role == gotong.RoleSystem
	manages := moderates || has(mine, cases.Author, cases.PIC)
	switch c := data.(type) {
	case cases.Seating:
		roles := c.TrackRoles
		if c.UserID == m.author && !has(roles, cases.Author) {
			roles = append([]cases.Role{cases.Author}, roles...)
		}
		switch before, member := m.members[c.UserID]; {
		case !manages, c.UserID != m.author && has(roles, cases.Author):
			return rejected
		case member && slices.Equal(before, roles):
			return idle
		}
		m.members[c.UserID] = roles
		return accepted
	case cases.Remove:
		before, member := m.members[c.UserID]
		switch {
		case !manages, member && has(before, cases.Author) && !moderates && c.UserID != who:
			return rejected
		case !member:
			return idle
		}
		delete(m.members, c.UserID)
		delete(m.unbroken, c.UserID)
		return accepted
	case cases.Leave:
		if !is {
			return idle
		}
		delete(m.members, who)
		delete(m.unbroken, who)
		return accepted
	case cases.Propose:
		return m.propose(who, c, seq)
	case cases.Close:
		if !system || !m.known[c.Gate] {
			return rejected
		}
		return m.close(c)
	case cases.Remind:
		if !system || !m.known[c.Gate] {
			return rejected
		}
		return m.remind(c)
	case cases.Approve:
		if !m.in(c.Gate, "approve") || !moderates || who == g.proposer {
			return rejected
		}
		m.stage = g.to
		m.open("ratify", 168*time.Hour)
	case cases.Object:
		if !m.in(c.Gate, "consent") || !is || who == g.proposer {
			return rejected
		}
		g.parties = append(g.parties, who)
		m.open("vote", 48*time.Hour)
	case cases.Cast:
		switch {
		case !m.in(c.Gate, "vote", "ratify"), !is, !m.unbroken[who]:
			return rejected
		case g.votes[who] == c.Choice:
			return idle
		}
		g.votes[who], g.roles[who] = c.Choice, mine
	case cases.Withdraw:
		if !m.in(c.Gate, "consent", "vote", "approve") || !moderates && (!is || who != g.proposer) {
			return rejected
		}
		return m.end(m.stage)
	case cases.Dispute:
		if !m.in(c.Gate, "challenge") || !is {
			return rejected
		}
		g.parties = append(g.parties, who)
		m.open("dispute", 168*time.Hour)
	case cases.Resolve:
		if !m.in(c.Gate, "dispute") || !moderates || slices.Contains(g.parties, who) || g.votes[who] != "" {
			return rejected
		}
		if c.Confirm {
			return m.end(g.to)
		}
		return m.end(m.stage)
	case cases.Void:
		if _, member := m.members[c.UserID]; !m.in(c.Gate, "vote", "ratify") || !moderates || member || g.votes[c.UserID] == "" {
			return rejected
		}
		delete(g.votes, c.UserID)
	}
	return accepted
}

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
