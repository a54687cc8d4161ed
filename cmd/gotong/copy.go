package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/files"
)

type copyCmd struct {
	From string `name:"from" required:"" help:"Address of the store to copy from." env:"GOTONG_COPY_FROM" placeholder:"URL"`
	To   string `name:"to" help:"Address of the store to copy into: a new one, or one with a part of this copy." env:"GOTONG_COPY_TO" placeholder:"URL"`

	DryRun     bool `name:"dry-run" xor:"what" help:"Only read the source and print what would be copied."`
	VerifyOnly bool `name:"verify-only" xor:"what" help:"Only compare source and target."`
	Unseal     bool `name:"unseal" xor:"what" help:"Remove the seal from the source, to continue with it instead of the copy."`
	JSON       bool `name:"json" help:"Print the summary as JSON."`
	moveFiles
	trust
}

func (c *copyCmd) Validate() error {
	return errors.Join(checkStore("--from", c.From), checkStore("--to", c.To), c.check())
}

func (*copyCmd) Help() string {
	return `Moves a whole log from one database to another, as it is. Stop the servers first. The source is sealed: from
then on it can only be read. In the end both are compared event by event and every chain is computed again; only then
a server takes the target. Whatever interrupts it, the same command again goes on where it was. With --files-from and
--files-to, the bytes of attachments are copied too, and compared with their hashes.

Examples:

    gotong copy --from sqlite:/var/lib/gotong/gotong.db --to sqlite:/mnt/new/gotong.db --dry-run
    gotong copy --from sqlite:/var/lib/gotong/gotong.db --to sqlite:/mnt/new/gotong.db
    gotong copy --from sqlite:old.db --to sqlite:new.db --files-from /var/lib/gotong/files --files-to /mnt/new/files
    gotong copy --from sqlite:old.db --to sqlite:new.db --verify-only --json
    gotong copy --from sqlite:/var/lib/gotong/gotong.db --unseal`
}

func (c *copyCmd) Run(ctx context.Context, std *stdio) (err error) {
	from, err := c.open(ctx, c.From, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if c.Unseal {
		return unseal(ctx, std, from)
	}
	if state, err := from.State(ctx); err != nil {
		return err
	} else if state.Empty && state.Progress == "" {
		return &failure{err: fmt.Errorf("%s is empty", from.name), code: 1, hint: "another address"}
	}
	if c.To == "" {
		return misuse("--to URL", "no target is given")
	}
	report := copyReport{From: from.name, DryRun: c.DryRun, placed: c.FilesTo != ""}
	if report.To, err = placeName(c.To); err != nil {
		return err
	}
	if report.To == report.From {
		return misuse("--to with another address", "source and target are the same store")
	}
	began := time.Now()
	err = c.do(ctx, std, from, &report)
	report.Seconds = time.Since(began).Seconds()
	if err != nil && report.Stage == "" {
		return err
	}
	if err == nil {
		if faults := faultsOf(report.Attachments); faults != "" {
			err = &failure{err: errors.New(faults), code: 1}
		}
	}
	return errors.Join(report.print(std, c.JSON), again(ctx, err))
}

// do runs the requested action and fills the report.
func (c *copyCmd) do(ctx context.Context, std *stdio, from *place, report *copyReport) (err error) {
	if c.DryRun && !placeExists(c.To) {
		return c.dryRun(ctx, std, from, nil, report)
	}
	to, err := c.open(ctx, c.To, c.VerifyOnly)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if c.DryRun {
		return c.dryRun(ctx, std, from, to, report)
	}
	bar := &stages{std: std}
	defer bar.clear()
	o := copyOptions(bar)
	c.into(&o, report)
	if c.VerifyOnly {
		source, err := logcopy.FromStore(ctx, from)
		if err != nil {
			return err
		}
		report.Stage = "compared"
		if report.Summary, err = logcopy.Verify(ctx, source, to, o); err != nil {
			return err
		}
		return c.verify(ctx, from, bar, report)
	}
	source, err := c.seal(ctx, from, to)
	if err != nil {
		return err
	}
	report.Stage = "copied"
	report.Summary, err = logcopy.Run(ctx, source, to, o)
	report.Writing = bar.writing.Seconds()
	return err
}

// seal seals the source, unless the target cannot accept it.
func (c *copyCmd) seal(ctx context.Context, from, to *place) (logcopy.Source, error) {
	source, err := logcopy.FromStore(ctx, from)
	if err != nil {
		return nil, err
	}
	found, err := logcopy.Look(ctx, source, to)
	if err != nil {
		return nil, err
	}
	state, err := from.State(ctx)
	if err != nil {
		return nil, err
	}
	if found.Present && state.Sealed == "" {
		return nil, logcopy.ErrNotEmpty
	}
	if err := logcopy.Seal(ctx, from, sealNote(to.name)); err != nil {
		return nil, err
	}
	return logcopy.FromStore(ctx, from)
}

func sealNote(to string) string { return "copied to " + to }

func (c *copyCmd) dryRun(ctx context.Context, std *stdio, from, to *place, report *copyReport) error {
	source, err := logcopy.FromStore(ctx, from)
	if err != nil {
		return err
	}
	report.Eras = source.About().Eras
	if to != nil {
		if report.Summary, err = logcopy.Look(ctx, source, to); err != nil {
			return err
		}
	}
	bar := &stages{std: std}
	defer bar.clear()
	report.Stage = "read"
	o := copyOptions(bar)
	c.into(&o, report)
	report.Rows, err = logcopy.Scan(ctx, source, o)
	tally := c.ledger.Tally()
	report.Attachments = &tally
	return err
}

// again adds to the error of an unfinished copy what to do next.
func again(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &failure{err: errors.New("interrupted"), code: 1, hint: "the same command again: it resumes where it stopped"}
	case errors.Is(err, logcopy.ErrDiffers):
		return &failure{err: err, code: 1, hint: "a new, empty target; gotong copy --unseal, to continue with the source meanwhile"}
	default:
		return err
	}
}

