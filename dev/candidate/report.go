package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// result is the result of a step.
type result struct {
	step    step
	ok      bool
	figures string
	notes   []string // what is worth to be read
	why     string   // of a failure
	command string   // by which it can be repeated
	took    time.Duration
}

func (r result) verdict() string {
	if r.ok {
		return "passed"
	}
	return "**failed**"
}

// report is a whole run.
type report struct {
	version string
	began   time.Time
	took    time.Duration
	about   []string
	results []result
}

func (r *report) failed() (n int) {
	for _, f := range r.results {
		if !f.ok {
			n++
		}
	}
	return n
}

func (r *report) passed() bool { return len(r.results) > 0 && r.failed() == 0 }

func (r *report) verdict() string {
	if r.passed() {
		return fmt.Sprintf("all %d passed", len(r.results))
	}
	return fmt.Sprintf("%d of %d failed", r.failed(), len(r.results))
}

// text returns the page.
func (r *report) text() string {
	var b strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	say("# Candidate %s: %s\n", r.version, r.verdict())
	say("%s, %.0f s. %s. How to read it: [README](README.md).\n", r.began.UTC().Format("2006-01-02 15:04 UTC"),
		r.took.Seconds(), strings.Join(r.about, ". "))
	say("| what | on | verdict | figures | s |\n| --- | --- | --- | --- | --- |")
	for _, f := range r.results {
		say("| %s | %s | %s | %s | %.0f |", f.step.what, f.step.engine, f.verdict(), cell(f.figures), f.took.Seconds())
	}
	if n := r.failed(); n > 0 {
		say("\n## What failed")
	}
	for _, f := range r.results {
		if !f.ok {
			say("\n**%s on %s.** Again with `%s`.\n\n```\n%s\n```", f.step.what, f.step.engine, f.command, public(f.why))
		}
	}
	say("\n## What was seen\n")
	for _, f := range r.results {
		for _, n := range f.notes {
			say("- %s, %s: %s", f.step.what, f.step.engine, public(n))
		}
	}
	say("\n## The commands\n")
	for _, f := range r.results {
		say("    %s", f.command)
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// public returns a text without directories of the machine.
func public(text string) string {
	text = strings.TrimSpace(text)
	if here, err := os.Getwd(); err == nil { // first: it may be a temporary one itself
		text = strings.ReplaceAll(text, here, ".")
	}
	text = strings.ReplaceAll(text, os.TempDir(), "TMP")
	return strings.ReplaceAll(text, "```", "` ` `")
}
