package thread

import (
	"slices"
	"time"

	"gotong.dev/gotong"
)

// MayReview reports whether a user may decide about a message and read what a report
// or a hold opens: the owners and admins of the thread, and platform moderators if a report or
// a hold opened the message to them. role is the one that the user has in the thread. In a
// direct thread, neither user decides about the other's messages.
func (t Thread) MayReview(role Role, platform gotong.Role, o Overlay, p Pending) bool {
	if t.Direct() && role != "" {
		return false
	}
	return role.rank() >= Admin.rank() || platform.CanModerate() && IsOpened(o, p)
}

// IsOpened reports whether a report or a hold opens a message to reviewers.
func IsOpened(o Overlay, p Pending) bool { return !o.Deleted() && (o.Held != 0 || p.Reports > 0) }

// RoleOf returns the role that a user has in the thread; empty if they are not a
// member.
func (r Rules) RoleOf(s gotong.State, userID string) Role {
	t, _ := gotong.Doc[Thread](s, ThreadKey(s.Stream.ID()))
	return r.standingOf(s, t, userID).role
}

// matter is a message about which a reviewer decides.
type matter struct {
	gotong.Event
	overlay Overlay
	pending Pending
	record  Moderation
}

// matter returns the message of a decision. The error has [gotong.CodeNotFound] if
// the actor may not know of it.
func (r ruling) matter(id gotong.EventID) (m matter, err error) {
	m.Event, m.overlay, err = r.message(id)
	stream := r.state.Stream.ID()
	m.pending, _ = gotong.Doc[Pending](r.state, PendingKey(stream, m.Seq))
	m.record, _ = gotong.Doc[Moderation](r.state, ModerationKey(stream, m.Seq))
	allowed := err == nil && r.thread.MayReview(r.me.role, r.cmd.Actor.Role, m.overlay, m.pending)
	switch {
	case r.me.role == "" && !allowed:
		return m, gotong.NotFound()
	case err == nil && !allowed:
		return m, gotong.NewError(gotong.CodeForbidden, "Only owners, admins and moderators can decide about messages.")
	case err == nil && m.overlay.Deleted():
		return m, gotong.NewError(gotong.CodeTargetDeleted, "The message was deleted.")
	}
	return m, err
}

// after returns the time so many minutes from now, in Unix milliseconds.
func (r ruling) after(minutes int) int64 {
	return r.cmd.Now.Add(time.Duration(minutes) * time.Minute).Milli()
}

func (r ruling) held(e gotong.Event, by string, minutes int, auto bool) Held {
	if minutes <= 0 {
		minutes = defaultHold
	}
	return Held{
		TargetSeq: e.Seq, N: e.Count, AuthorID: e.Actor.UserID, By: by, UntilMS: r.after(min(minutes, MaxHold)), Auto: auto,
		AppealMS: r.after(appealWindow), Now: r.cmd.Now,
	}
}

// public returns the fact of a decision with the server as its actor.
func public(typ string, data any) gotong.Fact {
	return gotong.Fact{Type: typ, Data: data, Actor: gotong.Actor{UserID: string(gotong.RoleSystem), Role: gotong.RoleSystem}}
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
	data := Advised{
		MessageID: e.ID, TargetSeq: e.Seq, N: e.Count, Revision: c.Revision, Action: c.Action, Status: c.Status,
		Provider: c.Provider, Version: c.Version, Prompt: c.Prompt,
	}
	fact := gotong.Fact{Type: EvAdvised, Audience: gotong.ForRole(Reviewer), Content: Reasons{c.Reasoning, c.Violations}}
	if o.Advice != 0 { // its reasons may quote the text that was replaced
		fact.Erases = []uint64{o.Advice}
	}
	m, _ := gotong.Doc[Moderation](r.state, ModerationKey(r.state.Stream.ID(), e.Seq))
	if !gotong.PolicyOf(r.state, r.thread.Home).AutoHold || o.Held != 0 || m.ClearedText == textSeq(e.Seq, o) {
		fact.Data = data
		return gotong.Accept(fact)
	}
	data.Now = r.cmd.Now
	fact.Data = data
	return gotong.Accept(fact, gotong.Fact{Type: EvHeld, Data: r.held(e, ByAdvice, c.Minutes, c.Auto && c.Status == "hold")})
}

