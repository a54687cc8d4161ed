package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gotong.dev/gotong/internal/audit"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/store"
)

type exportCmd struct {
	Store string `name:"store" required:"" help:"Address of the store to export." env:"GOTONG_STORE" placeholder:"URL"`
	File  string `arg:"" optional:"" default:"-" help:"The file to write, or - for standard output."`
	Seal  bool   `name:"seal" help:"Seal the store first: from then on it can only be read."`
	JSON  bool   `name:"json" help:"Print the summary as JSON."`
	trust

	pinned audit.Pinned // checkpoints for the file; may be zero
}

func (c *exportCmd) Validate() error { return checkStore("--store", c.Store) }

func (*exportCmd) Help() string {
	return `Writes a whole log as lines of JSON. The file contains everything, password hashes and logins too, so only its
owner can read it: keep it so. Without --seal, a log that is in use is exported as it was when the export began.

Examples:

    gotong export --store sqlite:/var/lib/gotong/gotong.db /backup/gotong.ndjson
    gotong export --store sqlite:gotong.db --seal gotong.ndjson --json
    gotong export --store sqlite:gotong.db | zstd | ssh backup 'umask 077; cat >gotong.ndjson.zst'`
}

func (c *exportCmd) Run(ctx context.Context, std *stdio) (err error) {
	c.readOnly = !c.Seal
	from, err := c.open(ctx, c.Store, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	report := copyReport{From: from.name, To: c.File, Stage: "exported"}
	state, err := from.State(ctx)
	if err != nil {
		return err
	}
	if state.Progress != "" {
		return store.ErrUnfinished
	}
	if c.Seal {
		if err := logcopy.Seal(ctx, from, "exported"); err != nil {
			return err
		}
	}
	source, err := logcopy.FromStore(ctx, from)
	if err != nil {
		return err
	}
	for p, n := range source.About().Positions {
		if pin := c.pinned[p].Checkpoint; n < pin.Size {
			return &audit.Rollback{Pinned: pin, Position: n}
		}
	}
	bar := &stages{std: std}
	defer bar.clear()
	began := time.Now()
	options := copyOptions(bar)
	options.Checkpoints = c.pinned.String()
	err = writeTo(c.File, std, func(w io.Writer) error {
		report.Summary, err = logcopy.Export(ctx, source, w, options)
		return err
	})
	if err != nil {
		return err
	}
	report.Seconds, report.Writing = time.Since(began).Seconds(), bar.writing.Seconds()
	bar.clear()
	return report.print(std.beside(c.File), c.JSON)
}

// writeTo writes a new file, or to the standard output if the path is -.
func writeTo(path string, std *stdio, write func(io.Writer) error) error {
	if path == "-" {
		return write(std.out)
	}
	return writeWhole(path, write)
}

// beside returns where to report on a file: not to the standard output if that is
// the file.
func (s *stdio) beside(path string) *stdio {
	if path != "-" {
		return s
	}
	plain := *s
	plain.out = s.err
	return &plain
}

// writeWhole writes a new file with [audit.ReplaceFile]. It never overwrites
// another one.
func writeWhole(path string, write func(io.Writer) error) error {
	if _, err := os.Stat(path); err == nil {
		return misuse("another name", "%s already exists", path)
	}
	return audit.ReplaceFile(path, write)
}

type importLogCmd struct {
	Store  string `name:"store" required:"" help:"Address of the store to fill: a new one, or one with a part of this import." env:"GOTONG_STORE" placeholder:"URL"`
	File   string `arg:"" type:"existingfile" help:"A file that gotong export wrote."`
	DryRun bool   `name:"dry-run" help:"Only read the file and check every line of it."`
	JSON   bool   `name:"json" help:"Print the summary as JSON."`
	trust
}

func (c *importLogCmd) Validate() error { return checkStore("--store", c.Store) }

func (*importLogCmd) Help() string {
	return `Fills an empty store with an exported log. First every line of the file is checked: a file that was changed, cut
off or put in another order is rejected with the line. In the end the store is compared with the file, event by event,
and every chain is computed again. If it is interrupted, run the same command again: it resumes.

The hashes show damage. They do not show who made the file: import only files from a source that you trust.

Examples:

    gotong import-log --store sqlite:/var/lib/gotong/gotong.db /backup/gotong.ndjson
    gotong import-log --store sqlite:new.db gotong.ndjson --dry-run`
}

func (c *importLogCmd) Run(ctx context.Context, std *stdio) (err error) {
	name, err := placeName(c.Store)
	if err != nil {
		return err
	}
	report := copyReport{From: c.File, To: name, DryRun: c.DryRun, Stage: "imported"}
	bar := &stages{std: std}
	defer bar.clear()
	began := time.Now()
	file, err := logcopy.OpenFile(ctx, c.File, copyOptions(bar))
	if err != nil {
		return again(ctx, fmt.Errorf("%s: %w", c.File, err))
	}
	report.Eras = file.About().Eras
	if c.DryRun && !placeExists(c.Store) {
		return c.dryRun(ctx, std, file, bar, &report)
	}
	to, err := c.open(ctx, c.Store, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if report.Summary, err = logcopy.Look(ctx, file, to); err != nil {
		return err
	}
	if c.DryRun {
		return c.dryRun(ctx, std, file, bar, &report)
	}
	report.Summary, err = logcopy.Run(ctx, file, to, copyOptions(bar))
	report.Seconds, report.Writing = time.Since(began).Seconds(), bar.writing.Seconds()
	bar.clear()
	return errors.Join(report.print(std, c.JSON), again(ctx, err))
}

func (c *importLogCmd) dryRun(ctx context.Context, std *stdio, file *logcopy.File, bar *stages, report *copyReport) (err error) {
	report.Stage = "read"
	if report.Rows, err = logcopy.Scan(ctx, file, copyOptions(bar)); err != nil {
		return err
	}
	bar.clear()
	return report.print(std, c.JSON)
}
