package search

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// questions are searches that people make, each with what is relevant to it, as a
// person who read the chat wrote it down: all of the patterns fit.
var questions = []struct {
	query    string
	relevant []string
}{
	{"mount partition", []string{`\b(un|auto|re)?u?mount(s|ed|ing|able)?\b`, `\bpartitions?\b`}},
	{"install flash", []string{`\b(re|un)?install(s|ed|ing|er|ation)?\b`, `\bflash(player)?\b`}},
	{"screen resolution", []string{`\b(screen|monitor|display)s?\b`, `\bresolutions?\b`}},
	{"wireless card", []string{`\bwireless\b|\bwi-?fi\b`, `\bcards?\b`}},
	{"grub windows", []string{`\bgrub\b`, `\bwindows\b|\bxp\b|\bvista\b`}},
	{"nvidia driver", []string{`\bnvidia\b`, `\bdrivers?\b`}},
	{"burn cd", []string{`\bburn(s|ed|ing|er|t)?\b`, `\b(live)?cds?\b|\bdvds?\b`}},
	{"printer", []string{`\bprint(er|ers|ing)?\b`}},
	{"sound not working", []string{`\bsounds?\b|\baudio\b`, `\b(no|not|doesn.?t|dont|don.?t|isn.?t|can.?t)\b`, `\bwork(s|ed|ing)?\b`}},
	{"upgrade dapper", []string{`\b(dist-)?upgrad(e|es|ed|ing)\b`, `\bdapper\b`}},
	{"ntfs write", []string{`\bntfs\b`, `\bwrit(e|es|ing|able|ten)\b`}},
	{"root password", []string{`\broot\b`, `\bpasswords?\b|\bpasswd\b`}},
	{"format drive", []string{`\b(re)?format(s|ted|ting)?\b`, `\b(hard ?)?drives?\b|\bdisks?\b`}},
	{"usb boot", []string{`\busb\b`, `\b(re)?boot(s|ed|ing|able)?\b`}},
	{"firefox plugin", []string{`\bfirefox\b|\bff\b`, `\bplug-?ins?\b`}},
	{"compile kernel", []string{`\b(re)?compil(e|es|ed|ing)\b`, `\bkernels?\b`}},
	{`"live cd"`, []string{`\blive ?-?cds?\b`}},
	{"pastebin", []string{`\bpastebins?\b`}},
	{"beryl crash", []string{`\bberyl\b`, `\bcrash(es|ed|ing)?\b`}},
	{"remove package", []string{`\bremov(e|es|ed|ing)\b|\buninstall\w*\b|\bpurg\w+\b`, `\bpackages?\b`}},
}

var said = regexp.MustCompile(`^\[?\d\d:\d\d\]? (?:<[^>]+>| \* \S+) (.+)$`)

// TestQuestions measures recall and precision over real chat: of words as they are, of
// words in their forms, which is what a search does, and of parts of words, as an index
// of three letters would find them.
func TestQuestions(t *testing.T) {
	dir := os.Getenv("GOTONG_CORPUS")
	files, _ := filepath.Glob(filepath.Join(dir, "*.txt"))
	if dir == "" || testing.Short() || len(files) == 0 {
		t.Skip("NOT TESTED: recall over real chat, because GOTONG_CORPUS names no folder of it, or the run is short")
	}
	var lines []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			if m := said.FindStringSubmatch(strings.TrimRight(strings.ToValidUTF8(line, "?"), " \r")); m != nil {
				lines = append(lines, m[1])
			}
		}
	}
	ways := []struct {
		name string
		fits func(q *Query, line string) bool
	}{
		{"as they are", fitsWhole},
		{"in their forms", func(q *Query, line string) bool { _, ok := q.Match(line); return ok }},
		{"parts of words", func(q *Query, line string) bool {
			return !slices.ContainsFunc(q.terms, func(t term) bool { return !strings.Contains(strings.ToLower(line), strings.Join(t.words, " ")) })
		}},
	}
	words, kept := 0, 0
	for _, line := range lines {
		words += len(tokens(line))
		kept += len(strings.Fields(indexed("x", line, "")))
	}
	t.Logf("%d messages, %.1f words each, %.1f words of the index", len(lines), float64(words)/float64(len(lines)), float64(kept)/float64(len(lines)))
	for _, way := range ways {
		recalls, precisions := 0.0, 0.0
		for _, c := range questions {
			q, err := Parse(c.query)
			if err != nil {
				t.Fatal(err)
			}
			found, right, all := 0, 0, 0
			var patterns []*regexp.Regexp
			for _, p := range c.relevant {
				patterns = append(patterns, regexp.MustCompile("(?i)"+p))
			}
			for _, line := range lines {
				relevant := !slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return !p.MatchString(line) })
				fits := way.fits(&q, line)
				all, found = all+count(relevant), found+count(fits)
				right += count(relevant && fits)
			}
			recall, precision := float64(right)/float64(max(all, 1)), float64(right)/float64(max(found, 1))
			if found == 0 {
				precision = 1
			}
			recalls, precisions = recalls+recall, precisions+precision
			t.Logf("%-15s %-22s relevant %3d found %3d right %3d: recall %.2f precision %.2f", way.name, c.query, all, found, right, recall, precision)
		}
		n := float64(len(questions))
		t.Logf("%s: mean recall %.2f, mean precision %.2f", way.name, recalls/n, precisions/n)
		if way.name == "in their forms" && (recalls/n < 0.7 || precisions/n < 0.9) {
			t.Errorf("mean recall %.2f, mean precision %.2f", recalls/n, precisions/n)
		}
	}
}

func fitsWhole(q *Query, line string) bool {
	own := tokens(line)
	return !slices.ContainsFunc(q.terms, func(t term) bool {
		for i := 0; i+len(t.words) <= len(own); i++ {
			if slices.EqualFunc(t.words, own[i:i+len(t.words)], func(w string, tok token) bool { return w == tok.word }) {
				return false
			}
		}
		return true
	})
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
