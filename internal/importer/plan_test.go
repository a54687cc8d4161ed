package importer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

func TestPlanSteps(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"speaks without having come": {"[10:00] <a> x\n[10:00] <a> y\n", "add a!; post a x; post a y"},
		"comes and speaks":           {"=== a [h]  has joined #x\n[10:00] <a> x\n", "add a; post a x"},
		"comes twice":                {"=== a [h]  has joined #x\n=== a [h]  has joined #x\n", "add a; remove a!; add a"},
		"goes without having come":   {"=== a [h]  has left #x []\n", "add a!; remove a"},
		"goes twice":                 {"=== a [h]  has left #x []\n=== a [h]  has left #x []\n", "add a!; remove a; add a!; remove a"},
		"renamed, unknown":           {"=== a is now known as b\n[10:00] <b> x\n", "add a!; remove a; add b; post b x"},
		"renamed to one present":     {"[10:00] <b> x\n[10:00] <a> x\n=== a is now known as b\n", "add b!; post b x; add a!; post a x; remove a; remove b!; add b"},
		"renamed to itself":          {"[10:00] <a> x\n=== a is now known as a\n", "add a!; post a x; remove a; add a"},
		"action":                     {"[10:00]  * a tidur\n", "add a!; post a * a tidur"},
		"no messages":                {"[10:00] <a>\n=== mode/#x [+o a] by b\nbroken\n", ""},
	} {
		steps, _ := stepsOf(t, entriesOf(t, Source{Format: IRC, Name: "2026-08-17"}, c.text))
		var got []string
		for _, s := range steps {
			line := fmt.Sprintf("%s %s", s.Op, s.Name)
			if s.Implied {
				line += "!"
			}
			if s.Text != "" {
				line += " " + s.Text
			}
			got = append(got, line)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, "; "), c.want)
		}
		sound(t, name, steps)
	}
}

// sound checks what every plan must be: unique request ids that the contract
// allows, members added when absent and removed when present, posts by members
// that fit.
func sound(t *testing.T, name string, steps []Step) {
	t.Helper()
	seen, present := map[string]bool{}, map[string]bool{}
	for i, s := range steps {
		if seen[s.RequestID] || len(s.RequestID) > 128 {
			t.Errorf("%s: step %d: request id %s twice or too long", name, i, s.RequestID)
		}
		seen[s.RequestID] = true
		if (s.Op == Add) == present[s.UserID] {
			t.Errorf("%s: step %d: %s %s while present=%v", name, i, s.Op, s.Name, present[s.UserID])
		}
		present[s.UserID] = s.Op != Remove
		if !text.Name.Valid(s.Name) || !gotong.ValidID(s.UserID) || s.SentAt < 0 {
			t.Errorf("%s: step %d: name %q or time %s that no command may hold", name, i, s.Name, s.SentAt)
		}
		if s.Op == Post && (s.Text == "" || utf8.RuneCountInString(s.Text) > MaxText || len(s.Text) > MaxBytes ||
			body(s.Text) != s.Text) {
			t.Errorf("%s: step %d: a text of %d bytes that no message may hold", name, i, len(s.Text))
		}
	}
}

func TestLongerExportAddsOnlyItsNewLines(t *testing.T) {
	raw, err := os.ReadFile("testdata/2026-08-16.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := Source{Format: IRC, Name: "2026-08-16.txt"}
	whole, _ := stepsOf(t, entriesOf(t, s, string(raw)))
	sound(t, "sample", whole)
	rows := strings.SplitAfter(string(raw), "\n")
	for n := range rows {
		part, _ := stepsOf(t, entriesOf(t, s, strings.Join(rows[:n], "")))
		if len(part) > len(whole) || !slices.EqualFunc(part, whole[:len(part)], alike) {
			t.Fatalf("the first %d lines have other steps than the whole export begins with", n)
		}
	}
}

func TestLongTextIsSplitAtBreaks(t *testing.T) {
	word := strings.Repeat("k", 99) + " "
	for name, c := range map[string]struct {
		text string
		want []int // runes of the parts
	}{
		"blank":         {" \n ", nil},
		"short":         {"\n halo ", []int{5}},
		"full":          {strings.Repeat("x", MaxText), []int{MaxText}},
		"one more":      {strings.Repeat("x", MaxText+1), []int{MaxText, 1}},
		"at a space":    {strings.Repeat(word, 41), []int{3999, 99}},
		"at a line":     {strings.Repeat("x", 3000) + "\n" + strings.Repeat(word, 20), []int{3000, 1999}},
		"by bytes":      {strings.Repeat("\U0001f64f", 4000), []int{4000}},
		"byte boundary": {strings.Repeat("\U0001f64f", 4001), []int{4000, 1}},
	} {
		var got []int
		for _, part := range split(c.text) {
			got = append(got, utf8.RuneCountInString(part))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: parts of %v, want %v", name, got, c.want)
		}
	}
}

func TestPlanYieldsTheErrorsOfEntries(t *testing.T) {
	broken := errors.New("broken")
	p := NewPlan("t")
	n := 0
	for _, err := range p.Steps(func(yield func(Entry, error) bool) { yield(Entry{}, broken) }) {
		n++
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d pairs", n)
	}
}

func TestUserIDDiffersByThreadAndName(t *testing.T) {
	ids := []string{UserID("t1", "a"), UserID("t1", "A"), UserID("t2", "a")}
	if ids[0] == ids[1] || ids[0] == ids[2] || ids[0] != UserID("t1", "a") {
		t.Errorf("%v", ids)
	}
}
