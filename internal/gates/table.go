package gates

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	gateColumn    = 13
	verdictColumn = 13
	tableWidth    = 110
)

// Text returns the report as a table for a terminal. paint colours a verdict; it
// may be nil.
func (r Report) Text(paint func(Verdict, string) string) string {
	if paint == nil {
		paint = func(_ Verdict, text string) string { return text }
	}
	var b strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	say("%-*s%-*s%s", gateColumn, "gate", verdictColumn, "verdict", "what was seen, and the way out")
	indent := strings.Repeat(" ", gateColumn+verdictColumn)
	for _, g := range r.Gates {
		begin := fmt.Sprintf("%-*s", gateColumn, g.Gate) + paint(g.Verdict, fmt.Sprintf("%-*s", verdictColumn, g.Verdict))
		for _, f := range g.Findings {
			lead := ""
			if f.Verdict != Go && len(g.Findings) > 1 {
				lead = strings.ToUpper(string(f.Verdict)) + ": "
			}
			for _, line := range wrapped(lead+f.Seen, tableWidth-len(indent)) {
				say("%s%s", begin, line)
				begin = indent
			}
			if f.Way != "" {
				for i, line := range wrapped(f.Way, tableWidth-len(indent)-2) {
					say("%s%s%s", indent, []string{"> ", "  "}[min(i, 1)], line)
				}
			}
		}
	}
	for _, left := range r.Left {
		say("Left behind: %s", left)
	}
	for _, other := range r.Others {
		say("Also there: %s", other)
	}
	say("%s: %s", paint(r.Verdict, strings.ToUpper(string(r.Verdict))), r.summary())
	return b.String()
}

func (r Report) summary() string {
	n := map[Verdict]int{}
	var bad []string
	for _, g := range r.Gates {
		n[g.Verdict]++
		if g.Verdict == NoGo {
			bad = append(bad, g.Gate)
		}
	}
	text := r.Server + " on " + r.Target
	if r.For != "" {
		text += ", probes of " + r.For
	}
	text += fmt.Sprintf(": %d go, %s, %d not checked, %d no-go", n[Go], count(n[Warning], "warning"), n[NotChecked], n[NoGo])
	if len(bad) > 0 {
		text += " (" + strings.Join(bad, ", ") + ")"
	}
	return text
}

// wrapped returns a text in lines of at most width characters, if words allow.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// Markdown returns the report as a page.
func (r Report) Markdown(title string) string {
	var b strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	say("# %s\n", title)
	say("%s, %s. **%s**: %s.\n", r.Server, r.At.Time().Format(time.DateOnly), strings.ToUpper(string(r.Verdict)), r.summary())
	say("| gate | verdict | what was seen | the way out |")
	say("| --- | --- | --- | --- |")
	for _, g := range r.Gates {
		for i, f := range g.Findings {
			name := ""
			if i == 0 {
				name = "`" + g.Gate + "`"
			}
			say("| %s | %s | %s | %s |", name, f.Verdict, cell(f.Seen), cell(f.Way))
		}
	}
	say("")
	for _, left := range r.Left {
		say("Left behind: %s", left)
	}
	for _, other := range r.Others {
		say("Also there: %s", other)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "*", `\*`).Replace(text)
}
