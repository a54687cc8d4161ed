package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"gotong.dev/gotong"
)

// Sort is one sort of text. Lengths are in characters (code points), counted after
// the step.
type Sort struct {
	Name        string // as the table of the documentation calls it
	Step        string // what [Sort.Clean] does
	Says        string // what a valid value is; it follows the field's name
	Least, Most int
	clean       func(string) string
	valid       func(string) bool
}

// The sorts of text.
var (
	Password = Sort{
		Name: "password", Step: "NFKC", Least: 8, Most: 256,
		Says: "must have 8 to 256 characters", clean: norm.NFKC.String, valid: anything,
	}
	Email = Sort{
		Name: "e-mail address", Step: "NFC, without surrounding space; compared in lower case", Least: 3, Most: 256,
		Says: "must be an address of 3 to 256 characters", clean: trimmedNFC, valid: address,
	}
	Username = Sort{
		Name: "user name", Step: "without surrounding space; checked as typed, compared in lower case", Least: 3, Most: 64,
		Says:  "must be 3 to 64 of A-Z, a-z and 0-9, with single dots, hyphens or underscores between them",
		clean: strings.TrimSpace, valid: plainName,
	}
	Name = Sort{
		Name: "name", Step: "NFC, without surrounding space; every other space becomes U+0020", Least: 1, Most: 128,
		Says: "must be one line of 1 to 128 characters, none of them invisible or changing the direction of text, " +
			"and at most 8 marks on each",
		clean: name, valid: validName,
	}
	DisplayName = Sort{
		Name: "display name", Step: Name.Step, Least: 1, Most: 128,
		Says: "must be one line of 1 to 40 characters with their marks, in all 128 code points, " +
			"none of them invisible or changing the direction of text, and at most 8 marks on each",
		clean: name, valid: func(s string) bool { return validName(s) && clusters(s) <= 40 },
	}
	Topic = Sort{
		Name: "topic", Step: Name.Step, Least: 1, Most: 250,
		Says: "must be one line of 1 to 250 characters, none of them invisible or changing the direction of text, " +
			"and at most 8 marks on each",
		clean: name, valid: validName,
	}
	Message = Sort{
		Name: "message", Step: "as running text, without blank lines before it and space after it", Least: 1, Most: 4000,
		Says: "must have 1 to 4000 characters, at least one of them visible", clean: prose, valid: Visible,
	}
	Description = Sort{
		Name: "description", Step: "as running text, without surrounding space", Most: 2000,
		Says: "must have at most 2000 characters", clean: trimmed, valid: anything,
	}
	Reason = Sort{
		Name: "reason", Step: "as running text, without surrounding space", Most: 500,
		Says: "must have at most 500 characters", clean: trimmed, valid: anything,
	}
	Grounds = Sort{
		Name: "required reason", Step: "as running text, without surrounding space", Least: 1, Most: 500,
		Says: "must have 1 to 500 characters, at least one of them visible", clean: trimmed, valid: Visible,
	}
	Note = Sort{
		Name: "message with a request to join", Step: "as running text, without surrounding space", Most: 512,
		Says: "must have at most 512 characters", clean: trimmed, valid: anything,
	}
	Emoji = Sort{
		Name: "emoji", Step: "the fully qualified form, with U+FE0F where Unicode lists it", Least: 1, Most: 16,
		Says: "must be one emoji of Emoji " + emojiVersion, clean: qualified, valid: isEmoji,
	}
)

// Table returns every sort of text that the server accepts.
func Table() []Sort {
	return []Sort{Password, Email, Username, Name, DisplayName, Topic, Message, Description, Reason, Grounds, Note, Emoji}
}

// Clean returns the text as it is compared and stored. Cleaning a cleaned text
// changes nothing.
func (t Sort) Clean(s string) string { return t.clean(s) }

// Valid reports whether a cleaned text is valid.
func (t Sort) Valid(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= t.Least && n <= t.Most && utf8.ValidString(s) && t.valid(s)
}

// Check adds a fault of the field to c if a cleaned text is not valid.
func (t Sort) Check(c *gotong.Check, field, s string) { c.That(t.Valid(s), field, t.Says) }

func anything(string) bool { return true }

func trimmedNFC(s string) string { return norm.NFC.String(strings.TrimSpace(s)) }

// running returns s with line feeds as line breaks, without other control characters
// than these and tabs, and without those that embed, override or isolate a direction
// (UAX #9), which could reverse the text after it. Marks of a direction stay.
func running(s string) string {
	if !utf8.ValidString(s) {
		return s // invalid; mapping would make it valid
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r != '\n' && r != '\t' && unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		default:
			return r
		}
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}

func trimmed(s string) string { return strings.TrimSpace(running(s)) }

// prose returns running text without blank lines before it and space after it. The
// first line keeps its indentation.
func prose(s string) string {
	s = strings.TrimRightFunc(running(s), unicode.IsSpace)
	start := 0
	for i, r := range s {
		if r == '\n' || r == '\u2028' || r == '\u2029' {
			start = i + utf8.RuneLen(r)
		} else if !unicode.IsSpace(r) {
			break
		}
	}
	return s[start:]
}

// Fold returns s in lower case, for comparing. A letter outside ASCII never becomes
// one of ASCII (K, U+212A, and İ would): addresses that a mail server distinguishes
// stay different.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		if l := unicode.ToLower(r); l > unicode.MaxASCII || r <= unicode.MaxASCII {
			return l
		}
		return r
	}, s)
}

// plainName reports whether s is a valid user name. ASCII alone leaves no way to
// write a name with letters of another script that look the same, or with invisible
// marks.
func plainName(s string) bool {
	between := true // a separator here would stand at the beginning or after another
	for i := range len(s) {
		switch c := s[i]; {
		case asciiAlnum(rune(c)):
			between = false
		case strings.IndexByte("._-", c) >= 0 && !between:
			between = true
		default:
			return false
		}
	}
	return !between
}

func asciiAlnum(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
