package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"gotong.dev/gotong"
)

// Why a database is rejected when it is opened.
var (
	// ErrNewerSchema: a newer version of the program made this schema.
	ErrNewerSchema = errors.New("store: the database has a newer schema than this program knows; " +
		"start the version that made it, or restore a backup")
	// ErrChangedSchema: a migration that was applied differs from that of this
	// program.
	ErrChangedSchema = errors.New("store: a migration that was applied differs from the one in this program; " +
		"the schema cannot be trusted")
	// ErrForeign: the database holds tables of another program.
	ErrForeign = errors.New("store: the database belongs to another program; name another one")
	// ErrHeader: the log is hashed with another header version.
	ErrHeader = errors.New("store: the log was written with another header version than " +
		strconv.Itoa(gotong.HeaderVersion) + ", the only one this program reads, and nothing converts it; " +
		"keep it with the program that wrote it and start a new store")
)

// HeaderName is the name under which adapters store the log's header version.
const HeaderName = "header"

// CheckHeader returns [ErrHeader] unless the header version of a log is that of
// the program. An empty one is of a program that did not store it yet.
func CheckHeader(version string) error {
	if version != strconv.Itoa(gotong.HeaderVersion) {
		return ErrHeader
	}
	return nil
}

// Migration is one numbered step of an adapter's schema.
type Migration struct {
	Number   int
	Name     string // of its file
	Text     string
	Checksum string // SHA-256 of the text, in hex
}

// Migrations returns the files that a pattern matches, named 0001_…, 0002_… and
// so on without a gap.
func Migrations(from fs.FS, pattern string) ([]Migration, error) {
	names, err := fs.Glob(from, pattern) // sorted
	if err != nil {
		return nil, err
	}
	list := make([]Migration, 0, len(names))
	for i, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		base := path.Base(name)
		digits, _, _ := strings.Cut(base, "_")
		if n, err := strconv.Atoi(digits); err != nil || n != i+1 {
			return nil, fmt.Errorf("store: migration %s is not number %d", base, i+1)
		}
		sum := sha256.Sum256(text)
		list = append(list, Migration{i + 1, base, string(text), hex.EncodeToString(sum[:])})
	}
	return list, nil
}

// CheckApplied compares entry n (from 0) of a database's ledger with the
// program's migrations, by number, name and checksum.
func CheckApplied(list []Migration, n, number int, name, checksum string) error {
	switch {
	case number > len(list):
		return fmt.Errorf("%w (found %s, known up to %d)", ErrNewerSchema, name, len(list))
	case number != n+1 || checksum != list[n].Checksum:
		return fmt.Errorf("%w (%s)", ErrChangedSchema, name)
	}
	return nil
}