// unseal removes the seal, with a warning about the consequences.
func unseal(ctx context.Context, std *stdio, from *place) error {
	state, err := from.State(ctx)
	if err != nil {
		return err
	}
	if state.Sealed == "" {
		_, err = fmt.Fprintf(std.out, "%s is not sealed.\n", from.name)
		return err
	}
	if err := from.Seal(ctx, ""); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(std.err, `%s this log was sealed (%s).
  If the other store has been served from, there are now two histories of one name, and clients cannot tell them
  apart. Then make this one a new history, before a server runs on it: gotong epoch new --store URL
  A copy that was begun into the other store cannot go on; throw that store away.
`, std.paint(red, "Careful:"), state.Sealed)
	_, err = fmt.Fprintf(std.out, "%s is no longer sealed.\n", from.name)
	return err
}

// copyReport is the final report of a copy, export or import of a log.
type copyReport struct {
	From   string `json:"from"`
	To     string `json:"to,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
	logcopy.Summary
	Stage   string  `json:"stage"`   // copied, compared, exported, imported, read
	Seconds float64 `json:"seconds"` // in all
	Writing float64 `json:"writing_seconds"`

	Attachments *files.Tally `json:"attachments,omitempty"`
	placed      bool         // attachments were copied or compared too
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
	if text := r.attachments(); text != "" {
		say("%s", text)
	}
	return b.String()
}

// attachments describes what happened to the bytes beside the log.
func (r *copyReport) attachments() string {
	t := r.Attachments
	switch {
	case r.Stage == "exported":
		return "Attachments are files beside the log and were not copied: copy the directory or bucket where they are kept, too."
	case t == nil || t.Objects == 0:
		return ""
	case r.Stage == "read":
		return fmt.Sprintf("Attachments: %s with %s bytes.", count(t.Objects, "object"), grouped(int(t.Bytes)))
	case !r.placed:
		return fmt.Sprintf("The log has %s of attachments, with %s bytes, which were not copied: give --files-from and --files-to.",
			count(t.Objects, "object"), grouped(int(t.Bytes)))
	default:
		return fmt.Sprintf("Attachments: %s with %s bytes, compared by hash; %s written by this run.",
			count(t.Objects, "object"), grouped(int(t.Bytes)), grouped(t.Moved))
	}
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
