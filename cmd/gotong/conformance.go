package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"gotong.dev/gotong/internal/conformance"
)

type conformanceCmd struct {
	Client string   `name:"client" help:"The adapter of the client, with its arguments; no shell reads it." placeholder:"CMD"`
	Case   []string `name:"case" help:"Only the cases with these ids; * stands for any text." placeholder:"ID,…"`
	List   bool     `name:"list" help:"List the cases instead of running them."`
	JSON   bool     `name:"json" help:"Print the report, or the list, as JSON."`
}

// Help implements kong.HelpProvider.
func (*conformanceCmd) Help() string {
	return `For authors of clients. It is a server that misbehaves on purpose: it cuts, repeats, delays, rejects, falls
silent, restarts and revokes, over all three transports, and judges a client in any language by what it sends and by
the log of its adapter. docs/conformance.md describes how to write an adapter. A run takes less than a minute.

Exit codes: 0 every case passed or was skipped, 1 a case failed, 2 wrong use, or the client cannot be tested.

Examples:

    gotong conformance --client 'node sdk/js/conformance/adapter.mjs'
    gotong conformance --client ./adapter --case 'ws.resume.*,send.*'
    gotong conformance --client ./adapter --json >report.json
    gotong conformance --list`
}

// Run is called by kong.
func (c *conformanceCmd) Run(ctx context.Context, std *stdio) error {
	const hint = "gotong conformance --list"
	cases, err := conformance.Select(c.Case)
	if err != nil {
		return misuse(hint, "--case %s: %w", strings.Join(c.Case, ","), err)
	}
	if c.List {
		return c.list(std, cases)
	}
	words := strings.Fields(c.Client)
	if len(words) == 0 {
		return misuse("gotong conformance --client 'node adapter.mjs', or --list", "no client is given")
	}
	done := 0
	report, err := conformance.Run(ctx, conformance.Options{
		Start: conformance.Command(words), Cases: c.Case,
		Progress: func(r conformance.Result, of int) {
			done++
			c.progress(std, done, of, r)
		},
	})
	std.wipe()
	switch {
	case errors.Is(err, conformance.ErrClient):
		return &failure{err: err, code: 2, hint: "docs/conformance.md, which describes the adapter"}
	case err != nil:
		return err
	}
	if err := c.print(std, report); err != nil {
		return err
	}
	if report.Failed > 0 {
		return &failure{err: fmt.Errorf("%d of %d cases failed", report.Failed, len(report.Results)), code: 1}
	}
	return nil
}

// progress shows on stderr how far a run is: on a terminal in one line that is
// overwritten, elsewhere in a line for each case that failed.
func (c *conformanceCmd) progress(std *stdio, done, of int, r conformance.Result) {
	switch {
	case std.progress:
		_, _ = fmt.Fprintf(std.err, "\r\x1b[K[%d/%d] %s", done, of, r.ID)
	case r.Outcome == conformance.Fail:
		_, _ = fmt.Fprintf(std.err, "[%d/%d] %s failed\n", done, of, r.ID)
	}
}

func (c *conformanceCmd) list(std *stdio, cases []conformance.Case) error {
	if c.JSON {
		return indented(std.out, cases)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	for _, a := range cases {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", a.ID, a.Rule)
	}
	return w.Flush()
}

// print prints the report: a table, and the transcript of each case that failed.
func (c *conformanceCmd) print(std *stdio, report conformance.Report) error {
	if c.JSON {
		return indented(std.out, report)
	}
	paint := map[string]colour{conformance.Fail: red, conformance.Skip: dim}
	for _, r := range report.Results {
		text := fmt.Sprintf("%-4s  %-32s  %5.1f s", r.Outcome, r.ID, float64(r.MS)/1000)
		if r.Reason != "" {
			text += "  " + r.Reason
		}
		if p, ok := paint[r.Outcome]; ok {
			text = std.paint(p, text)
		}
		_, _ = fmt.Fprintln(std.out, text)
	}
	for _, r := range report.Results {
		if r.Outcome == conformance.Fail {
			_, _ = fmt.Fprintf(std.out, "\n%s: %s\n%s\n", std.paint(bold, r.ID), r.Reason, printable(strings.Join(r.Transcript, "\n")))
		}
	}
	_, err := fmt.Fprintf(std.out, "\n%s: %d passed, %d failed, %d skipped\n", report.Client, report.Passed, report.Failed, report.Skipped)
	return err
}
