package edgepod

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// personal is what a text may give away, most specific first.
var personal = regexp.MustCompile(`(?P<email>[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,})|(?P<nik>\b\d{16}\b)` +
	`|(?P<telepon>(?:\+62|\b62|\b0)8\d{1,3}[ -]?\d{3,4}[ -]?\d{3,5}\b)|(?P<rekening>\b\d{10,15}\b)`)

// longestText is the most characters of a redacted text.
const longestText = 20_000

func redact(q input) (object, float64) {
	items, end := []object{}, 0
	var out strings.Builder
	for _, at := range personal.FindAllStringSubmatchIndex(q.Text, 500) {
		kind := ""
		for i, name := range personal.SubexpNames() {
			if name != "" && at[2*i] >= 0 {
				kind = name
			}
		}
		start, value := utf8.RuneCountInString(q.Text[:at[0]]), q.Text[at[0]:at[1]]
		items = append(items, object{
			"kind": kind, "start": start, "end": start + utf8.RuneCountInString(value), "value": clip(value, 2000), // in characters
		})
		out.WriteString(q.Text[end:at[0]] + "[" + kind + "]")
		end = at[1]
	}
	redacted := out.String() + q.Text[end:]
	tooLong := utf8.RuneCountInString(redacted) > longestText
	if tooLong || q.Redact != nil && !*q.Redact {
		redacted = q.Text
	}
	return object{
		"redacted_text": redacted, "redaction_count": len(items), "redacted_items": items,
		"needs_manual_review": tooLong, "reason_code": "OK",
	}, 0.8
}

var sentenceEnd = regexp.MustCompile(`[.!?]+(?:\s+|$)|\n+`)

// sentences returns the sentences of a text, each of at most 500 characters.
func sentences(s string) (found []string) {
	for _, part := range sentenceEnd.Split(s, -1) {
		if part = strings.TrimSpace(part); part != "" {
			found = append(found, clip(part, 500))
		}
	}
	return found
}

// demands returns the first n sentences that state what has to be done.
func demands(all []string, n int) []string {
	found := []string{}
	for _, s := range all {
		if len(found) < n && newText(s).count("must") > 0 {
			found = append(found, s)
		}
	}
	return found
}

// leastMessages is how many messages a summary needs; fewer are shown as they are.
const leastMessages = 5

// summarise chooses sentences: those whose words are the most frequent of all.
func summarise(q input) (object, float64) {
	texts := slices.Clone(q.Texts)
	for _, m := range q.Messages {
		if at, err := time.Parse(time.RFC3339, m.At); err != nil || !at.Before(q.Start) && at.Before(q.End) {
			texts = append(texts, m.Text)
		}
	}
	if len(texts) < leastMessages {
		return object{"summary": "", "key_points": none, "raw_items": true}, 0.5
	}
	var all []string
	counts := map[string]int{}
	for _, t := range texts {
		all = append(all, sentences(t)...)
		for _, w := range fold(t, 2) {
			if len(w) > 2 && !slices.Contains(named("stop", "stop"), w) {
				counts[w]++
			}
		}
	}
	n := cmp.Or(q.MaxItems, 5)
	points := foremost(all, counts, n)
	return object{
		"summary": strings.Join(points[:min(3, len(points))], ". "), "key_points": points, "raw_items": false,
		"action_items": demands(all, n),
	}, 0.5
}

// foremost returns the n sentences with the highest mean count per word, in their
// order.
func foremost(all []string, counts map[string]int, n int) []string {
	scores := map[string]float64{}
	for _, s := range all {
		words, sum := fold(s, 2), 0
		for _, w := range words {
			sum += counts[w]
		}
		if len(words) > 3 {
			scores[s] = float64(sum) / float64(len(words)+3)
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return scores[s] == 0 })
	slices.SortFunc(chosen, func(a, b string) int { return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b)) })
	chosen = slices.Compact(chosen)
	chosen = chosen[:min(n, len(chosen))]
	slices.SortFunc(chosen, func(a, b string) int { return cmp.Compare(slices.Index(all, a), slices.Index(all, b)) })
	return chosen
}
