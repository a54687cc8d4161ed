package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/config"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/regular"
	"gotong.dev/gotong/internal/store"
)

type restoreCmd struct {
	config.Config
	From   string `arg:"" name:"directory" help:"A directory that gotong backup made." type:"existingdir"`
	Verify bool   `name:"verify" help:"At the end, read everything again from the disk: chains, documents, attachments, and the heads and counts of the manifest."`
	Keep   bool   `name:"keep-logins" help:"Keep logins, tickets and tokens of other issuers from before the backup valid."`
	JSON   bool   `name:"json" help:"Print the result as JSON."`
}

func (*restoreCmd) Help() string {
	return `Restores a backup into an empty data directory, or into an empty database. Every part is compared with the
manifest, every line of the log is checked, and the restored log is compared with it event by event. A damaged backup
is rejected with the first bad event. Then a new epoch begins: cursors that clients got after the backup are rejected
(epoch_changed), and they read anew. All logins end, as with gotong epoch new.

If it is interrupted, run the same command again: it resumes. The server's database appears when all is done.

Exit codes: 0 restored, 1 failed or damaged, 2 wrong use.

Examples:

    gotong restore --verify --data /var/lib/gotong /backup/gotong-2026-01-31
    gotong restore --verify --config /etc/gotong.yaml --json /backup/gotong-2026-01-31`
}

// restored is the result of a restore.
type restored struct {
	Store    string `json:"store"`
	Verified bool   `json:"verified"`
	Logins   int    `json:"logins_ended"`
	manifest
	New gotong.Epoch `json:"new_epoch"`
}

// restoring is the directory in that of the data where a database is until all of it
// is restored. No server finds it there.
const restoring = "restoring"

func (c *restoreCmd) Run(ctx context.Context, std *stdio) error {
	if err := checkStoreOf(&c.Config); err != nil {
		return err
	}
	m, err := readManifest(c.From)
	if err != nil {
		return err
	}
	address, final, err := c.target()
	if err != nil {
		return err
	}
	bar := &stages{std: std}
	defer bar.clear()
	file, err := logcopy.OpenFile(ctx, filepath.Join(c.From, backupLog), copyOptions(bar))
	if err == nil {
		err = m.checkParts(c.From)
	}
	if err != nil {
		return c.again(ctx, fmt.Errorf("%s: %w", c.From, err))
	}
	if final != "" {
		if err := os.MkdirAll(filepath.Join(c.Data, restoring), 0o700); err != nil {
			return err
		}
	}
	result := restored{manifest: *m}
	if err := c.restore(ctx, address, file, &result, bar); err != nil {
		return c.again(ctx, err)
	}
	if final != "" {
		result.Store = "sqlite:" + final
		if err := c.appear(final); err != nil {
			return err
		}
	}
	bar.clear()
	return c.print(std, &result)
}

func (c *restoreCmd) again(ctx context.Context, err error) error {
	if errors.Is(err, logcopy.ErrFile) && ctx.Err() == nil {
		return &failure{err: err, code: 1, hint: "an older backup; this one is damaged"}
	}
	return again(ctx, err)
}

// target returns the address into which to restore and, for an SQLite file, the
// place where it appears at the end.
func (c *restoreCmd) target() (address, final string, err error) {
	path, ok := app.StoreFile(c.StoreURL())
	if ok && filepath.Clean(filepath.Dir(path)) != filepath.Clean(c.Data) {
		return "", "", misuse("--data alone", "the database must be in the data directory")
	}
	allowed := []string{}
	if ok {
		allowed = []string{restoring}
		if _, err := os.Stat(filepath.Join(c.Data, restoring)); err == nil {
			allowed = append(allowed, backupFiles, backupKey, backupKey+".part")
		}
	}
	entries, err := os.ReadDir(c.Data)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", "", err
	}
	for _, e := range entries {
		if !slices.Contains(allowed, e.Name()) && (ok || e.Name() == backupKey) {
			return "", "", misuse("an empty directory", "%s is not empty: it has %s", c.Data, e.Name())
		}
	}
	if !ok {
		return c.StoreURL(), "", nil
	}
	return "sqlite:" + filepath.ToSlash(filepath.Join(c.Data, restoring, filepath.Base(path))), path, nil
}

