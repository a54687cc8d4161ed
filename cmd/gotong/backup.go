package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/config"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/regular"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
)

// The names in a backup.
const (
	backupManifest = "manifest.json"
	backupLog      = "log.ndjson"
	backupKey      = "signing.key"
	backupFiles    = "files"
)

const backupFormat = 1

// manifest says what a backup holds.
type manifest struct {
	Format      int            `json:"format"`
	Version     string         `json:"version"` // of the program that wrote it
	Made        string         `json:"made"`    // RFC 3339
	Epoch       gotong.Epoch   `json:"epoch"`
	Heads       logHeads       `json:"heads"`
	Rows        logcopy.Counts `json:"rows"`
	Checkpoints bool           `json:"checkpoints"` // the newest ones are in the log
	SigningKey  bool           `json:"signing_key"`
	Attachments *files.Tally   `json:"attachments,omitempty"` // absent: they were left out
	Parts       []backupPart   `json:"parts"`
}

// backupPart is a file of a backup. Attachments are not listed: the log holds their
// hashes.
type backupPart struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// logHeads is the last event of each partition that is not empty.
type logHeads map[gotong.Partition]logHead

type logHead struct {
	Position uint64      `json:"position"`
	Chain    gotong.Hash `json:"chain"`
}

type backupCmd struct {
	config.Config
	To           string `arg:"" name:"directory" help:"The directory to make." type:"path"`
	WithoutFiles bool   `name:"without-files" help:"Leave the attachments out, to copy their directory or bucket with a tool of yours."`
	JSON         bool   `name:"json" help:"Print the manifest as JSON."`
}

func (*backupCmd) Help() string {
	return `Takes a backup of a server, which may run meanwhile; give it the configuration of the server. An SQLite file is
backed up as it is at one moment. Of a shared database, the log up to the positions at the beginning is read, as gotong
export does. The backup is a directory with the log, the attachments, signing.key and a manifest. It appears under its
name only when it is complete and on the disk; otherwise nothing is left.

A backup holds every message and every password hash, and with signing.key its owner can sign in as anybody: keep it
secret. gotong restore reads it.

Exit codes: 0 complete, 1 no backup was made, 2 wrong use.

Examples:

    gotong backup --data /var/lib/gotong /backup/gotong-$(date +%F)
    gotong backup --config /etc/gotong.yaml --without-files --json /backup/gotong-1`
}

func (c *backupCmd) Run(ctx context.Context, std *stdio) (err error) {
	if err := checkStoreOf(&c.Config); err != nil {
		return err
	}
	if _, err := os.Lstat(c.To); err == nil {
		return misuse("another name", "%s already exists", c.To)
	}
	part := c.To + ".part"
	if err := os.Mkdir(part, 0o700); errors.Is(err, os.ErrExist) {
		return &failure{
			err:  fmt.Errorf("%s exists: another backup to this name runs, or was killed", part),
			code: 1, hint: "another name; or rm -r " + part + ", if no backup runs",
		}
	} else if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(part))
		}
	}()
	bar := &stages{std: std}
	defer bar.clear()
	m, err := c.write(ctx, part, bar)
	if err != nil {
		return err
	}
	if err := writeManifest(part, m); err != nil {
		return err
	}
	if err := os.Rename(part, c.To); err != nil {
		return err
	}
	if err := regular.SyncDir(filepath.Dir(c.To)); err != nil {
		return err
	}
	bar.clear()
	if c.JSON {
		return indented(std.out, m)
	}
	_, err = fmt.Fprintf(std.out, "%s: %s\n%s", c.To, m.counts(), m.remarks())
	return err
}

