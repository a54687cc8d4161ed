package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/store"
)

// seenBy returns a replay that also fills a ledger.
func seenBy(l *files.Ledger, replay func() func(*store.Event) error) func() func(*store.Event) error {
	return func() func(*store.Event) error {
		next := replay()
		return func(e *store.Event) error { return errors.Join(next(e), l.See(e)) }
	}
}

// auditReport is what audit verify prints.
type auditReport struct {
	audit.Report
	Attachments *files.Tally `json:"attachments,omitempty"` // with --files
}

func (c *auditVerifyCmd) print(std *stdio, r *auditReport) error {
	if c.JSON {
		if err := indented(std.out, r); err != nil {
			return err
		}
	} else {
		_, _ = fmt.Fprintf(std.out, "Read: %s in %s, compared with %s.\n",
			count(int(r.Events), "event"), count(int(r.Commits), "commit"), //nolint:gosec // counts
			count(len(r.Checkpoints), "checkpoint"))
		if t := r.Attachments; t != nil {
			_, _ = fmt.Fprintf(std.out, "Attachments: %s with %s bytes, compared by hash.\n",
				count(t.Objects, "object"), grouped(int(t.Bytes)))
		}
	}
	lines := make([]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		lines = append(lines, f.String())
	}
	code := int(r.Code)
	if faults := faultsOf(r.Attachments); faults != "" {
		lines = append(lines, faults)
		code = cmp.Or(code, codeFiles)
	}
	if code != 0 {
		return &failure{err: errors.New(strings.Join(lines, "\n  ")), code: code}
	}
	if !c.JSON {
		_, _ = fmt.Fprintln(std.out, "Verified.")
	}
	return nil
}
