package main

import (
	"fmt"
	"strings"
	"time"

	"gotong.dev/gotong/internal/importer"
)

type importReport struct {
	File    string          `json:"file"`
	Thread  string          `json:"thread,omitempty"`
	DryRun  bool            `json:"dry_run"`
	Survey  importer.Survey `json:"read"`
	Known   comparison      `json:"known"` // of the thread, before the import
	Written importer.Result `json:"written"`
	Seconds float64         `json:"seconds"`

	zone    *time.Location
	stopped bool
}

// faulty is the error of an import that left something out.
func (r importReport) faulty() error {
	switch n, m := r.Survey.Unreadable, r.Written.Refused; {
	case n > 0:
		return &failure{err: fmt.Errorf("%s of the file could not be read: left out", count(n, "part")), code: 1}
	case m > 0:
		return &failure{err: fmt.Errorf("the server rejected %s", count(m, "command")), code: 1}
	case len(r.Survey.Damaged)+r.Written.Denied > 0:
		return &failure{err: fmt.Errorf("%s of the export could not be attached: only named in the text",
			count(len(r.Survey.Damaged)+r.Written.Denied, "file")), code: 1}
	default:
		return nil
	}
}

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
		{"files of the export that no message has, left out", len(r.Survey.LeftOut)},
		{"new names of the chat", read.Retitles},
	} {
		if odd.n > 0 {
			say("  %s: %s", odd.what, grouped(odd.n))
		}
	}
	r.media(&b)
	if r.Known.Bare > 0 {
		say("  messages that are in the thread without their files and stay as they are: %s", grouped(r.Known.Bare))
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
		if r.Known.Media > 0 {
			say("  %s would be uploaded: %s", count(r.Known.Media, "file"), megabytes(r.Known.Bytes))
		}
		return b.String()
	}
	r.wrote(&b)
	return b.String()
}

// wrote says what an import has written.
func (r importReport) wrote(b *strings.Builder) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(b, format+"\n", args...) }
	w := r.Written
	say("Thread %s: %s, %s there already%s, in %.1f s", r.Thread,
		count(w.Added, "new event"), grouped(w.Present+w.Moved+w.Void), elsewhen(w.Moved), r.Seconds)
	if r.stopped {
		say("  answered: %s of %s; the rest were not sent", grouped(w.Done), count(r.Survey.Steps, "command"))
	}
	if w.PutOff {
		say("  the server's rate limit determined the pace (its --command-rate)")
	}
	if w.Loose > 0 {
		say("  replies and pins whose message is not in the export: %s", grouped(w.Loose))
	}
	if w.Media > 0 {
		say("  %s attached", count(w.Media, "file"))
	}
	faults(b, w.Denied, "with a file that the server rejected", w.Denials)
	faults(b, w.Refused, "rejected by the server", w.Refusals)
}

// media says what is known of attached files.
func (r importReport) media(b *strings.Builder) {
	read := r.Survey.Summary
	if read.Files > 0 {
		_, _ = fmt.Fprintf(b, "  attached files: %s; the export holds: %s (%s)\n",
			grouped(read.Files), grouped(read.Media), megabytes(read.Bytes))
	}
	for _, list := range []struct {
		what  string
		names []string
	}{{"named in the text and left out", read.Absent}, {"damaged, so named in the text and left out", read.Damaged}} {
		if n := len(list.names); n > 0 {
			_, _ = fmt.Fprintf(b, "    %s: %s", list.what, strings.Join(list.names[:min(n, maxNamed)], ", "))
			if n > maxNamed {
				_, _ = fmt.Fprintf(b, ", and %d more; --json names them", n-maxNamed)
			}
			b.WriteByte('\n')
		}
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func elsewhen(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s of them with another time or text, which stays)", grouped(n))
}

// count returns a number and its noun. What follows in a sentence must fit one and many.
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
	media int64 // bytes to upload
	seen  importer.Result
	began time.Time
	last  time.Time
}

func newProgress(std *stdio, total int, media int64) *progress {
	return &progress{std: std, total: total, media: media, began: time.Now()}
}

const progressEvery = 100 * time.Millisecond

func (p *progress) show(r importer.Result) {
	p.seen = r
	p.bytes(0)
}

// bytes shows how many bytes have arrived of the file that is being uploaded.
func (p *progress) bytes(n int64) {
	now := time.Now()
	if !p.std.progress || now.Sub(p.last) < progressEvery {
		return
	}
	p.last = now
	_, _ = fmt.Fprintf(p.std.err, "\r\x1b[K%s", p.line(p.seen.Done, p.seen.Bytes+n, now.Sub(p.began)))
}

// perCommand is how many bytes take about as long as a command does.
const perCommand = 4096

func (p *progress) line(done int, bytes int64, took time.Duration) string {
	seconds := max(took.Seconds(), 0.001)
	left := "…"
	if work := float64(done)*perCommand + float64(bytes); work > 0 {
		all := float64(p.total)*perCommand + float64(p.media)
		left = time.Duration(max(all-work, 0) / work * seconds * float64(time.Second)).Round(time.Second).String()
	}
	files := ""
	if p.media > 0 {
		files = fmt.Sprintf(", %s of %s", megabytes(bytes), megabytes(p.media))
	}
	return fmt.Sprintf("%s of %s (%d %%), %.0f/s%s, %s left",
		grouped(done), grouped(p.total), 100*done/max(p.total, 1), float64(done)/seconds, files, left)
}
