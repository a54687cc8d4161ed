package main

import (
	"fmt"
	"strings"
	"time"

	"gotong.dev/gotong/internal/importer"
)

const maxNamed = 20

func (r importReport) text() string {
	var b strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	read := r.Survey.Summary
	say("%s: %s, %.0f %% understood", r.File, r.Survey.What(), 100*r.Survey.Confidence)
	say("  %s, %s, %s, %s, %s, %s",
		count(read.Messages, "message"), count(read.Actions, "action"), count(read.Joins, "join"),
		count(read.Leaves, "leave"), count(read.Renames, "rename"), count(read.Notices, "notice"))
	if read.First > 0 {
		say("  from %s to %s", read.First.Time().In(r.zone).Format(time.DateTime), read.Last.Time().In(r.zone).Format(time.DateTime+" MST"))
	}
	if r.Survey.Dates != "" {
		say("  dates: %s", r.Survey.Dates)
	}
	for _, odd := range []struct {
		what string
		n    int
	}{
		{"present without a join, so they are added", read.ImpliedAdds},
		{"joined again without a leave, so a removal is added before", read.ImpliedRemoves},
		{"messages too long for one, split", read.Split},
		{"lines that were not UTF-8, read as Windows-1252", read.Recoded},
		{"messages without text, left out", read.Empty},
		{"deleted messages, left out", read.Deletions},
		{"replies", read.Replies},
		{"pinned messages", read.Pins},
		{"edited messages, whose last text is taken", read.Edited},
		{"reactions, listed under their messages", read.Reactions},
		{"attached files, named in the text and left out", read.Files},
		{"files beside the chat, left out", len(r.Survey.LeftOut)},
		{"new names of the chat", read.Retitles},
	} {
		if odd.n > 0 {
			say("  %s: %s", odd.what, grouped(odd.n))
		}
	}
	faults(&b, read.Unreadable, "could not be read", read.Faults)
	faults(&b, r.Known.Changed, "changed since the last import; the thread keeps what it has", r.Known.Changes)
	if r.DryRun {
		if r.Thread != "" {
			say("Nothing was written: a dry run. Of %s, thread %s has %s already.",
				count(read.Steps, "command"), r.Thread, grouped(r.Known.Present))
		} else {
			say("Nothing was written: a dry run. An import into a new thread needs %s.", count(read.Steps, "command"))
		}
		return b.String()
	}
	w := r.Written
	say("Thread %s: %s, %d there already%s, in %.1f s", r.Thread,
		count(w.Added, "new event"), w.Present+w.Moved+w.Void, elsewhen(w.Moved), r.Seconds)
	if r.stopped {
		say("  %d of %d commands have an answer; the rest were not sent", w.Done, read.Steps)
	}
	if w.PutOff {
		say("  the server's rate limit determined the pace (its --command-rate)")
	}
	if w.Loose > 0 {
		say("  replies and pins whose message is not in the export: %s", grouped(w.Loose))
	}
	faults(&b, w.Refused, "were rejected", w.Refusals)
	return b.String()
}

func elsewhen(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of them with another time or text, which stays)", n)
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return grouped(n) + " " + what
}

// grouped returns a number with commas between its thousands.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func faults(b *strings.Builder, n int, what string, list []importer.Fault) {
	if n == 0 {
		return
	}
	_, _ = fmt.Fprintf(b, "  %s %s:\n", count(n, "line"), what)
	for i, f := range list {
		if i == maxNamed {
			_, _ = fmt.Fprintf(b, "    and %d more; --json names them\n", n-maxNamed)
			break
		}
		_, _ = fmt.Fprintf(b, "    line %d: %s\n", f.Line, f.Why)
	}
}

// progress shows in one line of a terminal how far an import is. On anything
// else it shows nothing.
type progress struct {
	std   *stdio
	total int
	began time.Time
	last  time.Time
}

func newProgress(std *stdio, total int) *progress {
	return &progress{std: std, total: total, began: time.Now()}
}

const progressEvery = 100 * time.Millisecond

func (p *progress) show(r importer.Result) {
	now := time.Now()
	if !p.std.progress || now.Sub(p.last) < progressEvery {
		return
	}
	p.last = now
	_, _ = fmt.Fprintf(p.std.err, "\r\x1b[K%s", p.line(r.Done, now.Sub(p.began)))
}

func (p *progress) line(done int, took time.Duration) string {
	rate := float64(done) / max(took.Seconds(), 0.001)
	left := "…"
	if rate > 0 {
		left = time.Duration(float64(p.total-done) / rate * float64(time.Second)).Round(time.Second).String()
	}
	return fmt.Sprintf("%s of %s (%d %%), %.0f/s, %s left", grouped(done), grouped(p.total), 100*done/max(p.total, 1), rate, left)
}

func (p *progress) clear() {
	if p.std.progress {
		_, _ = fmt.Fprint(p.std.err, "\r\x1b[K")
	}
}
