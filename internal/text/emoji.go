package text

import (
	_ "embed" // the list of emoji
	"strings"
	"sync"
	"unicode/utf8"
)

// emojiVersion is the version of the embedded list, which holds every RGI_Emoji of
// Unicode, one per line, in order of code points.
const emojiVersion = "17.0"

//go:embed emoji.txt
var emojiList string

const (
	textStyle = '\ufe0e'
	fullStyle = '\ufe0f'
)

// emojiTable holds every emoji by its bare form.
type emojiTable struct {
	full    map[string]string // without U+FE0F → fully qualified
	longest int               // in bytes, of a fully qualified one
	begins  map[rune]bool     // first characters of emoji
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

// bare returns an emoji without the selectors of a style.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if r == textStyle || r == fullStyle {
			return -1
		}
		return r
	}, s)
}

// qualified returns the fully qualified form of one emoji, whichever selectors are
// missing. It returns any other text unchanged.
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

// at returns the length in bytes of the emoji at the beginning of s; 0 if there is
// none. A digit is an emoji only as a keycap, which is longer.
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
