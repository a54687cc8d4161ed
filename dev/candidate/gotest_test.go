package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestJudge: outputs of go test, and their results in a report.
func TestJudge(t *testing.T) {
	const (
		good = `{"Action":"output","Test":"TestA","Output":"    a_test.go:7: 50 removals\n"}
{"Action":"pass","Test":"TestA"}
{"Action":"pass"}
`
		bad = `{"Action":"output","Test":"TestB","Output":"    b_test.go:9: it | was read\n"}
{"Action":"fail","Test":"TestB"}
{"Action":"fail"}
`
		left = `{"Action":"skip","Test":"TestC"}
{"Action":"pass"}
`
	)
	for name, c := range map[string]struct {
		output  string
		ended   error
		ok      bool
		figures string
		says    string
	}{
		"passed":        {good, nil, true, "1 passed", "TestA: 50 removals"},
		"failed":        {good + bad, errors.New("exit status 1"), false, "1 passed, 1 failed", "it | was read"},
		"left out":      {good + left, nil, true, "1 passed, 1 left out", "left out: TestC"},
		"all left out":  {left, nil, false, "0 passed, 1 left out", "no test passed"},
		"no such test":  {"{\"Action\":\"pass\"}\n", nil, false, "0 passed", "no test passed"},
		"was not built": {"x.go:1: broken\n", errors.New("exit status 1"), false, "0 passed", "x.go:1: broken"},
		"died":          {good, errors.New("signal: killed"), false, "1 passed", "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := readTests(strings.NewReader(c.output)).result(c.ended)
			if all := r.why + strings.Join(r.notes, "\n"); r.ok != c.ok || r.figures != c.figures || !strings.Contains(all, c.says) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestReport: one that failed fails all, and the page says which and how to
// try again, without the folders of the machine.
func TestReport(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	good := result{step: step{what: "gates", engine: "3"}, ok: true, figures: "a|b"}
	bad := result{step: step{what: "bus", engine: "2"}, why: here + "/x.go: broken", command: "go test ./bus"}
	r := &report{version: "v1", results: []result{good}}
	if !r.passed() || !strings.Contains(r.text(), "# Candidate v1: all 1 passed") {
		t.Error(r.text())
	}
	r.results = append(r.results, bad)
	text := r.text()
	for _, want := range []string{"1 of 2 failed", `a\|b`, "**bus on 2.** Again with `go test ./bus`", "./x.go: broken"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if r.passed() || strings.Contains(text, here) || (&report{}).passed() {
		t.Error(text)
	}
}

// TestSteps: on each engine what the release needs.
func TestSteps(t *testing.T) {
	on := map[string]int{}
	for _, s := range steps("gotong", t.TempDir()) {
		for _, e := range engines {
			if strings.Contains(s.engine, e.name) {
				on[e.name]++
			}
		}
	}
	if on["SurrealDB 3.0.x"] < 6 || on["SurrealDB 2.6.x"] < 6 {
		t.Errorf("%v", on)
	}
}
