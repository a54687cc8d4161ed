package text

import (
	_ "embed" // the list of emoji
	"strings"
	"sync"
	"unicode/utf8"
)

// emojiVersion is that of the embedded list. A new one is a new list: every
// RGI_Emoji of Unicode, one a line, in order of code points.
const emojiVersion = "17.0"

//go:embed emoji.txt
var emojiList string

const (
	textStyle = '\ufe0e'
	fullStyle = '\ufe0f'
)

// emojiTable is every emoji by its bare form.
type emojiTable struct {
	full    map[string]string // without U+FE0F → fully qualified
	longest int               // in bytes, of a fully qualified one
	begins  map[rune]bool     // what an emoji begins with
}

var emojis = sync.OnceValue(func() emojiTable {
	t := emojiTable{full: map[string]string{}, begins: map[rune]bool{}}
	for line := range strings.Lines(emojiList) {
		if strings.HasPrefix(line, "# ") {
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		first, _ := utf8.DecodeRuneInString(line)
		t.full[bare(line)], t.begins[first] = line, true
		t.longest = max(t.longest, len(line))
	}
	return t
})

// bare is an emoji without the signs that only ask for a style.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if r == textStyle || r == fullStyle {
			return -1
		}
		return r
	}, s)
}

// qualified is the fully qualified form of one emoji, however much of it was
// left out; what is no emoji stays as it is.
func qualified(s string) string {
	if len(s) > 2*emojis().longest {
		return s
	}
	if full, ok := emojis().full[bare(s)]; ok {
		return full
	}
	return s
}

func isEmoji(s string) bool { return s != "" && emojis().full[bare(s)] == s }

// at is the length of the emoji that s begins with; 0 for none. Digits are
// emoji only as keycaps, which are longer.
func (t emojiTable) at(s string, first rune) int {
	if !t.begins[first] {
		return 0
	}
	for n := min(t.longest, len(s)); n > 0; n-- {
		plain := bare(s[:n])
		if full, ok := t.full[plain]; ok && (s[:n] == full || s[:n] == plain) {
			return n
		}
	}
	return 0
}
