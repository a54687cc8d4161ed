package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gotong.dev/gotong/internal/app"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/files"
)

// checkFiles returns an error in a place of attachments; "" is a flag that was not
// given.
func checkFiles(flag, place string) error {
	if err := app.CheckFiles(place); err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// moveFiles are the flags of a copy that moves attachments too.
type moveFiles struct {
	FilesFrom string `name:"files-from" help:"Where the attachments are: a directory, or s3://KEY:SECRET@HOST/BUCKET." env:"GOTONG_COPY_FILES_FROM" placeholder:"URL"`
	FilesTo   string `name:"files-to" help:"Where to copy them, or where they have been copied to." env:"GOTONG_COPY_FILES_TO" placeholder:"URL"`

	ledger files.Ledger
}

func (m *moveFiles) check() error {
	if (m.FilesFrom == "") != (m.FilesTo == "") {
		return errors.New("--files-from and --files-to belong together")
	}
	return errors.Join(checkFiles("--files-from", m.FilesFrom), checkFiles("--files-to", m.FilesTo))
}

// into has a copy move the attachments too, and the report count them.
func (m *moveFiles) into(o *logcopy.Options, report *copyReport) {
	o.See = m.ledger.See
	o.Beside = func(ctx context.Context) error {
		tally := m.ledger.Tally()
		report.Attachments = &tally
		if m.FilesTo == "" {
			return nil
		}
		from, err := app.OpenBytes(ctx, m.FilesFrom, false)
		if err != nil {
			return err
		}
		to, err := app.OpenBytes(ctx, m.FilesTo, true)
		if err != nil {
			return err
		}
		tally, err = m.ledger.Move(ctx, from, to, attachments(o.Progress))
		return err
	}
}

// verify compares the attachments in the target with a log that was read.
func (m *moveFiles) verify(ctx context.Context, log *place, bar *stages, report *copyReport) (err error) {
	if m.FilesTo != "" {
		report.Attachments, err = verifyFiles(ctx, m.FilesTo, &m.ledger, log, bar.show)
	}
	return err
}

func verifyFiles(ctx context.Context, in string, l *files.Ledger, log *place, show func(logcopy.Progress)) (*files.Tally, error) {
	bytes, err := app.OpenBytes(ctx, in, false)
	if err != nil {
		return nil, err
	}
	tally, err := l.Verify(ctx, bytes, log, attachments(show))
	return &tally, err
}

func attachments(show func(logcopy.Progress)) func(done, total uint64) {
	return func(done, total uint64) { show(logcopy.Progress{Stage: "attachments", Done: done, Total: total}) }
}

// faultsOf returns the faults of attachments as text, "" for none.
func faultsOf(t *files.Tally) string {
	if t == nil || len(t.Faults) == 0 {
		return ""
	}
	lines := make([]string, 0, len(t.Faults))
	for _, f := range t.Faults {
		lines = append(lines, f.String())
	}
	return fmt.Sprintf("attachments: of %s, %d missing, different or unreadable:\n  %s",
		count(t.Objects, "object"), len(lines), strings.Join(lines, "\n  "))
}
