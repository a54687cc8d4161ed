package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gotong.dev/gotong/internal/regular"
	"gotong.dev/gotong/proof"
)

// ErrInUse means that another process uses the directory of checkpoints.
var ErrInUse = errors.New("audit: the directory of checkpoints is in use")

// ErrKey means that the keys of a directory do not allow the request.
var ErrKey = errors.New("audit: the keys were not changed")

// Lock creates the directory if it does not exist, and takes the one right to
// write in it until the file is closed or the process ends.
func Lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's own path
	if err != nil {
		return nil, err
	}
	locked, err := regular.Lock(f)
	if err == nil && !locked {
		err = fmt.Errorf("%w: %s; stop the server that uses it, or use another directory", ErrInUse, dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// NewKey makes the first key of a directory, for the instance, or a new one beside
// the key that is there, with which the next server then signs together. It
// overwrites none.
func NewKey(dir, instance string) (proof.Key, error) {
	old, err := ReadSigners(dir)
	first := errors.Is(err, ErrMissing)
	switch {
	case err != nil && !first:
		return proof.Key{}, err
	case len(old) > 1:
		return proof.Key{}, fmt.Errorf("%w: the directory has two already; retire the old one first", ErrKey)
	case first && instance == "":
		return proof.Key{}, fmt.Errorf("%w: the first key of a directory needs the name of the instance", ErrKey)
	case !first && instance != "" && instance != old[0].Instance():
		return proof.Key{}, fmt.Errorf("%w: the key in the directory is of the instance %s", ErrKey, old[0].Instance())
	case !first:
		instance = old[0].Instance()
	}
	text, err := proof.NewSigner(instance)
	if err != nil {
		return proof.Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	path := filepath.Join(dir, KeyFile)
	was, err := regular.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return proof.Key{}, err
	}
	s, err := proof.ParseSigner(text)
	if err == nil {
		err = writeFile(path, []byte(text+"\n"+string(was)))
	}
	return s.Key, err
}

// RetireKeys removes all keys but the newest one from a directory, with which the
// server must have signed every checkpoint.
func RetireKeys(dir string) (retired []proof.Key, err error) {
	signers, pinned, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	if len(signers) == 1 {
		return nil, fmt.Errorf("%w: the directory has only one", ErrKey)
	}
	for p := range pinned {
		if _, err := proof.Open(pinned[p].Note, proof.Trust{Keys: KeysOf(signers[:1])}); err != nil {
			return nil, fmt.Errorf("%w: the new one has not signed partition %d; start the server with both first", ErrKey, p)
		}
	}
	path := filepath.Join(dir, KeyFile)
	was, err := regular.ReadFile(path)
	if err != nil {
		return nil, err
	}
	newest, _, _ := strings.Cut(strings.TrimSpace(string(was)), "\n")
	return KeysOf(signers[1:]), writeFile(path, []byte(newest+"\n"))
}
