package user

import (
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// Name is the kind: the part of a stream's name before the slash.
const Name = "user"

// The collections of the kind.
const (
	Users    = "users"          // (user id, "") → User
	Disabled = "disabled_users" // (DirectoryOwner, gotong.EntryName) → gotong.Entry
	settings = "user_settings"  // (user id, "") → Settings, see [gotong.SettingsRef]
)

// DirectoryOwner owns the one list of the accounts that are disabled.
const DirectoryOwner = "all"

// The spaces of claims; a name in them is lower case. That of user names also
// holds what they look like ([Look]). E-mail addresses change, so they are no claims
// now; accounts of earlier versions claimed theirs.
const (
	ClaimEmail    = "email"
	ClaimUsername = "username"
)

// User is the document of one account.
type User struct {
	Role        gotong.Role    `json:"role"`
	Enabled     bool           `json:"enabled"`
	Deleted     bool           `json:"deleted,omitempty"` // by the user, for good; then it is not enabled
	CommunityID string         `json:"community_id"`
	CreatedAt   gotong.Instant `json:"created_at"`
	Standing    uint64         `json:"standing"` // the event that set role and enabled
}

// Active reports whether the account is not disabled.
func (u User) Active() bool { return u.Enabled }

// Platform returns the platform role of the account.
func (u User) Platform() gotong.Role { return u.Role }

// UserKey is the key of an account's document.
func UserKey(id string) gotong.Key { return gotong.Key{Collection: Users, Owner: id} } //nolint:revive // as in the other kinds

// DisabledKey is the key of an account's line among those that are disabled.
func DisabledKey(created gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: Disabled, Owner: DirectoryOwner, Name: gotong.EntryName(created, id)}
}

// Email returns an address as it is claimed and looked up: cleaned, in lower case.
func Email(s string) string { return text.Fold(text.Email.Clean(s)) }

// Username returns a user name as it is claimed and looked up.
func Username(s string) string { return text.Fold(text.Username.Clean(s)) }

// NameClaim returns the claim of a user name.
func NameClaim(s string) gotong.Claim { return gotong.Claim{Space: ClaimUsername, Name: Username(s)} }

// Look returns what a user name looks like at a glance: of names with the same
// look, only one can be taken. Capital I and the digit 1 look like the letter l,
// the digit 0 like o (after Unicode TS 39, confusables), and all signs between
// words look alike. No two numbers look alike. The prefix of the result occurs in
// no user name.
func Look(s string) string {
	return "look:" + text.Fold(strings.Map(func(r rune) rune {
		switch r {
		case 'I', '1':
			return 'l'
		case '0':
			return 'o'
		case '-', '_':
			return '.'
		}
		return r
	}, text.Username.Clean(s)))
}

// Kind returns the rules of accounts.
func Kind() gotong.Kind {
	return gotong.Kind{
		Name:        Name,
		Commands:    commands(),
		Events:      events(),
		Documents:   []gotong.Type{gotong.TypeOf[User](Users), gotong.TypeOf[gotong.Entry](Disabled), gotong.TypeOf[Settings](settings)},
		Signals:     []string{"inbox"}, // that the inbox changed; the server alone sends it
		Home:        home,
		Needs:       needs,
		Decide:      decide,
		Project:     project,
		AccessNeeds: accessNeeds,
		Access:      access,
		Affects:     affects,
	}
}
