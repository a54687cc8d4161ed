package main

import (
	"fmt"
	"io"
	"strings"

	logcopy "gotong.dev/gotong/internal/copy"
)

// copyReport is the final report of a copy, export or import of a log.
type copyReport struct {
	From   string `json:"from"`
	To     string `json:"to,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
	logcopy.Summary
	Stage   string  `json:"stage"`   // copied, compared, exported, imported, read
	Seconds float64 `json:"seconds"` // in all
	Writing float64 `json:"writing_seconds"`
}

func (r *copyReport) print(std *stdio, asJSON bool) error {
	if asJSON {
		return indented(std.out, r)
	}
	_, err := io.WriteString(std.out, r.text())
	return err
}

func (r *copyReport) text() string {
	var b strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	if r.Rows != nil {
		counts := make([]string, 0, len(r.Rows))
		for _, part := range logcopy.Parts() {
			counts = append(counts, count(int(r.Rows[part]), string(part))) //nolint:gosec // a count
		}
		say("%s: %s", r.From, strings.Join(counts, ", "))
	}
	moved := int(r.Moved) //nolint:gosec // a count
	rate := int(float64(moved) / max(r.Writing, 0.001))
	wrote := fmt.Sprintf("%s written in %.1f s, %s a second", count(moved, "row"), r.Writing, grouped(rate))
	switch r.Stage {
	case "read":
		say("Nothing was written: a dry run. %s", r.found())
	case "exported":
		say("%s: %s", r.To, wrote)
	case "compared":
		if r.Verified {
			say("%s is equal: every event, chain, record and row.", r.To)
		}
	default:
		if r.Present {
			say("%s already had all of it.", r.To)
		} else {
			say("%s: %s%s", r.To, wrote, r.resumed())
		}
		if r.Verified {
			say("Source and target were compared: every event, chain, record and row. A server can now start on %s.", r.To)
		}
	}
	return b.String()
}

// found describes what a dry run found in the target.
func (r *copyReport) found() string {
	switch {
	case r.Present:
		return "The target holds a log of this history already; --verify-only compares it."
	case r.Resumed:
		return "The target holds a part of this copy, which would resume there."
	default:
		return "The copy could be written to the target."
	}
}

func (r *copyReport) resumed() string {
	if r.Resumed {
		return "; it resumed where it had stopped"
	}
	return ""
}
