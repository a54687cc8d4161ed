package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// goTest is a run of go test. A test that would be skipped fails, because CI is
// true.
type goTest struct {
	pkg   string
	run   string
	short bool
	env   []string
	flags []string // of the test itself
}

func (g goTest) args() []string {
	args := []string{"test", "-json", "-count=1", "-timeout=15m", "-run=" + g.run}
	if g.short {
		args = append(args, "-short")
	}
	return append(append(args, g.pkg), g.flags...)
}

// line returns the command as a user would type it.
func (g goTest) line() string {
	words := append([]string{}, g.env...)
	words = append(words, "go")
	for _, arg := range g.args() {
		if pattern, ok := strings.CutPrefix(arg, "-run="); ok {
			arg = "-run '" + pattern + "'"
		}
		if arg != "-json" {
			words = append(words, arg)
		}
	}
	return strings.Join(words, " ")
}

func (g goTest) do(ctx context.Context) result {
	cmd := exec.CommandContext(ctx, "go", g.args()...) //nolint:gosec // fixed words
	cmd.Env = append(append(os.Environ(), "CI=true"), g.env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return result{why: err.Error(), command: g.line()}
	}
	t := readTests(out)
	r := t.result(cmd.Wait())
	r.command = g.line()
	if errs.Len() > 0 && !r.ok {
		r.why += "\n" + errs.String()
	}
	return r
}

// tests is the result of a run of go test.
type tests struct {
	passed, failed int
	skipped        []string
	output         map[string][]string // by test
	failures       []string            // their names
	notes          []string            // the last line that each test logged
}

// note is a line that a test logged.
var note = regexp.MustCompile(`^ +\w+_test\.go:\d+: (.+)\n$`)

// readTests reads all events of go test.
func readTests(from io.Reader) *tests {
	t := &tests{output: map[string][]string{}}
	last := map[string]string{}
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return t
		}
		var e struct {
			Action string `json:"Action"` //nolint:tagliatelle // go test's names
			Test   string `json:"Test"`   //nolint:tagliatelle // as above
			Output string `json:"Output"` //nolint:tagliatelle // as above
		}
		if json.Unmarshal(line, &e) != nil {
			e.Action, e.Output = "output", string(line) // of what could not be built
		}
		switch e.Action {
		case "output":
			t.output[e.Test] = append(t.output[e.Test], e.Output)
			if m := note.FindStringSubmatch(e.Output); m != nil {
				last[e.Test] = m[1]
			}
		case "pass":
			if e.Test != "" {
				t.passed++
			}
			if line := last[e.Test]; line != "" && !strings.Contains(e.Test, "/") {
				t.notes = append(t.notes, e.Test+": "+line)
			}
		case "fail":
			if e.Test != "" {
				t.failed++
			}
			t.failures = append(t.failures, e.Test) // the package's own last
		case "skip":
			if e.Test != "" {
				t.skipped = append(t.skipped, e.Test)
			}
		}
	}
}

// mostOutput bounds the lines of a failure in a report.
const mostOutput = 60

// result returns the verdict: at least one test passed and none failed.
func (t *tests) result(ended error) result {
	r := result{ok: ended == nil && t.failed == 0 && t.passed > 0, notes: t.notes}
	r.figures = fmt.Sprintf("%d passed", t.passed)
	if t.failed > 0 {
		r.figures += fmt.Sprintf(", %d failed", t.failed)
	}
	if n := len(t.skipped); n > 0 {
		r.figures += fmt.Sprintf(", %d left out", n)
		r.notes = append(r.notes, "left out: "+strings.Join(t.skipped, ", "))
	}
	if r.ok {
		return r
	}
	var lines []string
	for _, name := range t.failures {
		lines = append(lines, t.output[name]...)
	}
	if len(lines) == 0 {
		lines = append(lines, t.output[""]...)
		lines = append(lines, fmt.Sprintln("no test passed:", ended))
	}
	if len(lines) > mostOutput {
		lines = append(lines[:mostOutput], "…\n")
	}
	r.why = strings.Join(lines, "")
	return r
}
