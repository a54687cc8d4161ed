package thread

import (
	"regexp"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// Reviewer is the role of those who see the advice on messages and decide about
// it: the owners and admins of the thread, beside their own role.
const Reviewer = "reviewer"

// confidential is the audience of the events that say who decided, who appealed and
// that a message was reported: a role that nobody has. Only [Moderation] leads to
// them.
var confidential = gotong.ForRole("moderation")

// The bounds and defaults of a hold and of an appeal in minutes.
const (
	MaxHold      = 7 * 24 * 60
	defaultHold  = 15
	newcomer     = 60
	reported     = 60
	MaxAppeal    = 90 * 24 * 60
	appealWindow = 7 * 24 * 60
)

// MaxDecisions is how often reviewers can decide about one message.
const MaxDecisions = 50

// Action is what a decision does; a closed set.
type Action string

// The actions.
const (
	Release Action = "publish_now"
	Warn    Action = "publish_with_warning"
	Hold    Action = "hold_for_review"
	Block   Action = "block"
)

// Status is the state of a message in moderation; a closed set.
type Status string

// The states.
const (
	Processing  Status = "processing" // no decision: it is shown
	UnderReview Status = "under_review"
	Published   Status = "published"
	Rejected    Status = "rejected"
)

// Status returns the state to which an action leads; empty for an unknown action.
func (a Action) Status() Status {
	switch a {
	case Release, Warn:
		return Published
	case Hold:
		return UnderReview
	case Block:
		return Rejected
	default:
		return ""
	}
}

// Why a message is held; a closed set.
const (
	ByAdvice    = "advice"    // the policy lets advice hold
	ByModerator = "moderator" // a reviewer held it
	ByNewcomer  = "newcomer"  // the policy holds the messages of new members
	ByReports   = "reports"   // the policy hides what enough members reported
	ByAppeal    = "appeal"    // its author appealed
)

// Advise records advice on a message; for the server alone.
type Advise struct {
	MessageID  gotong.EventID `json:"message_id"`
	Revision   uint64         `json:"revision"` // of the text that the advice is about
	Action     string         `json:"action"`   // hold, remove, review, queue_review
	Status     string         `json:"status"`   // hold, block, escalate
	Minutes    int            `json:"hold_minutes"`
	Auto       bool           `json:"auto_release"`
	Provider   string         `json:"provider"`
	Version    string         `json:"version"`
	Prompt     string         `json:"prompt"`
	Reasoning  string         `json:"reasoning"`
	Violations []string       `json:"violations"`
}

// Review is the decision of a reviewer about a message.
type Review struct {
	MessageID  gotong.EventID `json:"message_id"`
	Revision   *uint64        `json:"revision,omitempty"` // of the text that they read; absent: the newest
	Decision   Action         `json:"moderation_action"`
	Code       string         `json:"reason_code,omitempty"`
	Confidence float64        `json:"confidence,omitempty"`
	Minutes    int            `json:"hold_duration_minutes,omitempty"` // 15 if absent
	Auto       bool           `json:"auto_release_if_no_action,omitempty"`
	Appeal     int            `json:"appeal_window_minutes,omitempty"` // 7 days if absent
	Grounds
}

// Grounds is why a reviewer decided: the content of message.decided. It is erased
// with the message.
type Grounds struct {
	Reasoning  string      `json:"reasoning,omitempty"`
	Violations []Violation `json:"violations,omitempty"`
}

// Violation is one breach of the rules in a message.
type Violation struct {
	Category string `json:"category"`
	Severity string `json:"severity,omitempty"`
	Snippet  string `json:"snippet,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Appeal has the decision about the actor's own message reviewed.
type Appeal struct {
	MessageID gotong.EventID `json:"message_id"`
	Plea
}

// Plea is the content of message.appealed.
type Plea struct {
	Reason string `json:"reason,omitempty"`
}

// Open records that a reviewer looks at what a report or a hold opens.
type Open struct {
	MessageID gotong.EventID `json:"message_id"`
}

// Report counts the reports on a message; for the server alone.
type Report struct {
	MessageID gotong.EventID `json:"message_id"`
	Reporters []Reporter     `json:"reporters"`
}

// Reporter is a member who reported a message, and the seqs of the messages that
// they opened with it.
type Reporter struct {
	UserID  string         `json:"user_id"`
	At      gotong.Instant `json:"at"`
	Context []uint64       `json:"context,omitempty"`
}

// MaxReporters bounds the reports of one message that are counted.
const MaxReporters = 100

// Unhold ends a hold whose time is over. The server names the seqs of the message and
// of the hold; platform admins name the message alone.
type Unhold struct {
	Seq       uint64         `json:"seq"`
	Held      uint64         `json:"held"`
	MessageID gotong.EventID `json:"message_id,omitzero"`
}

var (
	reasonCode = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	categories = map[string]bool{
		"hate": true, "violence": true, "harassment": true, "illegal": true, "misinformation": true, "spam": true,
		"child_safety": true, "other": true,
	}
	severities = map[string]bool{"": true, "low": true, "medium": true, "high": true}
)

func (c Review) Validate(check *gotong.Check) {
	checkMessage(check, c.MessageID)
	check.That(c.Decision.Status() != "", "moderation_action", "must be publish_now, publish_with_warning, hold_for_review or block")
	check.That(c.Code == "" || reasonCode.MatchString(c.Code), "reason_code", "must be 1 to 64 of a-z0-9_")
	check.That(c.Confidence >= 0 && c.Confidence <= 1, "confidence", "must be 0 to 1")
	check.That(c.Minutes >= 0 && c.Minutes <= MaxHold, "hold_duration_minutes", "must be 0 to 10080")
	check.That(c.Decision == Hold || c.Minutes == 0 && !c.Auto, "hold_duration_minutes", "and auto_release_if_no_action are for a hold")
	check.That(c.Appeal >= 0 && c.Appeal <= MaxAppeal, "appeal_window_minutes", "must be 0 to 129600")
	text.Description.Check(check, "reasoning", c.Reasoning)
	check.That(len(c.Violations) <= 20, "violations", "must be at most 20")
	for _, v := range c.Violations {
		check.That(categories[v.Category], "category",
			"must be hate, violence, harassment, illegal, misinformation, spam, child_safety or other")
		check.That(severities[v.Severity], "severity", "must be low, medium or high")
		text.Reason.Check(check, "snippet", v.Snippet)
		text.Reason.Check(check, "reason", v.Reason)
	}
}

func (c Review) Clean() any {
	c.Reasoning = text.Description.Clean(c.Reasoning)
	c.Violations = slices.Clone(c.Violations)
	for i := range c.Violations {
		v := &c.Violations[i]
		v.Snippet, v.Reason = text.Reason.Clean(v.Snippet), text.Reason.Clean(v.Reason)
	}
	return c
}

func (c Appeal) Validate(check *gotong.Check) {
	checkMessage(check, c.MessageID)
	text.Reason.Check(check, "reason", c.Reason)
}

func (c Appeal) Clean() any { c.Reason = text.Reason.Clean(c.Reason); return c }

func (c Open) Validate(check *gotong.Check) { checkMessage(check, c.MessageID) }

func (c Report) Validate(check *gotong.Check) {
	checkMessage(check, c.MessageID)
	check.That(len(c.Reporters) <= MaxReporters, "reporters", "must be at most 100")
	for _, by := range c.Reporters {
		check.ID("user_id", by.UserID)
	}
}

// Advised is the data of message.advised, which reviewers see.
type Advised struct {
	MessageID gotong.EventID `json:"message_id"`
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	Revision  uint64         `json:"revision"` // of the text that the advice is about
	Action    string         `json:"action"`
	Status    string         `json:"status"`
	Provider  string         `json:"provider"`
	Version   string         `json:"version"`
	Prompt    string         `json:"prompt,omitempty"`
	Now       gotong.Instant `json:"now,omitzero"` // if it also holds
}

// Reasons is the content of message.advised; it is erased with the message.
type Reasons struct {
	Reasoning  string   `json:"reasoning,omitempty"`
	Violations []string `json:"violations,omitempty"`
}

// Held is the data of message.held: until the end of the hold, or a decision,
// its author alone is shown the text.
type Held struct {
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	AuthorID  string         `json:"author_id"` // of the message
	By        string         `json:"by"`
	Code      string         `json:"reason_code,omitempty"`
	UntilMS   int64          `json:"until_ms,omitempty"`
	Auto      bool           `json:"auto_release"`        // released at its end; otherwise only by a reviewer
	AppealMS  int64          `json:"appeal_until_ms"`     // the end of the time to appeal
	With      bool           `json:"with_post,omitempty"` // in the commit of the message itself
	Now       gotong.Instant `json:"now"`
}

// Released is the data of message.released: the message is published, which ends a
// hold, overturns a rejection or rejects a proposal to hold it.
type Released struct {
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	AuthorID  string         `json:"author_id"`
	Code      string         `json:"reason_code,omitempty"`
	Warning   string         `json:"warning,omitempty"`      // the label that it is shown with
	Auto      bool           `json:"auto_release,omitempty"` // the hold ended by itself
	Now       gotong.Instant `json:"now,omitzero"`           // then
}

// Blocked is the data of message.blocked: the message is rejected, and only its
// author gets the text.
type Blocked struct {
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	AuthorID  string         `json:"author_id"`
	Code      string         `json:"reason_code,omitempty"`
	AppealMS  int64          `json:"appeal_until_ms"`
	Now       gotong.Instant `json:"now"`
}

// Decided is the data of message.decided, which precedes the event of the decision
// and whose actor decided. No viewer sees it.
type Decided struct {
	MessageID  gotong.EventID `json:"message_id"`
	TargetSeq  uint64         `json:"target_seq"`
	N          uint64         `json:"n"`
	Revision   uint64         `json:"revision,omitempty"` // of the text that it is about
	Action     Action         `json:"moderation_action"`
	Confidence float64        `json:"confidence,omitempty"`
	Own        bool           `json:"own,omitempty"` // the decider wrote the message
	Now        gotong.Instant `json:"now"`
}

// Appealed is the data of message.appealed, which precedes the event that holds the
// message. No viewer sees it.
type Appealed struct {
	MessageID gotong.EventID `json:"message_id"`
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	Now       gotong.Instant `json:"now"`
}

// Opened is the data of message.opened: its actor looked at what a report or a hold
// opens. No viewer sees it.
type Opened struct {
	MessageID gotong.EventID `json:"message_id"`
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
}

// Reported is the data of message.reported: how many members reported the message
// since the last decision about it. It names none of them, and no viewer sees it.
type Reported struct {
	MessageID gotong.EventID `json:"message_id"`
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	AuthorID  string         `json:"author_id"`
	Count     int            `json:"count"`
	Flagged   bool           `json:"flagged,omitempty"` // they are enough to flag it, by the policy
	Context   []uint64       `json:"context,omitempty"` // seqs of the messages opened with it
	Now       gotong.Instant `json:"now"`
}
