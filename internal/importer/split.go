package importer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of one message.
const (
	MaxText  = 4000     // characters
	MaxBytes = 16 << 10 // of UTF-8
)

// split cuts a text into messages: at the last line break in the second half of
// what fits, else at the last space there, else at the bound. It depends on the
// text alone. Parts are as the server stores them; blank ones are dropped.
func split(text string) []string {
	var parts []string
	for text = body(text); text != ""; {
		n := fits(text)
		if n < len(text) {
			n = cut(text[:n])
		}
		parts = append(parts, body(text[:n]))
		text = body(strings.TrimPrefix(text[n:], " "))
	}
	return parts
}

// fits returns how many bytes of text one message may hold, without cutting a
// character.
func fits(text string) int {
	n, chars := 0, 0
	for n < len(text) && chars < MaxText {
		_, size := utf8.DecodeRuneInString(text[n:])
		if n+size > MaxBytes {
			break
		}
		n += size
		chars++
	}
	return n
}

func cut(text string) int {
	for _, sep := range [...]string{"\n", " "} {
		if i := strings.LastIndex(text, sep); i > len(text)/2 {
			return i
		}
	}
	return len(text)
}

// partSuffix distinguishes the parts of a split text. It is empty for the
// first, so that its id is that of a text that was not split.
func partSuffix(i int) string {
	if i == 0 {
		return ""
	}
	return "." + strconv.Itoa(i+1)
}
