package text

import (
	"strings"
	"unicode"
)

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
