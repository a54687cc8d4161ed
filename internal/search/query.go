package search

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gotong.dev/gotong"
)

// The bounds of a query.
const (
	MaxQuery = 256 // characters
	MaxTerms = 16  // words, and words in phrases
)

// Query is what a user looks for. Each part that is set must fit.
type Query struct {
	terms  []term
	From   string         // the name of the author
	In     string         // the id or the name of a thread
	Before gotong.Instant // 0: any
	After  gotong.Instant // on or after it; 0: any
	has    []string
}

// term is a word in any of its forms, or a phrase: words that follow each other as
// they are, or as what their short forms stand for.
type term struct {
	words  []string
	phrase bool
}

// Has is the list of values that has: accepts.
var Has = []string{hasLink, hasFile}

// Parse reads a query as users write it: words and "phrases", from:NAME, in:THREAD,
// before:DATE, after:DATE, has:link and has:file. A value with spaces stands in quotes. Any
// other character only separates words. The error has [gotong.CodeInvalid] and says
// what to write instead.
func Parse(text string) (Query, error) {
	var q Query
	if n := utf8.RuneCountInString(text); n > MaxQuery || !utf8.ValidString(text) {
		return q, invalid("must be valid UTF-8 of at most 256 characters")
	}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		var part string
		var quoted bool
		part, quoted, rest = cut(rest)
		name, value, filter := strings.Cut(part, ":")
		filter = filter && !quoted
		switch name = strings.ToLower(name); {
		case filter && (name == "from" || name == "in" || name == "has" || name == "before" || name == "after"):
			if value == "" && strings.HasPrefix(rest, `"`) {
				value, _, rest = cut(rest)
			}
			if err := q.filter(name, value); err != nil {
				return Query{}, err
			}
		default:
			q.add(part, quoted)
		}
	}
	n := 0
	for _, t := range q.terms {
		n += len(t.words)
	}
	switch {
	case n > MaxTerms:
		return Query{}, invalid("must have at most 16 words")
	case n == 0 && q.From == "" && len(q.has) == 0:
		return Query{}, invalid("must have a word, or from: or has: with a value, such as: kopi from:wati")
	}
	return q, nil
}

func invalid(says string) error { return gotong.Invalid("query", says) }

// cut returns the first part of a query, up to a space, or to the quote that ends
// it if it begins with one, and the rest.
func cut(text string) (part string, quoted bool, rest string) {
	if inner, ok := strings.CutPrefix(text, `"`); ok {
		part, rest, _ = strings.Cut(inner, `"`)
		return part, true, rest
	}
	end := strings.IndexFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
	if end < 0 {
		end = len(text)
	}
	return text[:end], false, text[end:]
}

// add adds the words of a part of the query. Those that nothing but a sign
// separates, as in ko-pi, are one phrase, as is a part in quotes.
func (q *Query) add(part string, quoted bool) {
	var words []string
	for _, t := range tokens(part) {
		words = append(words, t.word)
	}
	if len(words) > 0 {
		q.terms = append(q.terms, term{words, quoted || len(words) > 1})
	}
}

func (q *Query) filter(name, value string) error {
	value = strings.TrimSpace(value)
	if value == "" {
		return invalid("must have a value after " + name + ":")
	}
	switch name {
	case "from", "in":
		into := &q.From
		if name == "in" {
			into = &q.In
		}
		if *into != "" {
			return invalid("must have " + name + ": once")
		}
		*into = strings.TrimPrefix(value, "@")
	case "has":
		if !slices.Contains(Has, value) {
			return invalid("must have one of " + strings.Join(Has, ", ") + " after has:")
		}
		q.has = append(q.has, value)
	default:
		day, err := time.Parse(time.DateOnly, value)
		if err != nil || day.Year() < 1970 || day.Year() > 9999 {
			return invalid("must have a date such as 2026-11-29 after " + name + ":")
		}
		if name == "before" {
			q.Before = gotong.InstantOf(day)
		} else {
			q.After = gotong.InstantOf(day)
		}
	}
	return nil
}

