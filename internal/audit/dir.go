package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/regular"
	"gotong.dev/gotong/proof"
)

// The files of a directory of checkpoints.
const (
	KeyFile         = "key"         // private keys, one a line; the first one is the newest
	CheckpointsFile = "checkpoints" // the newest checkpoint of every partition, as notes one after the other
)

// ErrMissing means that there are no checkpoints with which a log could be
// compared.
var ErrMissing = errors.New("audit: no complete set of checkpoints")

// ErrDamaged means that a file of checkpoints is there, and was changed or cut off,
// or is not signed with a key of its directory.
var ErrDamaged = errors.New("audit: damaged checkpoints")

// Pinned is the newest checkpoint of every partition.
type Pinned [gotong.Partitions]Pin

// Pin is a checkpoint with its note, and with the keys that are known to have
// signed it.
type Pin struct {
	Checkpoint proof.Checkpoint
	Note       []byte
	Keys       []proof.Key
}

// ReadSigners returns the private keys of a directory of checkpoints. It returns
// [ErrMissing] if there are none.
func ReadSigners(dir string) (signers []proof.Signer, err error) {
	b, err := regular.ReadFile(filepath.Join(dir, KeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrMissing, dir)
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		s, err := proof.ParseSigner(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; restore it, or move it away and start once with --checkpoints-new, which makes another key",
				filepath.Join(dir, KeyFile), err)
		}
		if signers = append(signers, s); s.Instance() != signers[0].Instance() {
			return nil, fmt.Errorf("%s: its keys belong to different instances", filepath.Join(dir, KeyFile))
		}
	}
	if len(signers) == 0 {
		return nil, fmt.Errorf("%w in %s: the file %s is empty", ErrMissing, dir, KeyFile)
	}
	return signers, nil
}

// KeysOf returns the public keys of signers.
func KeysOf(signers []proof.Signer) (keys []proof.Key) {
	for _, s := range signers {
		keys = append(keys, s.Key)
	}
	return keys
}

// ReadNotes returns the checkpoints of a file, at most one for each partition;
// those of missing partitions are zero. Each must have the signatures that the
// trust requires.
func ReadNotes(file []byte, trust proof.Trust) (p Pinned, err error) {
	for _, text := range proof.SplitNotes(string(file)) {
		opened, err := proof.Open([]byte(text), trust)
		if err != nil {
			return p, err
		}
		c := opened.Checkpoint
		at := &p[c.Origin.Partition]
		if at.Note != nil {
			return p, fmt.Errorf("%w: two checkpoints of partition %d", proof.ErrUnverified, c.Origin.Partition)
		}
		*at = Pin{c, []byte(text), opened.Keys}
	}
	return p, nil
}

// readDir returns what a directory holds. All of it must be there: a missing or
// unreadable file would hide a rollback.
func readDir(dir string) (signers []proof.Signer, p Pinned, err error) {
	if signers, err = ReadSigners(dir); err != nil {
		return nil, p, err
	}
	key := filepath.Join(dir, KeyFile)
	if info, err := os.Stat(key); err != nil || !regular.Private(info) {
		return nil, p, errors.Join(err, fmt.Errorf(
			"audit: other users of this machine can read %s and sign with it; run: chmod 600 %s", key, key))
	}
	text, err := regular.ReadFile(filepath.Join(dir, CheckpointsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return signers, p, fmt.Errorf("%w in %s: the file %s is missing", ErrMissing, dir, CheckpointsFile)
	}
	if err == nil {
		if p, err = ReadNotes(text, proof.Trust{Keys: KeysOf(signers)}); err != nil {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if err != nil {
		return signers, p, fmt.Errorf("%s: %w", filepath.Join(dir, CheckpointsFile), err)
	}
	for i := range p {
		if p[i].Note == nil {
			return signers, p, fmt.Errorf("%w in %s: the checkpoint of partition %d is missing", ErrMissing, dir, i)
		}
	}
	return signers, p, nil
}

// makeKey creates the directory with a new key, which only its owner can read.
func makeKey(dir, text string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, KeyFile), []byte(text+"\n"))
}

// String returns the notes, one after the other.
func (p *Pinned) String() string {
	var b strings.Builder
	for i := range p {
		b.Write(p[i].Note)
	}
	return b.String()
}

func (p *Pinned) write(dir, name string) error {
	return writeFile(filepath.Join(dir, name), []byte(p.String()))
}

func writeFile(path string, b []byte) error {
	return ReplaceFile(path, func(w io.Writer) error { _, err := w.Write(b); return err })
}

// ReplaceFile writes a file that only its owner may read, completely or not at
// all, and durably: it and its directory are synced when it returns nil.
func ReplaceFile(path string, write func(io.Writer) error) (err error) {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator's own path
	if err != nil {
		return err
	}
	err = errors.Join(f.Chmod(0o600), write(f))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return regular.SyncDir(filepath.Dir(path))
}