// restore fills the store and what is beside it, and begins the new epoch last.
func (c *restoreCmd) restore(ctx context.Context, address string, file *logcopy.File, r *restored, bar *stages) (err error) {
	s, err := trust{UnsafeEngine: c.UnsafeEngine, AllowUntested: c.AllowUntested}.open(ctx, address, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	state, err := s.State(ctx)
	if err != nil {
		return err
	}
	eras := file.About().Eras
	renewed := state.Progress == "" && len(state.Eras) == len(eras)+1 && slices.Equal(state.Eras[:len(eras)], eras)
	if !renewed { // by an earlier run
		if _, err := logcopy.Run(ctx, file, s, copyOptions(bar)); err != nil {
			return err
		}
	}
	var ledger files.Ledger
	heads := logHeads{}
	o := copyOptions(bar)
	o.See = heads.see(&ledger)
	if err := c.beside(ctx, file, o, &ledger, r, bar); err != nil {
		return err
	}
	if !maps.Equal(heads, r.Heads) {
		return errors.New("the heads of the log are not those of the manifest")
	}
	if r.Logins, err = c.renew(ctx, s, eras); err != nil {
		return err
	}
	r.Store = s.name
	if state, err = s.State(ctx); err != nil {
		return err
	}
	r.New = state.Eras.Epoch()
	if c.Verify {
		err = c.verify(ctx, s, r, bar)
	}
	return err
}

// beside restores the attachments and the signing key.
func (c *restoreCmd) beside(
	ctx context.Context, file *logcopy.File, o logcopy.Options, ledger *files.Ledger, r *restored, bar *stages,
) error {
	if _, err := logcopy.Scan(ctx, file, o); err != nil {
		return err
	}
	if r.Attachments != nil && ledger.Tally().Objects > 0 {
		from, err := app.OpenBytes(ctx, filepath.Join(c.From, backupFiles), false)
		if err != nil {
			return err
		}
		to, err := app.OpenBytes(ctx, c.FilesPlace(), true)
		if err != nil {
			return err
		}
		tally, err := ledger.Move(ctx, from, to, attachments(bar.show))
		if err != nil {
			return err
		}
		if faults := faultsOf(&tally); faults != "" {
			return errors.New(faults)
		}
		r.Attachments = &tally
	}
	if !r.SigningKey {
		return nil
	}
	text, err := regular.ReadFile(filepath.Join(c.From, backupKey))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	return audit.ReplaceFile(filepath.Join(c.Data, backupKey), func(w io.Writer) error { _, err := w.Write(text); return err })
}

// renew ends the logins and begins a new epoch, unless an earlier run has.
func (c *restoreCmd) renew(ctx context.Context, s *place, eras store.Eras) (logins int, err error) {
	state, err := s.State(ctx)
	if err != nil || len(state.Eras) > len(eras) {
		return 0, err
	}
	if !c.Keep {
		if logins, err = auth.EndLogins(ctx, s, now()); err != nil {
			return 0, err
		}
	}
	return logins, s.Renew(ctx, store.NewEpoch())
}

// verify reads what was restored and compares it with the manifest.
func (c *restoreCmd) verify(ctx context.Context, s *place, r *restored, bar *stages) error {
	source, err := logcopy.FromSnapshot(ctx, s)
	if err != nil {
		return err
	}
	var ledger files.Ledger
	heads := logHeads{}
	o := copyOptions(bar)
	o.See = heads.see(&ledger)
	rows, err := logcopy.Scan(ctx, source, o)
	if err != nil {
		return err
	}
	for _, part := range []logcopy.Part{logcopy.Streams, logcopy.Events, logcopy.Noops, logcopy.Claims} {
		if rows[part] != r.Rows[part] {
			return fmt.Errorf("rows of sort %q: %d restored, %d in the manifest", part, rows[part], r.Rows[part])
		}
	}
	if !maps.Equal(heads, r.Heads) {
		return errors.New("the heads of the restored log are not those of the manifest")
	}
	if r.Attachments != nil && ledger.Tally().Objects > 0 {
		tally, err := verifyFiles(ctx, c.FilesPlace(), &ledger, s, bar.show)
		if err != nil {
			return err
		}
		if faults := faultsOf(tally); faults != "" {
			return errors.New(faults)
		}
	}
	r.Verified = true
	return nil
}

// appear moves the database to its place.
func (c *restoreCmd) appear(final string) error {
	dir := filepath.Join(c.Data, restoring)
	if _, err := os.Lstat(final); err == nil {
		return fmt.Errorf("%s has appeared meanwhile", final)
	}
	if err := os.Rename(filepath.Join(dir, filepath.Base(final)), final); err != nil {
		return err
	}
	parent := filepath.Dir(final)
	return errors.Join(regular.SyncDir(parent), os.RemoveAll(dir), regular.SyncDir(parent))
}

func (c *restoreCmd) print(std *stdio, r *restored) error {
	if c.JSON {
		return indented(std.out, r)
	}
	how := ""
	if r.Verified {
		how = ", and read again from the disk"
	}
	_, err := fmt.Fprintf(std.out, "%s: %s, compared event by event%s.\nThe new epoch is %s; logins that have ended: %d.\n%s%s",
		r.Store, r.counts(), how, r.New, r.Logins, r.remarks(),
		"Start the server once with --checkpoints-new, or with --accept-rollback if its checkpoints are still there.\n")
	return err
}

// readManifest reads the manifest of a backup.
func readManifest(dir string) (*manifest, error) {
	text, err := regular.ReadFile(filepath.Join(dir, backupManifest))
	if errors.Is(err, os.ErrNotExist) {
		return nil, misuse("a directory that gotong backup made", "%s has no %s", dir, backupManifest)
	}
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var m manifest
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%s: %s is damaged: %w", dir, backupManifest, err)
	}
	if m.Format != backupFormat {
		return nil, fmt.Errorf("%s has format %d, and this program reads format %d", dir, m.Format, backupFormat)
	}
	return &m, nil
}

// checkParts compares the parts with the manifest.
func (m *manifest) checkParts(dir string) error {
	want := []string{backupLog}
	if m.SigningKey {
		want = append(want, backupKey)
	}
	names := make([]string, 0, len(m.Parts))
	for _, p := range m.Parts {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, want) {
		return fmt.Errorf("%w: the manifest lists the parts %q", logcopy.ErrFile, names)
	}
	for _, p := range m.Parts {
		if err := p.check(dir); err != nil {
			return err
		}
	}
	return nil
}

func (p *backupPart) check(dir string) error {
	f, err := os.Open(filepath.Join(dir, p.Name)) //nolint:gosec // the operator's own path, and a name that was checked
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err == nil && (n != p.Bytes || hex.EncodeToString(h.Sum(nil)) != p.SHA256) {
		err = fmt.Errorf("%w: %s has another hash than in the manifest", logcopy.ErrFile, p.Name)
	}
	return err
}
