package cases

import "gotong.dev/gotong"

// The types of event.
const (
	EvCreated   = "case.created"
	EvSeated    = "member.seated"
	EvRemoved   = "member.removed"
	EvProposed  = "transition.proposed"
	EvApproved  = "transition.approved"
	EvObjected  = "transition.objected"
	EvVoted     = "transition.voted"
	EvVoided    = "vote.voided"
	EvReminded  = "transition.reminded"
	EvTallied   = "transition.tallied"
	EvDisputed  = "transition.disputed"
	EvResolved  = "dispute.resolved"
	EvApplied   = "transition.applied"
	EvRejected  = "transition.rejected"
	EvCancelled = "transition.cancelled"
	EvRatified  = "transition.ratified"
	EvUndone    = "transition.undone"
)

func events() []gotong.EventType {
	return []gotong.EventType{
		gotong.EventWith[Created, Text](EvCreated),
		gotong.EventOf[Seated](EvSeated), gotong.EventOf[Removed](EvRemoved),
		gotong.EventOf[Proposed](EvProposed), gotong.EventOf[Extended](EvApproved),
		gotong.EventWith[Extended, Reason](EvObjected), gotong.EventOf[Voted](EvVoted),
		gotong.EventWith[Voided, Reason](EvVoided), gotong.EventOf[Reminded](EvReminded),
		gotong.EventOf[Tallied](EvTallied), gotong.EventWith[Extended, Reason](EvDisputed),
		gotong.EventWith[Resolved, Reason](EvResolved),
		gotong.EventOf[Outcome](EvApplied), gotong.EventOf[Outcome](EvRejected), gotong.EventOf[Outcome](EvCancelled),
		gotong.EventOf[Outcome](EvRatified), gotong.EventOf[Outcome](EvUndone),
	}
}

// Created is the data of case.created; the actor is the author.
type Created struct {
	ScopeID string        `json:"scope_id"`
	Home    gotong.Stream `json:"home"`
	Track   string        `json:"track"`
	Stage   string        `json:"stage"`
	Privacy Privacy       `json:"privacy_level"`
}

// Text is the content of case.created.
type Text struct {
	Title       string `json:"title"`
	Description string `json:"description"`
}

// Seated is the data of member.seated: the user is a member with these roles.
type Seated struct {
	UserID     string `json:"user_id"`
	TrackRoles []Role `json:"track_roles"`
}

// Removed is the data of member.removed, also of a member who left.
type Removed struct {
	UserID string `json:"user_id"`
}

// Proposed is the data of transition.proposed. Seq is the event's own: it names
// the transition in every later event. The voters are the members at that
// position.
type Proposed struct {
	Seq        uint64         `json:"transition"`
	Track      string         `json:"track"`
	From       string         `json:"from_stage"`
	To         string         `json:"to_stage"`
	Profile    string         `json:"gate_profile"`
	Terms      Terms          `json:"terms"`
	Voters     int            `json:"voters"`
	TrackRoles []Role         `json:"track_roles"`        // of the proposer
	HomeSeq    uint64         `json:"home_seq,omitempty"` // the head of a home with members, at that position
	Now        gotong.Instant `json:"now"`
	ClosesAt   gotong.Instant `json:"closes_at"`
}

// Extended is the data of events that give a gate its next window: an objection
// begins a vote, an approval the vote that ratifies the step, a dispute the time
// for a moderator.
type Extended struct {
	Gate       uint64         `json:"transition"`
	TrackRoles []Role         `json:"track_roles,omitempty"` // of the actor; none if they are not a member
	Now        gotong.Instant `json:"now"`
	ClosesAt   gotong.Instant `json:"closes_at"`
}

// Reason is the content of events that give one.
type Reason struct {
	Reason string `json:"reason"`
}

// Choice is what a voter chose; a closed set.
type Choice string

// The choices.
const (
	Yes     Choice = "yes"
	No      Choice = "no"
	Abstain Choice = "abstain"
)

// Voted is the data of transition.voted, which its voter alone sees.
type Voted struct {
	Gate       uint64         `json:"transition"`
	Choice     Choice         `json:"choice"`
	TrackRoles []Role         `json:"track_roles"`
	Now        gotong.Instant `json:"now"`
}

// Voided is the data of vote.voided, which the voter alone sees.
type Voided struct {
	Gate       uint64         `json:"transition"`
	UserID     string         `json:"user_id"`
	Vote       uint64         `json:"vote"`                  // the seq of the vote
	TrackRoles []Role         `json:"track_roles,omitempty"` // of the actor; none if they are not a member
	Now        gotong.Instant `json:"now"`
}

// Reminded is the data of transition.reminded: one for each user who has not
// voted, visible to them alone.
type Reminded struct {
	Gate     uint64         `json:"transition"`
	Now      gotong.Instant `json:"now"`
	ClosesAt gotong.Instant `json:"closes_at"`
}

// Why says what decided an outcome; a closed set.
type Why string

// The reasons of outcomes. A vote gives one of the first four.
const (
	WhyPassed     Why = "vote_passed"
	WhyQuorum     Why = "quorum"    // too few took part
	WhyThreshold  Why = "threshold" // too few chose yes
	WhyYesOf      Why = "yes_of"    // no yes of a role whose yes is needed
	WhyNoGate     Why = "no_gate"
	WhyConsent    Why = "no_objection"
	WhyChallenge  Why = "no_dispute"
	WhyConfirmed  Why = "confirmed"
	WhyOverruled  Why = "overruled"
	WhyUndecided  Why = "undecided"
	WhyUnapproved Why = "not_approved"
	WhyWithdrawn  Why = "withdrawn"
)

// Count is the sum of a vote.
type Count struct {
	Needed  int `json:"needed"` // the quorum, in people
	Yes     int `json:"yes"`
	No      int `json:"no"`
	Abstain int `json:"abstain"`
}

// TookPart returns how many votes count.
func (c Count) TookPart() int { return c.Yes + c.No + c.Abstain }

// MaxListed is how many voters a tally names. One of more voters names the seqs
// of their votes alone.
const MaxListed = 200

// Tallied is the data of transition.tallied: why the vote passed or failed, and
// the votes that it counts, which all precede it. Ballots have no choices if the
// gate is secret.
type Tallied struct {
	Gate      uint64 `json:"transition"`
	Passed    bool   `json:"passed"`
	Why       Why    `json:"why"`
	Objection bool   `json:"objection,omitempty"` // there was a vote because somebody objected
	Secret    bool   `json:"secret,omitempty"`
	Voters    int    `json:"voters"`
	Count
	Ballots  []Ballot       `json:"ballots,omitempty"`
	Seqs     []uint64       `json:"seqs,omitempty"` // instead of ballots, if there are too many
	Voided   []uint64       `json:"voided,omitempty"`
	Now      gotong.Instant `json:"now"`
	ClosesAt gotong.Instant `json:"closes_at,omitzero"` // of the challenge window that begins
}

// Resolved is the data of dispute.resolved.
type Resolved struct {
	Gate       uint64         `json:"transition"`
	Confirmed  bool           `json:"confirmed"`
	TrackRoles []Role         `json:"track_roles,omitempty"` // of the actor; none if they are not a member
	Now        gotong.Instant `json:"now"`
}

// Outcome is the data of the one event that ends a gate.
type Outcome struct {
	Gate       uint64         `json:"transition"`
	Why        Why            `json:"why"`
	Stage      string         `json:"stage"`                 // of the case from now on
	TrackRoles []Role         `json:"track_roles,omitempty"` // of the member who withdrew the proposal
	Now        gotong.Instant `json:"now"`
}
