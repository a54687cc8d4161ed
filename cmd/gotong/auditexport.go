package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/audit"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/store"
)

type auditExportCmd struct {
	Store  string   `name:"store" required:"" help:"Address of the store; a server may have it open." env:"GOTONG_STORE" placeholder:"URL"`
	Stream []string `name:"stream" sep:"none" help:"A stream to publish, such as case/case-0192…; repeat the flag for more." placeholder:"STREAM"`
	Full   bool     `name:"full" help:"Write everything, as gotong export does. Keep the file secret."`
	File   string   `arg:"" optional:"" default:"-" help:"The file to write, or - for standard output."`
	JSON   bool     `name:"json" help:"Print the summary as JSON."`
	pins
	trust
}

func (*auditExportCmd) Help() string {
	return `Writes a log and its checkpoints to a file. gotong audit verify FILE verifies it without a server, also against
an earlier checkpoint.

The public form, the default, is made to be published. From the streams that --stream names, it contains the data of
the events that are for all members: who did what, when, and with which result. It contains no content, such as
messages, titles and reasons, and only the chain value of an event that some members alone may see, such as a vote.
From all other streams it contains one hash for each commit, and not their names. It ends at the newest checkpoint.

The full form (--full) is a backup: it contains everything, password hashes and logins too, and the votes of open and
secret gates. Keep it as you keep the database. It ends at the newest event, and verify counts the votes in it again.

Exit codes: 0 written, 10 the log is damaged or contradicts its checkpoints, 11 the log ends before a checkpoint,
13 the checkpoints cannot be verified, 2 wrong use, 3 a file or the store cannot be read or written.

Examples:

    gotong audit export --store sqlite:/var/lib/gotong/gotong.db --checkpoints /var/lib/gotong-checkpoints \
      --stream case/case-0192… public.ndjson
    gotong audit export --store sqlite:/var/lib/gotong/gotong.db --checkpoints /var/lib/gotong-checkpoints --full /backup/gotong.ndjson`
}

func (c *auditExportCmd) Validate() error {
	switch {
	case c.Checkpoints == "":
		return errors.New("--checkpoints is required")
	case c.Full && len(c.Stream) > 0:
		return errors.New("--full writes every stream; give either --full or --stream")
	}
	return checkStore("--store", c.Store)
}

func (c *auditExportCmd) Run(ctx context.Context, std *stdio) (err error) {
	pinned, err := c.read()
	if err != nil {
		return err
	}
	if c.Full {
		full := exportCmd{Store: c.Store, File: c.File, JSON: c.JSON, trust: c.trust, pinned: pinned}
		return exportFailure(full.Run(ctx, std))
	}
	s, err := c.openToRead(ctx, c.Store)
	if err != nil {
		return exportFailure(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	named, err := c.streams(ctx, s)
	if err != nil {
		return err
	}
	source, err := audit.FromStore(ctx, s)
	if err != nil {
		return exportFailure(err)
	}
	bar := &stages{std: std}
	defer bar.clear()
	var sum audit.Publication
	err = writeTo(c.File, std, func(w io.Writer) (err error) {
		sum, err = audit.Publish(ctx, source, &pinned, func(s gotong.Stream) bool { return slices.Contains(named, s) }, w,
			func(done, total uint64) { bar.show(logcopy.Progress{Stage: "exporting", Done: done, Total: total}) })
		return err
	})
	bar.clear()
	if err != nil {
		return exportFailure(err)
	}
	out := std.beside(c.File).out
	if c.JSON {
		return indented(out, sum)
	}
	_, err = fmt.Fprintf(out, "Exported: %s, with the data of %s. Of the named streams, %s without data, only with the chain value.\n",
		count(int(sum.Commits), "commit"), count(int(sum.Events), "event"), count(int(sum.Withheld), "event")) //nolint:gosec // counts
	return err
}

// streams returns the streams that are named; all of them must exist.
func (c *auditExportCmd) streams(ctx context.Context, s *place) (named []gotong.Stream, err error) {
	for _, name := range c.Stream {
		stream, err := gotong.ParseStream(name)
		if err != nil {
			return nil, misuse("the name of a stream, such as case/case-0192…", "%q names no stream", name)
		}
		named = append(named, stream)
	}
	snap, err := s.Load(ctx, store.Need{Heads: named})
	if err != nil {
		return nil, exportFailure(err)
	}
	for _, stream := range named {
		if !snap.Heads[stream].Exists() {
			return nil, misuse("the name of a stream, such as case/case-0192…", "the log has no stream %s", stream)
		}
	}
	return named, nil
}

// exportFailure gives an error the exit code of the audit commands.
func exportFailure(err error) error {
	if _, ok := errors.AsType[*failure](err); ok || err == nil {
		return err
	}
	code := codeIO
	if back, ok := errors.AsType[*audit.Rollback](err); ok && back.Position < back.Pinned.Size {
		code = int(audit.Truncated)
	} else if ok || errors.Is(err, store.ErrCorrupt) {
		code = int(audit.Altered)
	}
	return &failure{err: err, code: code}
}

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