// write writes all parts into a directory.
func (c *backupCmd) write(ctx context.Context, dir string, bar *stages) (*manifest, error) {
	m := &manifest{
		Format: backupFormat, Version: version, Made: time.Now().UTC().Format(time.RFC3339),
		Heads: logHeads{}, Parts: []backupPart{},
	}
	pinned, err := c.pinned() // before the log, which must reach them
	if err != nil {
		return nil, err
	}
	var ledger files.Ledger
	if err := c.writeLog(ctx, dir, m, &ledger, pinned, bar); err != nil {
		return nil, err
	}
	if err := c.writeKey(dir, m); err != nil {
		return nil, err
	}
	if !c.WithoutFiles {
		if err := c.writeFiles(ctx, dir, m, &ledger, bar); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// pinned returns the newest checkpoints; none if the server keeps none here.
func (c *backupCmd) pinned() (audit.Pinned, error) {
	dir := c.CheckpointsDir()
	if _, err := os.Stat(filepath.Join(dir, audit.CheckpointsFile)); errors.Is(err, os.ErrNotExist) {
		return audit.Pinned{}, nil
	}
	p := pins{Checkpoints: dir}
	return p.read()
}

func (c *backupCmd) writeLog(
	ctx context.Context, dir string, m *manifest, ledger *files.Ledger, pinned audit.Pinned, bar *stages,
) (err error) {
	source, end, err := c.source(ctx, dir, bar)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	about := source.About()
	for p, n := range about.Positions {
		if pin := pinned[p].Checkpoint; n < pin.Size {
			return &audit.Rollback{Pinned: pin, Position: n}
		}
	}
	o := copyOptions(bar)
	o.See, o.Checkpoints = m.Heads.see(ledger), pinned.String()
	m.Epoch, m.Checkpoints = about.Eras.Epoch(), o.Checkpoints != ""
	return m.part(dir, backupLog, func(w io.Writer) error {
		sum, err := logcopy.Export(ctx, source, w, o)
		m.Rows = sum.Rows
		return err
	})
}

// source returns the log: of an SQLite file a snapshot, which end removes.
func (c *backupCmd) source(ctx context.Context, dir string, bar *stages) (from logcopy.Source, end func() error, err error) {
	t := trust{UnsafeEngine: c.UnsafeEngine, AllowUntested: c.AllowUntested}
	address, remove := c.StoreURL(), func() error { return nil }
	read := logcopy.FromStore
	if path, ok := app.StoreFile(address); ok && placeExists(address) {
		bar.show(logcopy.Progress{Stage: "taking a snapshot"})
		snapshot := filepath.Join(dir, "snapshot.db")
		if err := sqlite.Snapshot(ctx, path, snapshot); err != nil {
			return nil, nil, err
		}
		address, read = "sqlite:"+filepath.ToSlash(snapshot), logcopy.FromSnapshot
		remove = func() error { return removeDatabase(snapshot) }
	}
	s, err := t.openToRead(ctx, address)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	end = func() error { return errors.Join(s.Close(), remove()) }
	state, err := s.State(ctx)
	if err == nil && state.Progress != "" {
		err = logcopy.ErrUnfinished
	}
	if err == nil {
		from, err = read(ctx, s)
	}
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return from, end, nil
}

func (c *backupCmd) writeKey(dir string, m *manifest) error {
	switch _, err := auth.ReadSigningKey(c.Data); {
	case c.SigningKey != "" || errors.Is(err, os.ErrNotExist):
		return nil // it is in the configuration, or there is none
	case err != nil:
		return err
	}
	text, err := regular.ReadFile(filepath.Join(c.Data, backupKey))
	if err != nil {
		return err
	}
	m.SigningKey = true
	return m.part(dir, backupKey, func(w io.Writer) error { _, err := w.Write(text); return err })
}

// writeFiles copies the attachments after the log: each is written before the event
// that names it.
func (c *backupCmd) writeFiles(ctx context.Context, dir string, m *manifest, ledger *files.Ledger, bar *stages) error {
	tally := ledger.Tally()
	m.Attachments = &tally
	if tally.Objects == 0 {
		return nil
	}
	from, err := app.OpenBytes(ctx, c.FilesPlace(), false)
	if err != nil {
		return err
	}
	to, err := app.OpenBytes(ctx, filepath.Join(dir, backupFiles), true)
	if err != nil {
		return err
	}
	if tally, err = ledger.Move(ctx, from, to, attachments(bar.show)); err != nil {
		return err
	}
	if faults := faultsOf(&tally); faults != "" {
		return &failure{err: errors.New(faults), code: 1, hint: "again, if they were removed or erased meanwhile; " +
			"else --without-files, to back up the log alone"}
	}
	return nil
}

// see returns a function that notes the last event of each partition, and what must be
// kept beside the log.
func (h logHeads) see(ledger *files.Ledger) func(*store.Event) error {
	return func(e *store.Event) error {
		h[e.Partition] = logHead{e.Position, e.Chain}
		return ledger.See(e)
	}
}

// part writes a part with its hash.
func (m *manifest) part(dir, name string, write func(io.Writer) error) error {
	h, n := sha256.New(), counter(0)
	err := audit.ReplaceFile(filepath.Join(dir, name), func(w io.Writer) error { return write(io.MultiWriter(w, h, &n)) })
	m.Parts = append(m.Parts, backupPart{name, int64(n), hex.EncodeToString(h.Sum(nil))})
	return err
}

// counter counts bytes.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func writeManifest(dir string, m *manifest) error {
	return audit.ReplaceFile(filepath.Join(dir, backupManifest), func(w io.Writer) error { return indented(w, m) })
}

func (m *manifest) counts() string {
	rows := make([]string, 0, len(m.Rows)+1)
	for _, part := range logcopy.Parts() {
		rows = append(rows, count(int(m.Rows[part]), string(part))) //nolint:gosec // a count
	}
	if m.Attachments != nil {
		rows = append(rows, count(m.Attachments.Objects, "attachment"))
	}
	return strings.Join(rows, ", ")
}

// remarks says what a restore of the backup will lack.
func (m *manifest) remarks() (text string) {
	if !m.SigningKey {
		text += "It does not hold signing.key: without that key, a restore logs everyone out.\n"
	}
	if m.Attachments == nil {
		text += "It does not hold the attachments.\n"
	}
	return text
}

// removeDatabase removes an SQLite file and the files beside it.
func removeDatabase(path string) (err error) {
	for _, end := range []string{"", "-wal", "-shm", "-journal", ".lock"} {
		if e := os.Remove(path + end); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
