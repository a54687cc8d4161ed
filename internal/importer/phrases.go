package importer

import (
	_ "embed" // the table of sentences
	"regexp"
	"slices"
	"strings"
	"sync"
)

// phrasesTable is how WhatsApp writes its own sentences: by language, a key and a
// sentence per line. docs/import.md lists the languages; a test compares the two.
//
//go:embed phrases.txt
var phrasesTable string

// tongue is one language of the table.
type tongue struct {
	name string
	you  []string // words for the user who exports
	and  string   // joins the last two names of a list
}

// sentence is one pattern, and the language that it is in.
type sentence struct {
	re     *regexp.Regexp
	tongue *tongue
}

// The keys of the table, beside you and and.
const (
	deleted = "deleted" // the whole text of a deleted message
	edited  = "edited"  // a mark at the end of a message
	came    = "came"    // %a joined, or was added
	added   = "added"   // %a added %b
	went    = "went"    // %a left, or was removed
	removed = "removed" // %a removed %b
	created = "created" // %a created the group %x
	titled  = "titled"  // %a named the group %x
	renamed = "renamed" // %a has another number, %b
	other   = "other"   // not about members
	omitted = "omitted" // media, in place of a message
	file    = "file"    // %x is an attached file
)

type phrases struct {
	languages []string
	edited    []string
	by        map[string][]sentence
}

var known = sync.OnceValue(func() phrases {
	p := phrases{by: map[string][]sentence{}}
	var t *tongue
	for line := range strings.Lines(phrasesTable) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "["); ok {
			t = &tongue{name: strings.TrimSuffix(name, "]")}
			if t.name != "" { // the last part holds what is known of other languages
				p.languages = append(p.languages, t.name)
			}
			continue
		}
		key, s, ok := strings.Cut(line, ": ")
		switch {
		case !ok || line[0] == '#':
		case key == "you":
			t.you = append(t.you, s)
		case key == "and":
			t.and = s
		case key == edited:
			p.edited = append(p.edited, s)
		default:
			p.by[key] = append(p.by[key], sentence{patternOf(s), t})
		}
	}
	return p
})

// Languages are those of whose WhatsApp exports every sort of sentence is known.
func Languages() []string { return slices.Clone(known().languages) }

func patternOf(p string) *regexp.Regexp {
	p = strings.NewReplacer("%a", "(?P<a>.+?)", "%b", "(?P<b>.+)", "%x", "(?P<x>.+)", `\*`, ".*").Replace(regexp.QuoteMeta(p))
	return regexp.MustCompile("(?s)^" + p + `[.。]?$`)
}

// find returns the parts a, b and x of the first sentence of this key that is the
// whole text; t is nil if there is none.
func find(key, text string) (t *tongue, m map[string]string) {
	for _, p := range known().by[key] {
		if found := p.re.FindStringSubmatch(text); found != nil {
			m = map[string]string{}
			for i, name := range p.re.SubexpNames() {
				m[name] = found[i]
			}
			return p.tongue, m
		}
	}
	return nil, nil
}

// editedMark cuts the mark of an edited message.
func editedMark(text string) (string, bool) {
	for _, mark := range known().edited {
		if cut, ok := strings.CutSuffix(text, mark); ok {
			return strings.TrimRightFunc(cut, func(c rune) bool { return c == ' ' || isMark(c) }), true
		}
	}
	return text, false
}
