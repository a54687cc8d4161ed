package edgepod

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// personal are what a text may give away, most specific first.
var personal = []struct {
	kind string
	form *regexp.Regexp
}{
	{"email", regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`)},
	{"nik", regexp.MustCompile(`\b\d{16}\b`)},
	{"telepon", regexp.MustCompile(`(?:\+62|\b62|\b0)8\d{1,3}[ -]?\d{3,4}[ -]?\d{3,5}\b`)},
	{"rekening", regexp.MustCompile(`\b\d{10,15}\b`)},
}

func redact(q input) (object, float64) {
	type item struct {
		Kind  string `json:"kind"`
		Start int    `json:"start"` // in characters
		End   int    `json:"end"`
		Value string `json:"value"`
		from  int    // in bytes
		to    int
	}
	items := []item{}
	for _, p := range personal {
		for _, at := range p.form.FindAllStringIndex(q.Text, 500) {
			overlaps := slices.ContainsFunc(items, func(i item) bool { return at[0] < i.to && i.from < at[1] })
			if overlaps || len(items) == 500 {
				continue
			}
			start := utf8.RuneCountInString(q.Text[:at[0]])
			value := q.Text[at[0]:at[1]]
			items = append(items, item{p.kind, start, start + utf8.RuneCountInString(value), clip(value, 2000), at[0], at[1]})
		}
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.from, b.from) })
	var out strings.Builder
	end := 0
	for _, i := range items {
		out.WriteString(q.Text[end:i.from] + "[" + i.Kind + "]")
		end = i.to
	}
	out.WriteString(q.Text[end:])
	redacted := out.String()
	tooLong := utf8.RuneCountInString(redacted) > 20_000
	if tooLong || q.Redact != nil && !*q.Redact {
		redacted = q.Text
	}
	return object{
		"redacted_text": redacted, "redaction_count": len(items), "redacted_items": items,
		"needs_manual_review": tooLong, "reason_code": "OK",
	}, 0.8
}

var sentenceEnd = regexp.MustCompile(`[.!?]+(?:\s+|$)|\n+`)

func sentences(s string) (list []string) {
	for _, part := range sentenceEnd.Split(s, -1) {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// stop are words that say nothing about what a text is about.
var stop = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(`yang dan di ke dari ini itu untuk dengan pada adalah juga tidak ada akan sudah saya kamu kita kami
		dia mereka bisa atau kalau jadi nya ya the a an and or of to in on is are was were be it this that i you we they for with
		as at by not but if so do does have has had what there can just my your`) {
		m[w] = true
	}
	return m
}()

var (
	glad = list{"glad", []string{"terima kasih", "makasih", "bagus", "mantap", "senang", "berhasil", "setuju", "thanks",
		"great", "good", "works", "nice", "agree"}}
	sad = list{"sad", []string{"rusak", "gagal", "kecewa", "marah", "sedih", "tidak setuju", "masalah", "broken", "fail",
		"fails", "bad", "angry", "problem", "disagree"}}
)

// leastMessages is how many messages a summary needs; fewer are shown as they are.
const leastMessages = 5

// summarise chooses sentences: those whose words are the most frequent of all.
func summarise(q input) (object, float64) {
	var all []string
	texts := slices.Clone(q.Texts)
	for _, m := range q.Messages {
		if at, err := time.Parse(time.RFC3339, m.At); err != nil || !at.Before(q.Start) && at.Before(q.End) {
			texts = append(texts, m.Text)
		}
	}
	out := object{"summary": "", "key_points": none, "raw_items": true}
	if len(texts) < leastMessages {
		return out, 0.5
	}
	counts := map[string]int{}
	for _, t := range texts {
		all = append(all, sentences(t)...)
		for _, w := range fold(t) {
			if len(w) > 2 && !stop[w] {
				counts[w]++
			}
		}
	}
	n := cmp.Or(q.MaxItems, 5)
	points := []string{}
	for _, s := range foremost(all, counts, n) {
		points = append(points, clip(s, 900))
	}
	actions, happy, unhappy := []string{}, 0, 0
	for _, s := range all {
		t := newText(s)
		happy, unhappy = happy+t.hits(glad), unhappy+t.hits(sad)
		if t.hits(must) > 0 && len(actions) < n {
			actions = append(actions, clip(s, 900))
		}
	}
	out["summary"], out["key_points"], out["raw_items"] = clip(strings.Join(points[:min(3, len(points))], ". "), 8000), points, false
	out["action_items"], out["sentiment"] = actions, sentiment(happy, unhappy)
	return out, 0.5
}

func sentiment(happy, unhappy int) string {
	switch {
	case happy > 2*unhappy:
		return "positive"
	case unhappy > 2*happy:
		return "negative"
	case happy+unhappy > 0:
		return "mixed"
	default:
		return "neutral"
	}
}

// foremost returns the n sentences with the highest mean count per word, in their
// order.
func foremost(all []string, counts map[string]int, n int) (chosen []string) {
	type ranked struct {
		at    int
		score float64
	}
	var list []ranked
	seen := map[string]bool{}
	for i, s := range all {
		words := fold(s)
		key := strings.Join(words, " ")
		if len(words) < 4 || seen[key] {
			continue
		}
		seen[key] = true
		sum := 0
		for _, w := range words {
			sum += counts[w]
		}
		list = append(list, ranked{i, float64(sum) / float64(len(words)+3)})
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return cmp.Compare(b.score, a.score) })
	list = list[:min(n, len(list))]
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Compare(a.at, b.at) })
	for _, r := range list {
		chosen = append(chosen, all[r.at])
	}
	return chosen
}
