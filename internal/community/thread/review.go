package thread

import (
	"time"

	"gotong.dev/gotong"
)

// Reviewer is the role of those who see the advice on messages and decide about
// it: the owners and admins of the thread, beside their own role.
const Reviewer = "reviewer"

// The bounds and defaults of a hold in minutes.
const (
	MaxHold     = 7 * 24 * 60
	defaultHold = 15
	newcomer    = 60
)

// Reviews is the collection of what waits for a moderator: (thread id,
// gotong.SeqName(seq of the message)) → Pending.
const Reviews = "thread_reviews"

// Pending is a message with a proposal, or one that is held.
type Pending struct {
	Seq     uint64         `json:"seq"`                // of the message
	TextSeq uint64         `json:"text_seq"`           // of the event with its newest text, when it was held
	Advice  uint64         `json:"advice,omitempty"`   // the event that proposes
	Held    uint64         `json:"held,omitempty"`     // the event that holds; 0: only proposed
	By      string         `json:"by,omitempty"`       // why it is held
	UntilMS int64          `json:"until_ms,omitempty"` // the end of the hold
	Auto    bool           `json:"auto_release,omitempty"`
	Since   gotong.Instant `json:"since"`
}

// PendingKey is the key of what waits for a message.
func PendingKey(id string, seq uint64) gotong.Key {
	return gotong.Key{Collection: Reviews, Owner: id, Name: gotong.SeqName(seq)}
}

