package edgepod

import (
	_ "embed" // the word lists
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

//go:embed words.txt
var wordFile string

// list is a list of words and phrases with one meaning.
type list struct {
	name    string
	phrases []string
}

// lists are the lists by group, in the order of the file.
var lists = func() map[string][]list {
	m := map[string][]list{}
	for line := range strings.Lines(wordFile) {
		head, phrases, ok := strings.Cut(strings.TrimSpace(line), ": ")
		group, name, named := strings.Cut(head, "/")
		if !ok || !named || head[0] == '#' {
			continue
		}
		if last := len(m[group]) - 1; last < 0 || m[group][last].name != name {
			m[group] = append(m[group], list{name: name})
		}
		l := &m[group][len(m[group])-1]
		l.phrases = append(l.phrases, strings.Split(phrases, ", ")...)
	}
	return m
}()

// named returns the phrases of a list; none if the group has no such list.
func named(group, name string) []string {
	for _, l := range lists[group] {
		if l.name == name {
			return l.phrases
		}
	}
	return nil
}

// letters are what is written in place of a letter.
var letters = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i", "'", "")

// fold returns the words of a text in lower case without marks, with letters for
// the digits within words, and with at most run equal letters where there are more
// than two: "G0BL000K!!" is goblok with a run of 1.
func fold(text string, run int) []string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case unicode.IsLetter(r), unicode.IsDigit(r), strings.ContainsRune("@$!'", r):
			return unicode.ToLower(r)
		default:
			return ' '
		}
	}, norm.NFKD.String(text))
	var words []string
	for w := range strings.FieldsSeq(text) {
		w = strings.Trim(strings.TrimPrefix(w, "@"), "!'")
		if strings.IndexFunc(w, unicode.IsLetter) >= 0 { // else it is a number
			w = shorten(letters.Replace(w), run)
		}
		if w != "" {
			words = append(words, w)
		}
	}
	return words
}

// shorten leaves run letters of more than two equal ones.
func shorten(word string, run int) string {
	var b strings.Builder
	for word != "" {
		r, size := utf8.DecodeRuneInString(word)
		rest := strings.TrimLeft(word, string(r))
		n := (len(word) - len(rest)) / size
		if n > 2 {
			n = run
		}
		b.WriteString(strings.Repeat(string(r), n))
		word = rest
	}
	return b.String()
}

// text is a text made ready for lists, once for each length of a run.
type text [2]string

func newText(s string) (t text) {
	for i := range t {
		t[i] = " " + strings.Join(fold(s, i+1), " ") + " "
	}
	if t[1] == t[0] { // as nearly always
		t[1] = ""
	}
	return t
}

// hits returns how many of the list's phrases the text has.
func (t text) hits(l list) (n int) {
	for _, p := range l.phrases {
		if p = " " + p + " "; strings.Contains(t[0], p) || strings.Contains(t[1], p) {
			n++
		}
	}
	return n
}

// count returns how many phrases of a group the text has.
func (t text) count(group string) (n int) {
	for _, l := range lists[group] {
		n += t.hits(l)
	}
	return n
}

// best returns the list of a group with the most phrases in the text, their number,
// and the number of the list that comes second.
func (t text) best(group string) (name string, first, second int) {
	for _, l := range lists[group] {
		switch n := t.hits(l); {
		case n > first:
			name, first, second = l.name, n, first
		case n > second:
			second = n
		}
	}
	return name, first, second
}

// aimed finds an insult within a few words after one with which somebody is
// addressed, or just before it.
var aimed = sync.OnceValue(func() *regexp.Regexp {
	address, insult := strings.Join(named("address", "address"), "|"), strings.Join(named("insult", "harassment"), "|")
	return regexp.MustCompile(fmt.Sprintf(` (%[1]s) (\S+ ){0,4}(%[2]s) | (%[2]s) (\S+ )?(%[1]s) `, address, insult))
})

// insults reports whether the text insults somebody.
func (t text) insults() bool { return aimed().MatchString(t[0]) || aimed().MatchString(t[1]) }
