package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"gotong.dev/gotong/internal/audit"
	logcopy "gotong.dev/gotong/internal/copy"
)

// unreadable returns the failure of a file that was changed, or cannot be read.
func unreadable(err error) error {
	if errors.Is(err, logcopy.ErrFile) || errors.Is(err, audit.ErrFile) {
		return &failure{err: err, code: int(audit.Altered)}
	}
	return &failure{err: err, code: codeIO}
}

// file returns the log of a file. The checkpoints in it are what the log is compared
// with if no others are given.
func (c *auditVerifyCmd) file(ctx context.Context, bar *stages, pinned *audit.Pinned) (audit.Source, func(), error) {
	source, notes, stop, err := openLog(ctx, c.File, bar)
	if err != nil || notes == "" {
		return source, stop, err
	}
	trust, err := c.trusted()
	if c.Checkpoints != "" {
		trust.Quorum = 0 // others are required to be cosigned
	}
	if err == nil && len(trust.Keys) == 0 {
		err = misuse("--key, with the verifier key of the server", "there is no key to verify the file's checkpoints with")
	}
	if err == nil {
		if source.Signed, err = audit.ReadNotes([]byte(notes), trust); err != nil {
			err = unverifiable(err)
		}
	}
	if err != nil {
		stop()
		return source, nil, err
	}
	if c.Checkpoints == "" {
		*pinned = source.Signed
	}
	return source, stop, nil
}

// openLog opens a file of either form.
func openLog(ctx context.Context, path string, bar *stages) (source audit.Source, notes string, stop func(), err error) {
	f, err := os.Open(path) //nolint:gosec // the operator's own path
	if err != nil {
		return source, "", nil, &failure{err: err, code: codeIO}
	}
	begin := make([]byte, 64)
	n, _ := io.ReadFull(f, begin)
	if strings.Contains(string(begin[:n]), audit.PublicKind) {
		if _, err = f.Seek(0, io.SeekStart); err == nil {
			source, notes, stop, err = audit.FromPublic(f)
		}
		if err != nil {
			_ = f.Close()
			return source, "", nil, unreadable(err)
		}
		end := stop
		return source, notes, func() { end(); _ = f.Close() }, nil
	}
	_ = f.Close()
	file, err := logcopy.OpenFile(ctx, path, copyOptions(bar))
	if err != nil {
		return source, "", nil, unreadable(err)
	}
	about := file.About()
	source, stop = audit.FromCommits(about.Eras, about.Positions, func(yield func(audit.Commit, error) bool) {
		for l, err := range logcopy.Commits(ctx, file) {
			c := audit.Commit{}
			if err == nil {
				c = audit.Commit{Partition: l.Record.Partition, Position: l.Record.Position, Events: l.Events}
			}
			if !yield(c, err) {
				return
			}
		}
	})
	return source, file.Checkpoints(), stop, nil
}