// review decides about a message. One who decides again what is decided, with the same
// reason code, changes nothing.
func (r ruling) review(c Review) (gotong.Decision, error) {
	m, err := r.matter(c.MessageID)
	if err != nil {
		return gotong.Decision{}, err
	}
	label := ""
	if c.Decision == Warn {
		if label = c.Code; label == "" {
			label = "warning"
		}
	}
	o, p := m.overlay, m.pending
	waits := p.Since != 0 || o.Held != 0
	switch {
	case c.Revision != nil && *c.Revision != o.Revision:
		return gotong.Reject(gotong.CodeVersion, "The message has been edited since; read its newest text first.")
	case m.Actor.UserID == r.me.userID && (r.me.role == "" || p.By != ByAdvice && o.Held != 0 || p.Reports > 0):
		return gotong.Reject(gotong.CodeForbidden, "Another reviewer must decide about your message.")
	case c.Code == m.record.Code && (c.Decision.Status() == Published && !waits && o.Warning == label || c.Decision == Block && o.Rejected):
		return gotong.Accept()
	case len(m.record.Decided) >= MaxDecisions:
		return gotong.Reject(gotong.CodeConflict, "There are 50 decisions about the message already.")
	}
	decided := gotong.Fact{
		Type: EvDecided, Audience: confidential, Content: c.Grounds,
		Data: Decided{
			MessageID: m.ID, TargetSeq: m.Seq, N: m.Count, Revision: o.Revision, Action: c.Decision, Confidence: c.Confidence,
			Own: m.Actor.UserID == r.me.userID, Now: r.cmd.Now,
		},
	}
	return gotong.Accept(decided, r.effect(c, m.Event, label))
}

// effect returns the fact that everybody sees of a decision.
func (r ruling) effect(c Review, e gotong.Event, label string) gotong.Fact {
	window := c.Appeal
	if window == 0 {
		window = appealWindow
	}
	switch c.Decision {
	case Hold:
		held := r.held(e, ByModerator, c.Minutes, c.Auto)
		held.Code, held.AppealMS = c.Code, r.after(window)
		return public(EvHeld, held)
	case Block:
		return public(EvBlocked, Blocked{
			TargetSeq: e.Seq, N: e.Count, AuthorID: e.Actor.UserID, Code: c.Code, AppealMS: r.after(window), Now: r.cmd.Now,
		})
	default:
		return public(EvReleased, Released{
			TargetSeq: e.Seq, N: e.Count, AuthorID: e.Actor.UserID, Code: c.Code, Warning: label,
		})
	}
}

// appeal has a rejected or held message reviewed, once.
func (r ruling) appeal(c Appeal) (gotong.Decision, error) {
	if r.me.role == "" {
		return gotong.Reject(gotong.CodeForbidden, "Only members can appeal; join the thread first.")
	}
	e, o, err := r.message(c.MessageID)
	if err != nil {
		return gotong.Decision{}, err
	}
	m, _ := gotong.Doc[Moderation](r.state, ModerationKey(r.state.Stream.ID(), e.Seq))
	switch {
	case e.Actor.UserID != r.me.userID:
		return gotong.Reject(gotong.CodeForbidden, "Only the author of a message can appeal.")
	case o.Deleted():
		return gotong.Reject(gotong.CodeTargetDeleted, "The message was deleted.")
	case o.Held == 0:
		return gotong.Reject(gotong.CodeConflict, "The message is neither held nor rejected.")
	case m.Appealed:
		return gotong.Reject(gotong.CodeConflict, "You can appeal only once for a message.")
	case r.cmd.Now.Milli() > m.AppealMS:
		return gotong.Reject(gotong.CodeForbidden, "The time to appeal is over.")
	}
	held := Held{ // an appeal does not lengthen a hold; a rejection has no end
		TargetSeq: e.Seq, N: e.Count, AuthorID: e.Actor.UserID, By: ByAppeal,
		UntilMS: m.UntilMS, Auto: m.Auto, AppealMS: m.AppealMS, Now: r.cmd.Now,
	}
	return gotong.Accept(gotong.Fact{
		Type: EvAppealed, Audience: confidential, Content: c.Plea,
		Data: Appealed{MessageID: e.ID, TargetSeq: e.Seq, N: e.Count, Now: r.cmd.Now},
	}, public(EvHeld, held))
}

// open records a look.
func (r ruling) open(c Open) (gotong.Decision, error) {
	m, err := r.matter(c.MessageID)
	switch {
	case err != nil:
		return gotong.Decision{}, err
	case m.Actor.UserID == r.me.userID:
		return gotong.Reject(gotong.CodeForbidden, "Another reviewer must decide about your message.")
	}
	return gotong.Accept(gotong.Fact{
		Type: EvOpened, Audience: confidential, Data: Opened{MessageID: m.ID, TargetSeq: m.Seq, N: m.Count},
	})
}

