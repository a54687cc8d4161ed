package importer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// What one message may hold.
const (
	MaxText  = 4000     // characters
	MaxBytes = 16 << 10 // of UTF-8
)

// split cuts a text into messages: at the last line break of the second half
// of what fits, else at the last space there, else where it is full. It
// depends on the text alone. Parts are as the server keeps them;
// blank ones are dropped.
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

// fits is how many bytes of text one message may hold, at a character's end.
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

// partSuffix tells the parts of a split text apart; the first has none, so
// that it is the id of a text that was not split.
func partSuffix(i int) string {
	if i == 0 {
		return ""
	}
	return "." + strconv.Itoa(i+1)
}
