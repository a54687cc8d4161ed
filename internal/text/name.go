package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	joiner    = '\u200d'
	nonJoiner = '\u200c'
)

// Visible reports whether s shows anything: a character other than space, control
// and format characters, fillers, characters without a shape of their own (Unicode:
// Default_Ignorable_Code_Point) and the empty braille pattern.
func Visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return !ignorable(r) && !unicode.IsSpace(r) && !unicode.In(r, unicode.C, unicode.Z) ||
			unicode.Is(unicode.Co, r) // private use: a font may show it
	})
}

// ignorable reports characters without a shape of their own.
func ignorable(r rune) bool {
	return r == '\u2800' || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// name returns s in NFC, with every space as U+0020.
func name(s string) string {
	if !utf8.ValidString(s) {
		return s // invalid; mapping would make it valid
	}
	return strings.TrimSpace(norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, s)))
}

// maxMarks is how many marks one letter may have: more than any orthography has.
const maxMarks = 8

func validName(s string) bool { return Legible(s) == s && Visible(s) }

// Legible returns s without the characters that a name must not contain: control
// characters, invisible ones, and those that change the direction of text (UAX #9),
// which could reverse the name or the line around it. It keeps the invisible
// characters of an emoji, and a joiner where a script needs it.
// It drops a mark that has no letter, and all but the first [maxMarks] of one letter:
// they would be drawn over what is beside the name.
func Legible(s string) string {
	var b strings.Builder
	before, marks := rune(0), maxMarks // as if the beginning were full of them
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if n := emojis().at(s, r); n > 0 {
			size, marks = n, 0
		} else if mark := unicode.Is(unicode.M, r); !shows(before, r, s[size:]) || mark && marks == maxMarks {
			s = s[size:]
			continue
		} else if mark {
			marks++
		} else if r != joiner && r != nonJoiner {
			marks = 0
		}
		b.WriteString(s[:size])
		before, s = r, s[size:]
	}
	return b.String()
}

// clusters returns the number of characters as people count them (UAX #29, in short): a
// letter with its marks is one, and so is an emoji.
func clusters(s string) (n int) {
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if emoji := emojis().at(s, r); emoji > 0 {
			size = emoji
		}
		if n == 0 || r != joiner && r != nonJoiner && !unicode.Is(unicode.M, r) {
			n++
		}
		s = s[size:]
	}
	return n
}

// shows reports whether r may stand in a name, given the text around it.
func shows(before, r rune, after string) bool {
	switch {
	case r == ' ' || unicode.Is(unicode.Co, r):
		return true
	case r == joiner || r == nonJoiner:
		next, _ := utf8.DecodeRuneInString(after)
		return joins(before, r, next)
	default:
		return !ignorable(r) && !unicode.In(r, unicode.C, unicode.Z)
	}
}

// joins reports whether a joiner changes how the letters around it are drawn:
// after a virama, or, where it keeps two letters apart, within a word of the
// Arabic or a related script (RFC 5892, appendix A, in short).
func joins(before, r, after rune) bool {
	cursive := func(r rune) bool {
		return unicode.In(r, unicode.Arabic, unicode.Syriac, unicode.Nko, unicode.Mongolian) && unicode.In(r, unicode.L, unicode.M)
	}
	return norm.NFC.PropertiesString(string(before)).CCC() == virama ||
		r == nonJoiner && cursive(before) && cursive(after)
}

// virama is the canonical combining class of the signs that join consonants.
const virama = 9

// The limits of an address in bytes (RFC 5321, 4.5.3.1; RFC 1035, 2.3.4).
const (
	maxLocal  = 64
	maxDomain = 255
	maxLabel  = 63
)

// address reports whether s is local@domain as people write it: a dot-atom of
// RFC 5322 before the sign and a host name after it, with letters of any script
// (RFC 6531). It rejects quoted local parts, comments, literal addresses and display
// names. Whether an address exists, only a mail can show.
func address(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return false
	}
	local, domain := s[:at], s[at+1:]
	return len(local) <= maxLocal && dotted(local, localPart) && len(domain) <= maxDomain && dotted(domain, label)
}

// dotted reports whether part accepts every part between dots, and none is empty.
func dotted(s string, part func(string) bool) bool {
	for p := range strings.SplitSeq(s, ".") {
		if p == "" || !part(p) {
			return false
		}
	}
	return true
}

func localPart(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !wordRune(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
	})
}

func label(s string) bool {
	return len(s) <= maxLabel && s[0] != '-' && s[len(s)-1] != '-' &&
		!strings.ContainsFunc(s, func(r rune) bool { return r != '-' && !wordRune(r) })
}

// wordRune reports letters, digits and the marks on them.
func wordRune(r rune) bool {
	if r <= unicode.MaxASCII {
		return asciiAlnum(r)
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !ignorable(r)
}
