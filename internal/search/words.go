package search

import (
	"hash/fnv"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// token is one word of a text: where it stands, in code points, half open, and how
// it is compared, in lower case and without accents.
type token struct {
	from, to int
	word     string
}

// tokens returns the words of a text: runs of letters, digits and their marks.
func tokens(text string) (list []token) {
	var word strings.Builder
	from, at := 0, 0
	end := func() {
		if word.Len() > 0 {
			list = append(list, token{from, at, word.String()})
			word.Reset()
		}
	}
	for _, r := range text {
		if part := folded(r); part != "" {
			if word.Len() == 0 {
				from = at
			}
			word.WriteString(part)
		} else if !unicode.Is(unicode.M, r) {
			end()
		}
		at++
	}
	end()
	return list
}

// folded returns how a character is compared; "" if it belongs to no word.
func folded(r rune) string {
	switch {
	case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
		return string(r)
	case r < utf8.RuneSelf:
		if r >= 'A' && r <= 'Z' {
			return string(r + 'a' - 'A')
		}
		return ""
	case !unicode.In(r, unicode.L, unicode.N):
		return ""
	}
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.L, unicode.N) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFKD.String(string(r)))
}

// short are the short forms of chat and what they stand for.
var short = map[string]string{
	"yg": "yang", "dg": "dengan", "dgn": "dengan", "utk": "untuk", "tdk": "tidak", "gak": "tidak", "ga": "tidak", "nggak": "tidak",
	"enggak": "tidak", "ngga": "tidak", "tak": "tidak", "krn": "karena", "karna": "karena", "sdh": "sudah", "udah": "sudah",
	"udh": "sudah", "blm": "belum", "bgt": "banget", "jgn": "jangan", "tgl": "tanggal", "jln": "jalan", "jl": "jalan",
	"hr": "hari", "org": "orang", "sy": "saya", "aja": "saja", "pd": "pada", "dr": "dari", "kpd": "kepada", "skrg": "sekarang",
	"bsk": "besok", "kmrn": "kemarin", "msh": "masih", "lg": "lagi", "tp": "tapi", "trs": "terus", "bpk": "bapak", "pak": "bapak",
	"rmh": "rumah", "klo": "kalau", "kalo": "kalau", "kl": "kalau", "mhn": "mohon", "tlp": "telepon", "hp": "ponsel",
}

// The affixes of Indonesian, and the endings of English that chat in Indonesia
// mixes in. A prefix that swallowed the first letter of the root has the letters
// that may have been there.
var (
	particles = []string{"nya", "lah", "kah", "pun", "ku", "mu"}
	endings   = []string{"kan", "an", "i", "ing", "ed", "es", "s", "e"}
	prefixes  = []struct{ is, swallowed string }{
		{"memper", ""}, {"diper", ""}, {"menge", ""}, {"meng", "k"}, {"meny", "s"}, {"men", "t"}, {"mem", "p"}, {"me", ""},
		{"peng", "k"}, {"peny", "s"}, {"pen", "t"}, {"pem", "p"}, {"per", ""}, {"pe", ""}, {"ber", ""}, {"be", ""}, {"ter", ""},
		{"di", ""}, {"ke", ""}, {"se", ""},
	}
)

// minRoot is how many letters what is left of a word must have.
const minRoot = 4

// roots returns the forms under which a word is found, itself first: without one of
// the endings and without one of the prefixes. Two words fit each other if they
// have a form in common. There is no list of roots, so some forms are no words;
// these rarely meet another.
func roots(word string) []string {
	if long, ok := short[word]; ok {
		word = long
	}
	list := []string{word}
	if strings.ContainsFunc(word, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return list
	}
	add := func(w string, least int) {
		if len(w) >= least && !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	for _, p := range particles {
		if w, ok := strings.CutSuffix(word, p); ok {
			add(w, minRoot-1)
			break
		}
	}
	for _, w := range slices.Clone(list) {
		for _, e := range endings {
			w, ok := strings.CutSuffix(w, e)
			if !ok {
				continue
			}
			add(w, minRoot)
			if n := len(w); n > minRoot && w[n-1] == w[n-2] && (e == "ing" || e == "ed") { // formatted, as format
				add(w[:n-1], minRoot)
			}
		}
	}
	for _, w := range slices.Clone(list) {
		for _, p := range prefixes {
			rest, ok := strings.CutPrefix(w, p.is)
			if !ok || rest == "" {
				continue
			}
			add(rest, minRoot)
			if p.swallowed != "" && strings.ContainsRune("aiueo", rune(rest[0])) {
				add(p.swallowed+rest, minRoot)
			}
		}
	}
	return list
}

// The words of the index that are no words of a text.
const (
	byUser  = "\x00from:" // and the user's id
	withA   = "\x00has:"  // and what the message has
	hasLink = "link"
	hasFile = "file"
)

// hashed returns a word as the index has it: 40 bits of its hash. The index holds no
// text, so nothing can be read from it, and no letter of an erased text is in it.
// Where two words have one hash, the text itself shows which of them it has.
func hashed(word string) string {
	const digits = "abcdefghijklmnopqrstuvwxyz234567"
	h := fnv.New64a()
	_, _ = h.Write([]byte(word))
	var b [8]byte
	for i, n := 0, h.Sum64(); i < len(b); i, n = i+1, n>>5 {
		b[i] = digits[n&31]
	}
	return string(b[:])
}

// hashedAll returns these words as the index has them.
func hashedAll(words []string) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = hashed(w)
	}
	return list
}
