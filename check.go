package gotong

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Check gathers what is wrong with the fields of a command; the zero Check is
// ready to use.
type Check struct{ fields []FieldError }

// That notes detail against a field unless ok. The detail is a fixed phrase
// that follows the field's name.
func (c *Check) That(ok bool, field, detail string) {
	if !ok {
		c.fields = append(c.fields, FieldError{field, detail})
	}
}

// Err is nil, or an [Error] with [CodeInvalid] that lists all that was noted.
func (c *Check) Err() error {
	switch len(c.fields) {
	case 0:
		return nil
	case 1:
		return Invalid(c.fields[0].Field, c.fields[0].Detail)
	default:
		return &Error{Code: CodeInvalid, Detail: "Several fields do not fit.", Fields: c.fields}
	}
}

// ValidID reports whether s can be an opaque id, such as a user's: 1 to 128 of
// A-Za-z0-9._:-.
func ValidID(s string) bool { return within(s, maxIDLen, isNameByte) }

// ValidLine reports whether s is, without the space around it, one line of
// least to most characters, of which one can be seen if there has to be any.
func ValidLine(s string, least, most int) bool {
	s = strings.TrimSpace(s)
	n := utf8.RuneCountInString(s)
	return n >= least && n <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) &&
		(least == 0 || Visible(s))
}

// Visible reports whether a reader would see anything of s: something else than
// space, control and format characters, fillers and what has no shape of its
// own (Unicode: Default_Ignorable_Code_Point), and the empty braille pattern.
func Visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return r != '\u2800' && !unicode.IsSpace(r) &&
			!unicode.In(r, unicode.C, unicode.Z, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
			unicode.Is(unicode.Co, r) // private use: a font may show it
	})
}
