package user

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// The names of the commands.
const (
	CmdRegister = "user.register"
	CmdSetRole  = "user.set_role"
	CmdDisable  = "user.disable"
	CmdEnable   = "user.enable"
	CmdAmend    = "user.amend"

	CmdWarnOfWebhook = "user.warn_of_webhook"

	CmdBlock   = "user.block"
	CmdUnblock = "user.unblock"
	CmdPrefer  = "user.prefer"
)

func commands() []gotong.Type {
	return []gotong.Type{
		gotong.TypeOf[Register](CmdRegister), gotong.TypeOf[SetRole](CmdSetRole),
		gotong.TypeOf[Disable](CmdDisable), gotong.TypeOf[Enable](CmdEnable), gotong.TypeOf[Amend](CmdAmend),
		gotong.TypeOf[WarnOfWebhook](CmdWarnOfWebhook),
		gotong.TypeOf[Block](CmdBlock), gotong.TypeOf[Unblock](CmdUnblock), gotong.TypeOf[Prefer](CmdPrefer),
	}
}

// Register creates an account. Username is claimed; neither it nor Email is stored here.
type Register struct {
	Email       string `json:"email"`
	Username    string `json:"username"`
	CommunityID string `json:"community_id"`
}

// SetRole gives an account a platform role.
type SetRole struct {
	Role gotong.Role `json:"role"`
}

// Disable disables an account.
type Disable struct {
	Reason string `json:"reason,omitempty"`
}

// Enable enables an account again.
type Enable struct {
	Reason string `json:"reason,omitempty"`
}

// Amend records that a user changed their password or e-mail address, or deleted their
// account; the personal data change with the same commit, outside the log. Seq is that
// of the event, because logins that stay must be written with it.
type Amend struct {
	Event string `json:"event"` // EvPasswordChanged, EvEmailChanged or EvDeleted
	Seq   uint64 `json:"seq"`
}

// WarnOfWebhook informs a user that a webhook of theirs accepts nothing and when it
// will be disabled. Only the server sends it.
type WarnOfWebhook struct {
	WebhookID  string         `json:"webhook_id"`
	Since      gotong.Instant `json:"since"`
	DisabledAt gotong.Instant `json:"disabled_at"`
}

func (c Register) Clean() any {
	c.Email, c.Username = text.Email.Clean(c.Email), text.Username.Clean(c.Username)
	return c
}

func (c Disable) Clean() any { return Disable{text.Reason.Clean(c.Reason)} }

func (c Enable) Clean() any { return Enable{text.Reason.Clean(c.Reason)} }

func (c Register) Validate(check *gotong.Check) {
	text.Email.Check(check, "email", c.Email)
	text.Username.Check(check, "username", c.Username)
	check.That(gotong.ValidID(c.CommunityID) && len(c.CommunityID) <= 64, "community_id",
		"must be 1 to 64 of A-Za-z0-9._:-")
}

func (c Amend) Validate(check *gotong.Check) {
	check.That(c.Event == EvPasswordChanged || c.Event == EvEmailChanged || c.Event == EvDeleted, "event", "must be a change of an account")
}

func (c SetRole) Validate(check *gotong.Check) {
	check.That(assignable(c.Role), "role", "must be user, moderator or admin")
}

func (c Disable) Validate(check *gotong.Check) { text.Reason.Check(check, "reason", c.Reason) }

func (c Enable) Validate(check *gotong.Check) { text.Reason.Check(check, "reason", c.Reason) }

// assignable reports whether a user may have the role: system and anonymous are
// never a user's.
func assignable(r gotong.Role) bool {
	return r == gotong.RoleUser || r == gotong.RoleModerator || r == gotong.RoleAdmin
}
