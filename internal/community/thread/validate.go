package thread

import (
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

func (c Add) Clean() any { c.Origin = c.clean(); return c }

func (c Remove) Clean() any { c.Origin = c.clean(); return c }

func (c Post) Clean() any {
	body, origin := text.Message.Clean(c.Body), c.clean()
	if body == c.Body && origin == c.Origin {
		return nil // as nearly always
	}
	c.Body, c.Origin = body, origin
	return c
}

// Clean cleans texts that come from a model.
func (c Advise) Clean() any {
	c.Reasoning, c.Violations = text.Description.Clean(c.Reasoning), slices.Clone(c.Violations)
	for i, v := range c.Violations {
		c.Violations[i] = text.Reason.Clean(v)
	}
	return c
}

func (c Edit) Clean() any { c.Body = text.Message.Clean(c.Body); return c }

func (c React) Clean() any { c.Emoji = text.Emoji.Clean(c.Emoji); return c }

func (o Origin) clean() Origin { o.SentBy = text.Name.Clean(o.SentBy); return o }

func (c Create) Validate(check *gotong.Check) {
	check.ID("scope_id", c.ScopeID)
	check.That(c.ScopeID != DirectScope, "scope_id", "must not be direct, which is the scope of direct threads")
	check.That(c.Privacy == Public || c.Privacy == Private, "privacy_level", "must be public or private")
	check.That(c.History == "" || validPolicy(c.History), "history", "must be all or from_join")
	check.That(c.Members == "" || c.Members == Own || c.Members == Home, "members", "must be own or home")
	if c.Lender != "" {
		_, err := gotong.ParseStream(string(c.Lender))
		check.That(err == nil, "lender", "must be kind/id, as in group/ent-…")
		check.That(c.Members != Own, "members", "must not be own if there is a lender")
	}
	c.check(check)
}

func (c SetHistory) Validate(check *gotong.Check) {
	check.That(validPolicy(c.Policy), "policy", "must be all or from_join")
}

func (c Add) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	checkRole(check, c.UserID, c.Role, true)
	c.check(check)
}

func (c Remove) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	c.check(check)
	c.Check(check)
}

func (c Unban) Validate(check *gotong.Check) { check.ID("user_id", c.UserID) }

func (c Appoint) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	check.That(!imported(c.UserID), "user_id", "must not be of an import")
	gotong.CheckMembers(check, c.Members)
}

func (c Mute) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	check.That(gotong.ValidTime(c.UntilMS), "until_ms", "must be a time, or 0 to lift the mute")
}

func (c SetRole) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	checkRole(check, c.UserID, c.Role, false)
}

func (c Post) Validate(check *gotong.Check) {
	checkUploads(check, c.Attachments)
	if c.Body != "" || len(c.Attachments) == 0 {
		text.Message.Check(check, "body", c.Body)
	}
	c.check(check)
}

func (c Edit) Validate(check *gotong.Check) {
	checkMessage(check, c.MessageID)
	text.Message.Check(check, "body", c.Body)
}

func (c Delete) Validate(check *gotong.Check) { checkMessage(check, c.MessageID) }

func (c Pin) Validate(check *gotong.Check) { checkMessage(check, c.MessageID) }

func (c Unpin) Validate(check *gotong.Check) { checkMessage(check, c.MessageID) }

func (c React) Validate(check *gotong.Check) {
	checkMessage(check, c.MessageID)
	text.Emoji.Check(check, "emoji", c.Emoji)
}

func (o Origin) check(check *gotong.Check) {
	check.That(gotong.ValidTime(o.SentAtMS), "sent_at_ms", "must be a time")
	if o.SentBy != "" {
		text.Name.Check(check, "sent_by", o.SentBy)
	}
}

func validPolicy(p Policy) bool { return p == All || p == FromJoin }

func checkRole(check *gotong.Check, userID string, r Role, optional bool) {
	check.That(r.Valid() || optional && r == "", "role", "must be owner, admin or member")
	check.That(!imported(userID) || r == MemberRole || r == "", "role", "of an imported member can be member only")
}

func checkMessage(check *gotong.Check, id gotong.EventID) {
	check.That(!id.IsZero(), "message_id", "must name a message")
}