// report counts the reports by members since a reviewer last decided, and hides the
// message if the policy requires it: each text once, and not one that a reviewer
// published.
func (r ruling) report(c Report) (gotong.Decision, error) {
	if r.cmd.Actor.Role != gotong.RoleSystem {
		return gotong.Decision{}, gotong.NotFound()
	}
	e, o, err := r.message(c.MessageID)
	if err != nil || o.Deleted() {
		return gotong.Decision{}, err
	}
	id := r.state.Stream.ID()
	p, _ := gotong.Doc[Pending](r.state, PendingKey(id, e.Seq))
	m, _ := gotong.Doc[Moderation](r.state, ModerationKey(id, e.Seq))
	count, opened, text := 0, slices.Clone(p.Context), textSeq(e.Seq, o)
	for _, by := range c.Reporters {
		if by.At <= m.Settled || by.UserID == e.Actor.UserID || r.standing(by.UserID).role == "" {
			continue
		}
		count++
		for _, seq := range by.Context {
			if !slices.Contains(opened, seq) && len(opened) < maxOpened {
				opened = append(opened, seq)
			}
		}
	}
	policy := gotong.PolicyOf(r.state, r.thread.Home)
	hides := policy.AutoHide && count >= policy.HidesAt() && o.Held == 0 && text != m.HiddenText && text != m.ClearedText
	if count <= p.Reports && !hides {
		return gotong.Accept()
	}
	facts := []gotong.Fact{{Type: EvReported, Audience: confidential, Data: Reported{
		MessageID: e.ID, TargetSeq: e.Seq, N: e.Count, AuthorID: e.Actor.UserID, Count: max(count, p.Reports),
		Flagged: count >= policy.FlagsAt(), Context: opened, Now: r.cmd.Now,
	}}}
	if hides {
		facts = append(facts, gotong.Fact{Type: EvHeld, Data: r.held(e, ByReports, reported, true)})
	}
	return gotong.Accept(facts...)
}

// The reasons for which the end of a hold changes nothing.
const (
	NoopStale    = "auto_release_stale_request"  // there is a later decision
	NoopNot      = "auto_release_not_applicable" // the message is not under review
	NoopDisabled = "auto_release_disabled"       // a reviewer must decide
)

// Noop returns why the end of a hold changes nothing; empty if it releases the message.
func (c Unhold) Noop(o Overlay, m Moderation) string {
	switch {
	case c.Held != 0 && (len(m.Decided) == 0 || m.Decided[len(m.Decided)-1] != c.Held):
		return NoopStale
	case m.Status != UnderReview || o.Held == 0:
		return NoopNot
	case !m.Auto:
		return NoopDisabled
	default:
		return ""
	}
}

// unhold ends a hold at its time, unless it was ended or replaced before.
func (r ruling) unhold(c Unhold) (gotong.Decision, error) {
	if !r.cmd.Actor.Role.IsAdmin() {
		return gotong.Decision{}, gotong.NotFound()
	}
	if c.Seq == 0 {
		m, err := r.matter(c.MessageID)
		if err != nil {
			return gotong.Decision{}, err
		}
		c.Seq = m.Seq
	}
	o, _ := gotong.Doc[Overlay](r.state, OverlayKey(r.state.Stream.ID(), c.Seq))
	m, _ := gotong.Doc[Moderation](r.state, ModerationKey(r.state.Stream.ID(), c.Seq))
	switch {
	case c.Noop(o, m) != "":
		return gotong.Accept()
	case r.cmd.Now.Milli() < m.UntilMS && c.Held != 0: // the job runs again
		return gotong.Reject(gotong.CodeNotYet, "The hold is not over.")
	case r.cmd.Now.Milli() < m.UntilMS:
		return gotong.Reject(gotong.CodeConflict, "The hold is not over.")
	default:
		return gotong.Accept(public(EvReleased, Released{
			TargetSeq: c.Seq, N: o.N, AuthorID: m.AuthorID, Code: AutoRelease, Auto: true, Now: r.cmd.Now,
		}))
	}
}

// AutoRelease is the reason code of the end of a hold.
const AutoRelease = "auto_release"

// newcomers returns facts with the hold of a message if the policy holds those of new
// members and the actor is one.
func (r ruling) newcomers(message gotong.Event, facts ...gotong.Fact) (gotong.Decision, error) {
	if r.thread.Members == Home && r.me.role == MemberRole {
		hours := gotong.PolicyOf(r.state, r.thread.Home).NewcomerHours
		if hours > 0 && r.cmd.Now < r.me.base.JoinedAt.Add(time.Duration(hours)*time.Hour) {
			held := r.held(message, ByNewcomer, newcomer, true)
			held.With = facts[0].Type == EvPosted
			facts = append(facts, gotong.Fact{Type: EvHeld, Data: held})
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
