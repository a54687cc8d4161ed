package user

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"gotong.dev/gotong"
)

// The names of the commands.
const (
	CmdRegister = "user.register"
	CmdSetRole  = "user.set_role"
	CmdDisable  = "user.disable"
	CmdEnable   = "user.enable"
)

// The limits of texts, in characters.
const (
	MaxEmail    = 256
	MaxUsername = 64
	MaxReason   = 500
)

func commands() []gotong.Type {
	return []gotong.Type{
		gotong.TypeOf[Register](CmdRegister), gotong.TypeOf[SetRole](CmdSetRole),
		gotong.TypeOf[Disable](CmdDisable), gotong.TypeOf[Enable](CmdEnable),
	}
}

// Register makes an account. Email and Username are claimed, not stored.
type Register struct {
	Email       string `json:"email"`
	Username    string `json:"username"`
	CommunityID string `json:"community_id"`
}

// SetRole gives an account a platform role.
type SetRole struct {
	Role gotong.Role `json:"role"`
}

// Disable shuts an account out.
type Disable struct {
	Reason string `json:"reason,omitempty"`
}

// Enable lets an account in again.
type Enable struct {
	Reason string `json:"reason,omitempty"`
}

// Validate implements [gotong.Validator].
func (c Register) Validate() error {
	var check gotong.Check
	check.That(validEmail(Email(c.Email)), "email", "must be an address of 3 to 256 characters")
	check.That(validUsername(Username(c.Username)), "username",
		"must be 3 to 64 of A-Z, a-z and 0-9, with single dots, hyphens or underscores between them")
	check.That(gotong.ValidID(c.CommunityID) && len(c.CommunityID) <= 64, "community_id",
		"must be 1 to 64 of A-Za-z0-9._:-")
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c SetRole) Validate() error {
	var check gotong.Check
	check.That(assignable(c.Role), "role", "must be user, moderator or admin")
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c Disable) Validate() error { return checkReason(c.Reason) }

// Validate implements [gotong.Validator].
func (c Enable) Validate() error { return checkReason(c.Reason) }

// assignable: system and anonymous are never a person's.
func assignable(r gotong.Role) bool {
	return r == gotong.RoleUser || r == gotong.RoleModerator || r == gotong.RoleAdmin
}

// validEmail asks for little: whether an address works, only a mail can tell.
func validEmail(s string) bool {
	local, domain, _ := strings.Cut(s, "@")
	n := utf8.RuneCountInString(s)
	return n >= 3 && n <= MaxEmail && local != "" && domain != "" && !strings.Contains(domain, "@") &&
		utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
}

// validUsername is for new names. Letters of one alphabet alone leave no way to
// write a name with letters of another that look the same, or with marks that
// do not show.
func validUsername(s string) bool {
	if len(s) < 3 || len(s) > MaxUsername {
		return false
	}
	between := true // a separator here would stand at the beginning or after another
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			between = false
		case strings.IndexByte("._-", c) >= 0 && !between:
			between = true
		default:
			return false
		}
	}
	return !between
}

func checkReason(s string) error {
	var check gotong.Check
	check.That(utf8.RuneCountInString(strings.TrimSpace(s)) <= MaxReason, "reason", "must have at most 500 characters")
	return check.Err()
}