// lists returns the words that a message must have, for the index. author is the
// id of the user whom From names; empty if it is not set.
func (q *Query) lists(author string) (lists [][]string) {
	for _, t := range q.terms {
		for _, w := range t.words {
			if t.phrase {
				lists = append(lists, hashedAll(roots(w)[:1]))
			} else {
				lists = append(lists, hashedAll(roots(w)))
			}
		}
	}
	for _, what := range q.has {
		lists = append(lists, []string{hashed(withA + what)})
	}
	if author != "" {
		lists = append(lists, []string{hashed(byUser + author)})
	}
	return lists
}

// Mark is a part of a text that fits the query, in code points, half open.
type Mark struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Match reports whether every term fits one of the texts, and returns the places in
// each of them, in order.
func (q *Query) Match(texts ...string) (marks [][]Mark, ok bool) {
	marks, fits := make([][]Mark, len(texts)), make([]bool, len(q.terms))
	for i, text := range texts {
		list := tokens(text)
		forms := make([][]string, len(list))
		for j, tok := range list {
			forms[j] = roots(tok.word)
		}
		for j, t := range q.terms {
			found := t.in(list, forms)
			marks[i], fits[j] = append(marks[i], found...), fits[j] || len(found) > 0
		}
		slices.SortFunc(marks[i], func(a, b Mark) int { return a.From - b.From })
		marks[i] = slices.CompactFunc(marks[i], func(a, b Mark) bool { return b.From < a.To })
	}
	return marks, !slices.Contains(fits, false)
}

// MatchName returns what of a name fits, if only words are asked for and all fit.
func (q *Query) MatchName(name string) (Snippet, bool) {
	if len(q.terms) == 0 || q.From != "" || len(q.has) > 0 || q.Before > 0 || q.After > 0 {
		return Snippet{}, false
	}
	marks, ok := q.Match(name)
	return SnippetOf(name, marks[0]), ok
}

// in returns where the term stands in a text whose words have these forms.
func (t term) in(text []token, forms [][]string) (marks []Mark) {
	words := make([][]string, len(t.words))
	for i, w := range t.words {
		if words[i] = roots(w); t.phrase {
			words[i] = words[i][:1]
		}
	}
	fits := func(a, b []string) bool {
		if t.phrase {
			b = b[:1]
		}
		return slices.ContainsFunc(a, func(w string) bool { return slices.Contains(b, w) })
	}
	for i := 0; i+len(words) <= len(text); i++ {
		if slices.EqualFunc(words, forms[i:i+len(words)], fits) {
			marks = append(marks, Mark{text[i].from, text[i+len(words)-1].to})
		}
	}
	return marks
}

// Snippet is a part of a text around its first mark. Marks are in the snippet.
type Snippet struct {
	Text  string `json:"text"`
	Marks []Mark `json:"marks" doc:"The parts that fit the query, in code points of the text, half open."`
	Cut   bool   `json:"cut,omitempty" doc:"True if it is not the whole text."`
}

// The size of a snippet, and how much of it comes before its first mark.
const (
	snippetLen    = 160
	snippetBefore = 40
)

// SnippetOf returns a part of a text with the marks that lie in it.
func SnippetOf(text string, marks []Mark) Snippet {
	runes := []rune(text)
	if len(runes) <= snippetLen {
		return Snippet{Text: text, Marks: append([]Mark{}, marks...)}
	}
	from := 0
	if len(marks) > 0 {
		from = max(0, min(marks[0].From-snippetBefore, len(runes)-snippetLen))
	}
	s := Snippet{Text: string(runes[from : from+snippetLen]), Marks: []Mark{}, Cut: true}
	for _, m := range marks {
		if m.From >= from && m.To <= from+snippetLen {
			s.Marks = append(s.Marks, Mark{m.From - from, m.To - from})
		}
	}
	return s
}
