package cases

import (
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// The names of the commands.
const (
	CmdCreate   = "case.create"
	CmdLeave    = "case.leave"
	CmdSeat     = "member.seat"
	CmdRemove   = "member.remove"
	CmdPropose  = "transition.propose"
	CmdApprove  = "transition.approve"
	CmdObject   = "transition.object"
	CmdVote     = "transition.vote"
	CmdWithdraw = "transition.withdraw"
	CmdDispute  = "transition.dispute"
	CmdResolve  = "dispute.resolve"
	CmdVoid     = "vote.void"
	CmdClose    = "transition.close"
	CmdRemind   = "transition.remind"
)

func commands() []gotong.Type {
	return []gotong.Type{
		gotong.TypeOf[Create](CmdCreate), gotong.TypeOf[Leave](CmdLeave),
		gotong.TypeOf[Seating](CmdSeat), gotong.TypeOf[Remove](CmdRemove),
		gotong.TypeOf[Propose](CmdPropose), gotong.TypeOf[Approve](CmdApprove), gotong.TypeOf[Object](CmdObject),
		gotong.TypeOf[Cast](CmdVote), gotong.TypeOf[Withdraw](CmdWithdraw), gotong.TypeOf[Dispute](CmdDispute),
		gotong.TypeOf[Resolve](CmdResolve), gotong.TypeOf[Void](CmdVoid),
		gotong.TypeOf[Close](CmdClose).OfServer(), gotong.TypeOf[Remind](CmdRemind).OfServer(),
	}
}

// Create makes a case in a scope or group; who creates it is its author.
type Create struct {
	ScopeID     string  `json:"scope_id"`
	Track       string  `json:"track"`
	Title       string  `json:"title"`
	Description string  `json:"description,omitempty"`
	Privacy     Privacy `json:"privacy_level,omitempty"` // empty: public
}

// Leave ends the actor's membership.
type Leave struct{}

// Seating makes a user a member with these roles, or gives a member these roles
// in place of the former ones. The author keeps that role.
type Seating struct {
	UserID     string `json:"user_id"`
	TrackRoles []Role `json:"track_roles"`
}

// Remove ends the membership of a user or webhook.
type Remove struct {
	UserID string `json:"user_id"`
}

// Removes implements [gotong.Remover].
func (c Remove) Removes() string { return c.UserID }

// Propose proposes a step. The gate follows from the track; a profile can only
// make it stricter. Track, GateStatus and GateMetadata are compared with what
// the server finds, and decide nothing.
type Propose struct {
	Track        string   `json:"track,omitempty"`
	From         string   `json:"from_stage"`
	To           string   `json:"to_stage"`
	Profile      string   `json:"gate_profile,omitempty"`
	Secret       bool     `json:"secret,omitempty"`
	FastTrack    bool     `json:"fast_track,omitempty"`
	GateStatus   string   `json:"gate_status,omitempty"`
	GateMetadata *Expects `json:"gate_metadata,omitempty"`
}

// Expects is what a client believes of a gate.
type Expects struct {
	GateType        GateType `json:"gate_type,omitempty"`
	PorRefs         *bool    `json:"por_refs_ready,omitempty"`
	ChallengeWindow *bool    `json:"challenge_window_configured,omitempty"`
}

// Approve applies a step on the fast track.
type Approve struct {
	Gate uint64 `json:"transition"`
}

// Object turns a consent gate into a vote.
type Object struct {
	Gate   uint64 `json:"transition"`
	Reason string `json:"reason"`
}

// Cast casts a vote, or replaces the actor's earlier one.
type Cast struct {
	Gate   uint64 `json:"transition"`
	Choice Choice `json:"choice"`
}

// Withdraw ends a gate without its step.
type Withdraw struct {
	Gate uint64 `json:"transition"`
}

// Dispute suspends a step whose vote has passed.
type Dispute struct {
	Gate   uint64 `json:"transition"`
	Reason string `json:"reason"`
}

// Resolve confirms or rejects a step that is disputed.
type Resolve struct {
	Gate    uint64 `json:"transition"`
	Confirm bool   `json:"confirm"`
	Reason  string `json:"reason"`
}

// Void removes the vote of a user who is no longer a member.
type Void struct {
	Gate   uint64 `json:"transition"`
	UserID string `json:"user_id"`
	Reason string `json:"reason"`
}

// Close ends the window that closes at Due; for the server alone.
type Close struct {
	Gate uint64         `json:"transition"`
	Due  gotong.Instant `json:"due"`
}

// Remind reminds the users who have not voted in the window that closes at Due;
// for the server alone.
type Remind struct {
	Gate uint64         `json:"transition"`
	Due  gotong.Instant `json:"due"`
}

func (c Create) Clean() any {
	c.Track, c.Title, c.Description = Clean(c.Track), text.Name.Clean(c.Title), text.Description.Clean(c.Description)
	if c.Privacy == "" {
		c.Privacy = Public
	}
	return c
}

func (c Propose) Clean() any {
	c.Track, c.From, c.To = Clean(c.Track), Clean(c.From), Clean(c.To)
	return c
}

func (c Seating) Clean() any {
	var roles []Role
	for _, r := range Roles() {
		if slices.Contains(c.TrackRoles, r) {
			roles = append(roles, r)
		}
	}
	if !slices.ContainsFunc(c.TrackRoles, func(r Role) bool { return !slices.Contains(Roles(), r) }) {
		c.TrackRoles = roles
	}
	return c
}

func (c Object) Clean() any { c.Reason = text.Grounds.Clean(c.Reason); return c }

func (c Dispute) Clean() any { c.Reason = text.Grounds.Clean(c.Reason); return c }

func (c Resolve) Clean() any { c.Reason = text.Grounds.Clean(c.Reason); return c }

func (c Void) Clean() any { c.Reason = text.Grounds.Clean(c.Reason); return c }

func (c Create) Validate(check *gotong.Check) {
	check.ID("scope_id", c.ScopeID)
	check.That(ValidName(c.Track), "track", "must be the name of a track")
	text.Name.Check(check, "title", c.Title)
	text.Description.Check(check, "description", c.Description)
	check.That(c.Privacy == Public || c.Privacy == Private, "privacy_level", "must be public or private")
}

func (c Seating) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	known, votes := true, false
	for _, r := range c.TrackRoles {
		at := slices.Index(Roles(), r)
		known, votes = known && at >= 0, votes || at >= 0 && at < 4
	}
	check.That(known, "track_roles", "must be of author, pic, participant, saksi, bendahara, humas, verifikator")
	check.That(votes, "track_roles", "must have one of author, pic, participant, saksi")
	both := slices.Contains(c.TrackRoles, PIC) && slices.Contains(c.TrackRoles, Bendahara)
	check.That(!both, "track_roles", "cannot contain both pic and bendahara")
}

func (c Remove) Validate(check *gotong.Check) { check.ID("user_id", c.UserID) }

func (c Propose) Validate(check *gotong.Check) {
	check.That(ValidName(c.From), "from_stage", "must have 1 to 128 characters")
	check.That(ValidName(c.To), "to_stage", "must have 1 to 128 characters")
	check.That(c.From != c.To, "to_stage", "must be another stage than from_stage")
	check.That(c.Track == "" || ValidName(c.Track), "track", "must have 1 to 128 characters")
	check.That(!c.FastTrack || c.Profile == "" && !c.Secret, "fast_track", "has a gate of its own")
}

func (c Object) Validate(check *gotong.Check) { text.Grounds.Check(check, "reason", c.Reason) }

func (c Dispute) Validate(check *gotong.Check) { text.Grounds.Check(check, "reason", c.Reason) }

func (c Resolve) Validate(check *gotong.Check) { text.Grounds.Check(check, "reason", c.Reason) }

func (c Cast) Validate(check *gotong.Check) {
	check.That(c.Choice == Yes || c.Choice == No || c.Choice == Abstain, "choice", "must be yes, no or abstain")
}

func (c Void) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	text.Grounds.Check(check, "reason", c.Reason)
}
