package thread

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// MaxMentions is how many names of one text are looked up; what follows mentions
// nobody.
const MaxMentions = 50

// Here is the group of all members. Like the names of roles, it takes precedence over
// a user with such a name.
const Here = "here"

// Mention is a place in a text that names users: one of them, the members at that
// position, or those of them who have a role. The role is one of the lender if the
// members are borrowed. The characters From to To, without To, are the name with its
// sign, in code points.
type Mention struct {
	UserID string `json:"user_id,omitempty"`
	Group  string `json:"group,omitempty"`
	Role   string `json:"role,omitempty"`
	From   int    `json:"from"`
	To     int    `json:"to"`
}

// Named returns the users whom a message names, for [gotong.Naming].
func (d Posted) Named() []string { return named(d.Mentions) }

// Named returns the users whom the new text names.
func (d Edited) Named() []string { return named(d.Mentions) }

func named(list []Mention) (ids []string) {
	for _, m := range list {
		if m.UserID != "" {
			ids = append(ids, m.UserID)
		}
	}
	return ids
}

// token is a name in a text, in lower case, with its place.
type token struct {
	name     string
	from, to int
}

// tokens returns the names in a text that follow an @, the first 50. A name is all the
// plain letters and digits there, with single dots, hyphens and underscores between
// them. It stands alone: what is before the @ is no part of a word or an address, and
// no letter of any script, invisible character or second @ continues it.
func tokens(body string) (list []token) {
	before, at := ' ', 0 // the character before the rest of the text, and its place
	for body != "" && len(list) < MaxMentions {
		i := strings.IndexByte(body, '@')
		if i < 0 {
			return list
		}
		if i > 0 {
			before, _ = utf8.DecodeLastRuneInString(body[:i])
		}
		at += utf8.RuneCountInString(body[:i])
		name := plainName(body[i+1:])
		body = body[i+1+len(name):]
		if len(name) <= text.Username.Most && name != "" && alone(before, body) {
			list = append(list, token{text.Fold(name), at, at + 1 + len(name)})
		}
		if at += 1 + len(name); name == "" {
			before = '@'
		} else {
			before = 'a'
		}
	}
	return list
}

// plainName returns the beginning of s that has the form of a user name.
func plainName(s string) string {
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z':
			n = i + 1
		case (c == '.' || c == '-' || c == '_') && i > 0 && n == i:
		default:
			return s[:n]
		}
	}
	return s[:n]
}

// alone reports whether a name between these is one by itself.
func alone(before rune, after string) bool {
	if partOfName(before) || strings.ContainsRune("@./\\_-+=#%&~^$", before) {
		return false
	}
	next, size := utf8.DecodeRuneInString(after)
	if next == '.' || next == '-' || next == '_' {
		next, _ = utf8.DecodeRuneInString(after[size:])
	}
	return after == "" || next != '@' && !partOfName(next)
}

// partOfName reports whether a character continues a word, invisibly perhaps.
func partOfName(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.C, unicode.Other_Default_Ignorable_Code_Point) &&
		r != '\n' && r != '\t'
}

// naming returns the names in the text of a command. An imported text mentions nobody,
// because it was written long ago.
func naming(data any) []token {
	switch c := data.(type) {
	case Post:
		if c.Origin == (Origin{}) {
			return tokens(c.Body)
		}
	case Edit:
		return tokens(c.Body)
	}
	return nil
}

// hasRole reports whether a name is that of a role of the members.
func (r Rules) hasRole(t Thread, name string) bool {
	if t.Members == Home {
		return r.Lenders.Standing(t.Lender, name) != gotong.Outside
	}
	return Role(name).Valid()
}

// mentionRefs names the claims of the names in a text and, of those that exist, the
// rows that decide whether the user is a member. It names nothing for a text without
// an @.
func (r Rules) mentionRefs(s gotong.State, t Thread, cmd gotong.Command) (refs []gotong.Ref) {
	if r.Claim == nil {
		return nil
	}
	for _, n := range naming(cmd.Data) {
		if n.name == Here || r.hasRole(t, n.name) {
			continue
		}
		claim := gotong.Ref{Claim: r.Claim(n.name)}
		refs = append(refs, claim)
		if !s.Has(claim) {
			continue
		}
		if account, ok := s.Claimed(claim.Claim); ok {
			refs = addMember(refs, cmd.Stream, t, account.ID())
		}
	}
	return refs
}

// mentions returns what the text of the command mentions. A name that is not that of an
// active member stays plain text, so that it does not reveal which accounts exist.
func (r ruling) mentions() (list []Mention) {
	for _, n := range naming(r.cmd.Data) {
		m := Mention{From: n.from, To: n.to}
		switch {
		case n.name == Here:
			m.Group = Here
		case r.hasRole(r.thread, n.name):
			m.Role = n.name
		case r.Claim == nil:
			continue
		default:
			account, ok := r.state.Claimed(r.Claim(n.name))
			if !ok || r.standing(account.ID()).role == "" {
				continue
			}
			m.UserID = account.ID()
		}
		list = append(list, m)
	}
	return list
}

// addressed returns the lender if the thread borrows its members and some of them are
// mentioned; empty otherwise.
func (r ruling) addressed(list []Mention) gotong.Stream {
	if len(list) == 0 {
		return ""
	}
	return r.thread.Lender
}
