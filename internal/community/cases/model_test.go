package cases_test

import (
	"maps"
	"slices"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
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

// stricter are the gates that can be proposed in place of a consent.
var stricter = map[string]byte{"standard": 'v', "spend": 's', "evidence": 'e', "completion": 'k', "high_impact": 'h'}

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
	private              bool
	members              map[string][]cases.Role
	group                map[string]bool // the members of the group; nil for a case in a scope
	unbroken             map[string]bool // members since the open gate was proposed
	gate                 *mGate
	known                map[uint64]bool // all gates
	now                  gotong.Instant
}

// head administers the group of a case in a group, and is no member of the case.
const head = "gita"

// live reports whether a user is a member now: in a group, only while they are a
// member of the group.
func (m *model) live(id string) bool {
	_, seated := m.members[id]
	return seated && (m.group == nil || m.group[id])
}

// voters returns the members, in order of id.
func (m *model) voters() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.members)), func(id string) bool { return !m.live(id) })
}

// move moves a user into the group of the case, or out of it.
func (m *model) move(id string, in bool) {
	m.group[id] = in
	if !in {
		delete(m.unbroken, id)
	}
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
		if len(m.voters()) >= 5 && len(gate) > 1 {
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
	case !m.live(who), !has(m.members[who], cases.Author, cases.PIC), m.gate != nil, c.From != m.stage, kind == 0,
		only && len(m.voters()) >= 5, c.FastTrack && !fast:
		return rejected
	case c.Profile != "" && !c.FastTrack:
		kind = stricter[c.Profile]
	}
	m.gate = &mGate{
		seq: seq, proposer: who, from: c.From, to: c.To, kind: kind, frozen: m.voters(),
		votes: map[string]cases.Choice{}, roles: map[string][]cases.Role{}, parties: []string{who},
	}
	m.unbroken, m.known[seq] = map[string]bool{}, true
	for _, id := range m.gate.frozen {
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
	mine, is := m.members[who], m.live(who)
	moderates, system := actor.Role == gotong.RoleModerator, actor.Role == gotong.RoleSystem
	manages := moderates || is && has(mine, cases.Author, cases.PIC)
	if m.private && !is && !moderates && !system {
		return rejected // the case does not exist for them
	}
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
		case m.group != nil && !m.group[c.UserID]:
			return rejected
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
		if _, seated := m.members[who]; !seated {
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
		if !m.in(c.Gate, "approve") || !moderates && (m.group == nil || who != head) || who == g.proposer {
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
		if !m.in(c.Gate, "vote", "ratify") || !moderates || m.live(c.UserID) && m.unbroken[c.UserID] || g.votes[c.UserID] == "" {
			return rejected
		}
		delete(g.votes, c.UserID)
	}
	return accepted
}
