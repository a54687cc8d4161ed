package cases

import (
	"slices"
	"time"

	"gotong.dev/gotong"
)

// Role is a role of a member in a case; a closed set. A member has at least one
// of the first four, with which they vote.
type Role string

// The roles.
const (
	Author      Role = "author" // who created the case, for ever
	PIC         Role = "pic"    // in charge of it
	Participant Role = "participant"
	Saksi       Role = "saksi"     // a witness
	Bendahara   Role = "bendahara" // the treasurer; never also a PIC
	Humas       Role = "humas"     // speaks to the outside
	Verifikator Role = "verifikator"
)

// Roles lists all roles, highest first. A member's first one is the role under
// which other streams know them.
func Roles() []Role {
	return []Role{Author, PIC, Participant, Saksi, Bendahara, Humas, Verifikator}
}

// GateType is what a transition must pass; a closed set, in order of strictness.
type GateType string

// The types of gate.
const (
	None      GateType = "none"
	Consent   GateType = "consent"
	Vote      GateType = "vote"
	Challenge GateType = "challenge" // a vote; after it passed, members have a window to dispute the step
	FastTrack GateType = "fast_track"
)

// Terms are the conditions of one gate. The event that opens it carries them, so
// its outcome depends on nothing else. Times are in seconds.
type Terms struct {
	Gate      GateType `json:"gate_type"`
	Window    int64    `json:"window_s,omitempty"` // of consent, and of the approval of a fast track
	Vote      int64    `json:"vote_s,omitempty"`
	Quorum    int      `json:"quorum_percent,omitempty"`
	Cap       int      `json:"quorum_cap,omitempty"` // 0: none
	Threshold int      `json:"threshold_percent,omitempty"`
	Challenge int64    `json:"challenge_s,omitempty"`
	Dispute   int64    `json:"dispute_s,omitempty"`
	YesOf     []Role   `json:"yes_of,omitempty"` // a yes is needed of a member with each of these
	Secret    bool     `json:"secret,omitempty"` // choices stay hidden after the close
}

// Needed returns how many of the voters must take part.
func (t Terms) Needed(voters int) int {
	n := max(1, (t.Quorum*voters+99)/100)
	if t.Cap > 0 {
		n = min(n, t.Cap)
	}
	return n
}

// strictness ranks the gates that a proposer may choose, the laxest first; -1 for
// any other type.
func (g GateType) strictness() int {
	return slices.Index([]GateType{None, Consent, Vote, Challenge}, g)
}

// atLeast reports whether the terms are nowhere laxer than the others.
func (t Terms) atLeast(o Terms) bool {
	unlimited := func(limit int) int {
		if limit == 0 {
			return MaxMembers
		}
		return limit
	}
	switch {
	case t.Gate == FastTrack || o.Gate == FastTrack, t.Gate.strictness() < o.Gate.strictness():
		return false
	case t.Gate == o.Gate && t.Window < o.Window:
		return false
	case o.Secret && !t.Secret:
		return false
	case slices.ContainsFunc(o.YesOf, func(r Role) bool { return !slices.Contains(t.YesOf, r) }):
		return false
	default:
		return t.Vote >= o.Vote && t.Quorum >= o.Quorum && unlimited(t.Cap) >= unlimited(o.Cap) &&
			t.Threshold >= o.Threshold && t.Challenge >= o.Challenge && t.Dispute >= o.Dispute
	}
}

func after(from gotong.Instant, seconds int64) gotong.Instant {
	return from.Add(time.Duration(seconds) * time.Second)
}
