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

// Visible reports whether a reader would see anything of s: something else than
// space, control and format characters, fillers and what has no shape of its
// own (Unicode: Default_Ignorable_Code_Point), and the empty braille pattern.
func Visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return !ignorable(r) && !unicode.IsSpace(r) && !unicode.In(r, unicode.C, unicode.Z) ||
			unicode.Is(unicode.Co, r) // private use: a font may show it
	})
}

// ignorable: what has no shape of its own.
func ignorable(r rune) bool {
	return r == '\u2800' || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// name is NFC in which every space is the usual one.
func name(s string) string {
	if !utf8.ValidString(s) {
		return s // no name; mapping would make it one
	}
	return strings.TrimSpace(norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, s)))
}

// validName: one line of which everything can be seen.
func validName(s string) bool { return Legible(s) == s && Visible(s) }

// Legible is s without what a name may not hold: control characters, what
// cannot be seen, and what changes the direction of text (UAX #9), which could
// turn the name, or the line that it is shown in, around. Emoji stay whole, with
// the invisible characters that they are made of, and so does a joiner where a
// script needs it.
func Legible(s string) string {
	var b strings.Builder
	before := rune(0)
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if n := emojis().at(s, r); n > 0 {
			size = n
		} else if !shows(before, r, s[size:]) {
			s = s[size:]
			continue
		}
		b.WriteString(s[:size])
		before, s = r, s[size:]
	}
	return b.String()
}

// shows reports whether r, between what is before and after it, may stand in a
// name.
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