// Why a message is held; a closed set.
const (
	ByAdvice    = "advice"    // the policy lets advice hold
	ByModerator = "moderator" //
	ByNewcomer  = "newcomer"  // the policy holds the messages of new members
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

// Review is the decision of a moderator about a message: hold or release.
type Review struct {
	MessageID gotong.EventID `json:"message_id"`
	Decision  string         `json:"decision"`
	Minutes   int            `json:"hold_minutes,omitempty"` // 15 if absent
	Auto      bool           `json:"auto_release,omitempty"`
}

// The decisions of a [Review].
const (
	Hold    = "hold"
	Release = "release"
)

// Unhold ends a hold whose time is over; for the server alone.
type Unhold struct {
	Seq  uint64 `json:"seq"` // of the message
	Held uint64 `json:"held"`
}

func (c Review) Validate() error {
	var check gotong.Check
	check.That(!c.MessageID.IsZero(), "message_id", "must name a message")
	check.That(c.Decision == Hold || c.Decision == Release, "decision", "must be hold or release")
	check.That(c.Minutes >= 0 && c.Minutes <= MaxHold, "hold_minutes", "must be 0 to 10080")
	check.That(c.Decision == Hold || c.Minutes == 0 && !c.Auto, "hold_minutes", "and auto_release are for a hold")
	return check.Err()
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
	By        string         `json:"by"`
	UntilMS   int64          `json:"until_ms"`
	Auto      bool           `json:"auto_release"`        // released at its end; otherwise only by a moderator
	With      bool           `json:"with_post,omitempty"` // in the commit of the message itself
	Now       gotong.Instant `json:"now"`
}

// Released is the data of message.released, which ends a hold or turns down a
// proposal.
type Released struct {
	TargetSeq uint64         `json:"target_seq"`
	N         uint64         `json:"n"`
	Auto      bool           `json:"auto_release,omitempty"` // the hold ended by itself
	Now       gotong.Instant `json:"now,omitzero"`           // then
}

func (r ruling) held(seq, n uint64, by string, minutes int, auto bool) gotong.Fact {
	if minutes <= 0 {
		minutes = defaultHold
	}
	until := r.cmd.Now.Add(time.Duration(min(minutes, MaxHold)) * time.Minute)
	return gotong.Fact{Type: EvHeld, Data: Held{TargetSeq: seq, N: n, By: by, UntilMS: until.Milli(), Auto: auto, Now: r.cmd.Now}}
}

// advise records advice, and holds the message if the policy lets it.
func (r ruling) advise(c Advise) (gotong.Decision, error) {
	if r.cmd.Actor.Role != gotong.RoleSystem {
		return gotong.Decision{}, gotong.NotFound()
	}
	e, o, err := r.message(c.MessageID)
	if err != nil || o.Revision != c.Revision || o.Advice > o.EditSeq { // it has a newer text, or advice on this one
		return gotong.Decision{}, err
	}
	facts := []gotong.Fact{{
		Type: EvAdvised, Audience: gotong.ForRole(Reviewer),
		Data: Advised{
			MessageID: e.ID, TargetSeq: e.Seq, N: e.Count, Revision: c.Revision, Action: c.Action, Status: c.Status,
			Provider: c.Provider, Version: c.Version, Prompt: c.Prompt,
		},
		Content: Reasons{c.Reasoning, c.Violations},
	}}
	if o.Advice != 0 { // its reasons may quote the text that was replaced
		facts[0].Erases = []uint64{o.Advice}
	}
	if gotong.PolicyOf(r.state, r.thread.Home).AutoHold && o.Held == 0 {
		facts = append(facts, r.held(e.Seq, e.Count, ByAdvice, c.Minutes, c.Auto && c.Status == Hold))
	}
	return gotong.Accept(facts...)
}

// review holds a message, or releases it.
func (r ruling) review(c Review) (gotong.Decision, error) {
	if !r.moderates() {
		return gotong.Reject(gotong.CodeForbidden, "Only owners, admins and moderators can decide about messages.")
	}
	e, o, err := r.message(c.MessageID)
	if err != nil {
		return gotong.Decision{}, err
	}
	_, pending := gotong.Doc[Pending](r.state, PendingKey(r.state.Stream.ID(), e.Seq))
	switch {
	case o.Deleted():
		return gotong.Reject(gotong.CodeTargetDeleted, "The message was deleted.")
	case c.Decision == Hold:
		return gotong.Accept(r.held(e.Seq, e.Count, ByModerator, c.Minutes, c.Auto))
	case !pending:
		return gotong.Accept()
	default:
		return gotong.Accept(gotong.Fact{Type: EvReleased, Data: Released{TargetSeq: e.Seq, N: e.Count}})
	}
}

// unhold ends a hold at its time, unless it was ended or replaced before.
func (r ruling) unhold(c Unhold) (gotong.Decision, error) {
	if r.cmd.Actor.Role != gotong.RoleSystem {
		return gotong.Decision{}, gotong.NotFound()
	}
	o, _ := gotong.Doc[Overlay](r.state, OverlayKey(r.state.Stream.ID(), c.Seq))
	p, _ := gotong.Doc[Pending](r.state, PendingKey(r.state.Stream.ID(), c.Seq))
	switch {
	case o.Held != c.Held || p.Held != c.Held || !p.Auto:
		return gotong.Accept()
	case r.cmd.Now.Milli() < p.UntilMS:
		return gotong.Reject(gotong.CodeNotYet, "The hold is not over.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvReleased, Data: Released{TargetSeq: c.Seq, N: o.N, Auto: true, Now: r.cmd.Now}})
	}
}

// newcomers returns facts with the hold of a message, the event seq, if the policy
// holds those of new members and the actor is one.
func (r ruling) newcomers(seq, n uint64, facts ...gotong.Fact) (gotong.Decision, error) {
	if r.thread.Members == Home && r.me.role == MemberRole {
		hours := gotong.PolicyOf(r.state, r.thread.Home).NewcomerHours
		if hours > 0 && r.cmd.Now < r.me.base.JoinedAt.Add(time.Duration(hours)*time.Hour) {
			fact := r.held(seq, n, ByNewcomer, newcomer, true)
			held, _ := fact.Data.(Held)
			held.With = facts[0].Type == EvPosted
			fact.Data = held
			facts = append(facts, fact)
		}
	}
	return gotong.Accept(facts...)
}

// timers returns the end of a hold.
func timers(e gotong.Event) []gotong.Timer {
	d, ok := e.Data.(Held)
	if !ok || !d.Auto {
		return nil
	}
	return []gotong.Timer{{
		Due: gotong.InstantOf(time.UnixMilli(d.UntilMS)), Command: CmdUnhold, Data: Unhold{Seq: d.TargetSeq, Held: e.Seq},
	}}
}

// advised marks the message, and puts it into the queue.
func advised(s gotong.State, e gotong.Event, d Advised) []gotong.Change {
	id := e.Stream.ID()
	o, _ := gotong.Doc[Overlay](s, OverlayKey(id, d.TargetSeq))
	o.MessageID, o.N, o.Advice = d.MessageID, d.N, e.Seq
	p, _ := gotong.Doc[Pending](s, PendingKey(id, d.TargetSeq))
	p.Seq, p.Advice = d.TargetSeq, e.Seq
	if p.Since == 0 {
		p.Since = e.At
	}
	return []gotong.Change{{Key: OverlayKey(id, d.TargetSeq), Doc: o}, {Key: PendingKey(id, d.TargetSeq), Doc: p}}
}

// heldBack hides the text of a message, also where an edit holds it.
func heldBack(s gotong.State, e gotong.Event, d Held) []gotong.Change {
	id := e.Stream.ID()
	var o Overlay
	var p Pending
	if !d.With { // else nothing can be known of it yet, and a post need not look
		o, _ = gotong.Doc[Overlay](s, OverlayKey(id, d.TargetSeq))
		p, _ = gotong.Doc[Pending](s, PendingKey(id, d.TargetSeq))
	}
	o.N, o.Held = d.N, e.Seq
	p.Seq, p.TextSeq, p.Held, p.By, p.UntilMS, p.Auto = d.TargetSeq, max(d.TargetSeq, o.EditSeq), e.Seq, d.By, d.UntilMS, d.Auto
	if p.Since == 0 {
		p.Since = e.At
	}
	return append(superseded(e, o.MessageID, o),
		gotong.Change{Key: OverlayKey(id, d.TargetSeq), Doc: o}, gotong.Change{Key: PendingKey(id, d.TargetSeq), Doc: p})
}

func released(s gotong.State, e gotong.Event, d Released) []gotong.Change {
	id := e.Stream.ID()
	o, _ := gotong.Doc[Overlay](s, OverlayKey(id, d.TargetSeq))
	o.Held = 0
	changes := []gotong.Change{{Key: OverlayKey(id, d.TargetSeq), Doc: o}, {Key: PendingKey(id, d.TargetSeq)}}
	if o.empty() {
		changes[0].Doc = nil
	}
	if o.EditSeq != 0 {
		changes = append(changes, gotong.Change{Key: OverlayKey(id, o.EditSeq)})
	}
	return changes
}
