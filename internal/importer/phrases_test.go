package importer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestEverySentenceOfEveryLanguage is read as what the table calls it, and every language has each key. iOS
// writes the same sentences: the first of each key is enough there.
func TestEverySentenceOfEveryLanguage(t *testing.T) {
	want := map[string]string{
		deleted: "deletion Wati", came: "join Siti", went: "leave Siti", added: "join Budi", removed: "leave Budi",
		created: "join Siti", titled: `retitle Siti "RT 05"`, renamed: `rename Siti "Budi"`, other: "notice ",
	}
	// How other languages write that a number changed is not known.
	rare := map[string][]string{renamed: {"English", "Indonesian"}}
	fill := strings.NewReplacer("%a", "Siti", "%b", "Budi", "%x", "RT 05", "*", "apa")
	language, has := "", map[string]int{}
	for line := range strings.Lines(phrasesTable) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "["); ok {
			language = strings.TrimSuffix(name, "]")
			continue
		}
		key, sentence, ok := strings.Cut(line, ": ")
		if !ok || want[key] == "" {
			continue
		}
		has[language+" "+key]++
		text := fill.Replace(sentence)
		android, ios := "17/08/26, 10:00 - "+text, "[17/08/26, 10:00:00] RT 05: \u200e"+text
		if key == deleted {
			android, ios = "17/08/26, 10:00 - Wati: "+text, "[17/08/26, 10:00:00] Wati: \u200e"+text
		}
		forms := []string{android}
		if has[language+" "+key] == 1 {
			forms = append(forms, ios)
		}
		if language == "English" && !strings.HasSuffix(sentence, "%b") { // whose name may end with a dot
			forms = append(forms, android+".")
		}
		for _, line := range forms {
			if got := saidBy(t, line); got != want[key] {
				t.Errorf("%s, %s: %q is %s", language, key, line, got)
			}
		}
	}
	for key := range want {
		for _, language := range Languages() {
			if only := rare[key]; has[language+" "+key] == 0 && (only == nil || slices.Contains(only, language)) {
				t.Errorf("%s has no sentence %s", language, key)
			}
		}
	}
}

// saidBy is what one line of WhatsApp is read as: its kind, whom it is about and, of names, the new one.
func saidBy(t *testing.T, line string) string {
	t.Helper()
	var got []string
	for _, e := range entriesOf(t, Source{Format: WhatsApp}, line+"\n") {
		switch e.Kind {
		case Named:
		case Retitle, Rename:
			got = append(got, fmt.Sprintf("%s %s %q", e.Kind, e.Author, e.Text))
		default:
			got = append(got, string(e.Kind)+" "+e.Author)
		}
	}
	return strings.Join(got, ", ")
}
