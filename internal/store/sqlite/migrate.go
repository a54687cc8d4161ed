package sqlite

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

//go:embed migrations/*.sql
var embedded embed.FS

// The ways in which a file's schema can be refused.
var (
	// ErrNewerSchema: a newer version of the program has written this file.
	ErrNewerSchema = errors.New("sqlite: the file has a newer schema than this program knows; " +
		"start the version that made it, or restore a backup")
	// ErrChangedMigration: a migration that was applied is not the one this
	// program has.
	ErrChangedMigration = errors.New("sqlite: a migration that was applied differs from the one in this program; " +
		"the schema cannot be trusted")
)

type migration struct {
	number   int
	name     string
	sql      string
	checksum string
}

// migrations reads the numbered files of a directory; the numbers are 1, 2, 3 …
func migrations(from fs.FS) ([]migration, error) {
	names, err := fs.Glob(from, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	list := make([]migration, 0, len(names))
	for i, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		base := strings.TrimPrefix(name, "migrations/")
		digits, _, _ := strings.Cut(base, "_")
		if n, err := strconv.Atoi(digits); err != nil || n != i+1 {
			return nil, fmt.Errorf("sqlite: migration %s is not number %d", base, i+1)
		}
		sum := sha256.Sum256(text)
		list = append(list, migration{i + 1, base, string(text), hex.EncodeToString(sum[:])})
	}
	return list, nil
}

const ledger = `CREATE TABLE IF NOT EXISTS migrations (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    applied_at TEXT NOT NULL
) STRICT`

// migrate brings the schema up to date, each step in its own transaction, and
// refuses a schema that is not of this program.
func migrate(c *conn, list []migration) error {
	if err := c.once(ledger); err != nil {
		return err
	}
	applied := 0
	err := c.query("SELECT number, name, checksum FROM migrations ORDER BY number", func(row *sqlite.Stmt) error {
		applied++
		number, name := row.ColumnInt(0), row.ColumnText(1)
		switch {
		case number > len(list):
			return fmt.Errorf("%w (found %s, known up to %d)", ErrNewerSchema, name, len(list))
		case number != applied || row.ColumnText(2) != list[number-1].checksum:
			return fmt.Errorf("%w (%s)", ErrChangedMigration, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range list[applied:] {
		if err := m.apply(c); err != nil {
			return fmt.Errorf("sqlite: migration %s: %w", m.name, err)
		}
	}
	return nil
}

func (m migration) apply(c *conn) (err error) {
	end, err := sqlitex.ImmediateTransaction(c.db)
	if err != nil {
		return err
	}
	defer end(&err)
	if err := sqlitex.ExecuteScript(c.db, m.sql, nil); err != nil {
		return err // which end sees
	}
	return c.exec("INSERT INTO migrations VALUES (?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ'))", m.number, m.name, m.checksum)
}
