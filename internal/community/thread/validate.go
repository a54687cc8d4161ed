package thread

import (
	"strings"
	"unicode/utf8"

	"gotong.dev/gotong"
)

// MaxBody is how many characters a message may have, without the space around
// it. They are at most 16,000 bytes, which keeps the contract's 16 KiB as well.
const MaxBody = 4000

// MaxSentBy is how many characters an imported name may have.
const MaxSentBy = 128

// maxTimeMS is the end of the year 9999; it also keeps a number of
// milliseconds exact in any JSON reader.
const maxTimeMS = 253402300799999

// Validate implements [gotong.Validator].
func (c Create) Validate() error {
	var check gotong.Check
	check.That(gotong.ValidID(c.ScopeID), "scope_id", "must be 1 to 128 of A-Za-z0-9._:-")
	check.That(c.Privacy == Public || c.Privacy == Private, "privacy_level", "must be public or private")
	check.That(c.History == "" || validPolicy(c.History), "history", "must be all or from_join")
	check.That(c.Members == "" || c.Members == Own || c.Members == Home, "members", "must be own or home")
	check.That(c.Members != Home || groupScope(c.ScopeID), "members", "can be home in the scope of a group only")
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c SetHistory) Validate() error {
	var check gotong.Check
	check.That(validPolicy(c.Policy), "policy", "must be all or from_join")
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c Add) Validate() error {
	var check gotong.Check
	checkUser(&check, c.UserID)
	checkRole(&check, c.UserID, c.Role, true)
	c.check(&check)
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c Remove) Validate() error {
	var check gotong.Check
	checkUser(&check, c.UserID)
	c.check(&check)
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c Mute) Validate() error {
	var check gotong.Check
	checkUser(&check, c.UserID)
	check.That(c.UntilMS >= 0 && c.UntilMS <= maxTimeMS, "until_ms", "must be a time, or 0 to lift the mute")
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c SetRole) Validate() error {
	var check gotong.Check
	checkUser(&check, c.UserID)
	checkRole(&check, c.UserID, c.Role, false)
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c Post) Validate() error {
	if len(c.Attachments) > 0 {
		return &gotong.Error{
			Code: gotong.CodeUnsupported, Detail: "Attachments are not supported yet.",
			Fields: []gotong.FieldError{{Field: "attachments", Detail: "must be empty"}},
		}
	}
	var check gotong.Check
	checkBody(&check, c.Body)
	c.check(&check)
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c Edit) Validate() error {
	var check gotong.Check
	checkMessage(&check, c.MessageID)
	checkBody(&check, c.Body)
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c Delete) Validate() error {
	var check gotong.Check
	checkMessage(&check, c.MessageID)
	return check.Err()
}

// Validate implements [gotong.Validator].
func (c React) Validate() error {
	var check gotong.Check
	checkMessage(&check, c.MessageID)
	check.That(ValidEmoji(c.Emoji), "emoji", "must be one emoji of at most 32 bytes")
	return check.Err()
}

func (o Origin) check(check *gotong.Check) {
	check.That(o.SentAtMS >= 0 && o.SentAtMS <= maxTimeMS, "sent_at_ms", "must be a time")
	check.That(o.SentBy == "" || gotong.ValidLine(o.SentBy, 1, MaxSentBy), "sent_by",
		"must be one line of 1 to 128 characters")
}

func validPolicy(p Policy) bool { return p == All || p == FromJoin }

func checkUser(check *gotong.Check, id string) {
	check.That(gotong.ValidID(id), "user_id", "must be 1 to 128 of A-Za-z0-9._:-")
}

func checkRole(check *gotong.Check, userID string, r Role, optional bool) {
	check.That(r.Valid() || optional && r == "", "role", "must be owner, admin or member")
	check.That(!imported(userID) || r == MemberRole || r == "", "role", "of an imported member can be member only")
}

func checkMessage(check *gotong.Check, id gotong.EventID) {
	check.That(!id.IsZero(), "message_id", "must name a message")
}

func checkBody(check *gotong.Check, s string) {
	s = strings.TrimSpace(s)
	n := utf8.RuneCountInString(s)
	check.That(n >= 1 && n <= MaxBody && gotong.Visible(s), "body", "must have 1 to 4000 characters, and one that can be seen")
	check.That(utf8.ValidString(s), "body", "must be UTF-8")
}
