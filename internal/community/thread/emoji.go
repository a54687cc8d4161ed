package thread

import (
	"unicode"
	"unicode/utf8"
)

// maxEmojiBytes bounds one emoji; the longest family has 28 bytes.
const maxEmojiBytes = 32

const (
	joiner    = '\u200d'
	textStyle = '\ufe0e'
	fullStyle = '\ufe0f'
	keycap    = '\u20e3'
)

// ValidEmoji reports whether s is one emoji: a symbol with its modifiers, such
// symbols joined into one, a flag or a keycap (the shapes of UTS #51; which
// ones are drawn as emoji is left to the reader's fonts). Letters, spaces and
// control characters are none.
func ValidEmoji(s string) bool {
	if s == "" || len(s) > maxEmojiBytes || !utf8.ValidString(s) {
		return false
	}
	rest := []rune(s)
	for {
		n := element(rest)
		if n == 0 {
			return false
		}
		if rest = rest[n:]; len(rest) == 0 {
			return true
		}
		if rest[0] != joiner {
			return false
		}
		rest = rest[1:]
	}
}

// element is the length of the emoji element at the start of r; 0 for none.
func element(r []rune) int {
	switch {
	case len(r) == 0:
		return 0
	case regional(r[0]):
		if len(r) < 2 || !regional(r[1]) {
			return 0
		}
		return 2
	case keycapBase(r[0]):
		return keycapLen(r)
	case !symbol(r[0]):
		return 0
	}
	n := 1
	for n < len(r) && modifier(r[n]) {
		n++
	}
	return n
}

func keycapLen(r []rune) int {
	if len(r) >= 3 && r[1] == fullStyle && r[2] == keycap {
		return 3
	}
	if len(r) >= 2 && r[1] == keycap {
		return 2
	}
	return 0
}

func regional(r rune) bool { return r >= 0x1f1e6 && r <= 0x1f1ff }

func keycapBase(r rune) bool { return r >= '0' && r <= '9' || r == '#' || r == '*' }

// symbol: the symbols beyond ASCII, and the three emoji that Unicode counts as
// punctuation.
func symbol(r rune) bool {
	return r > unicode.MaxASCII && unicode.In(r, unicode.So, unicode.Sm) && !regional(r) ||
		r == '‼' || r == '⁉' || r == '〰'
}

// modifier: presentation, skin tone, and the tags of a subdivision's flag.
func modifier(r rune) bool {
	return r == textStyle || r == fullStyle || r >= 0x1f3fb && r <= 0x1f3ff || r >= 0xe0020 && r <= 0xe007f
}
