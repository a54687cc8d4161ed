package sqlite

import (
	"embed"
	"fmt"

	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

//go:embed migrations/*.sql
var embedded embed.FS

const ledger = `CREATE TABLE IF NOT EXISTS migrations (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    applied_at TEXT NOT NULL
) STRICT`

// migrate brings the schema up to date, each step in its own transaction, and
// refuses a schema that is not of this program.
func migrate(c *conn, list []store.Migration) error {
	if err := c.once(ledger); err != nil {
		return err
	}
	applied := 0
	err := c.query("SELECT number, name, checksum FROM migrations ORDER BY number", func(row *sqlite.Stmt) error {
		err := store.CheckApplied(list, applied, row.ColumnInt(0), row.ColumnText(1), row.ColumnText(2))
		applied++
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range list[applied:] {
		if err := apply(c, m); err != nil {
			return fmt.Errorf("sqlite: migration %s: %w", m.Name, err)
		}
	}
	return nil
}

// checkHeader rejects a log that is hashed another way; a file that is not yet
// made has none. It comes before the migrations, whose checksums differ then too.
func checkHeader(c *conn) error {
	made := false
	err := c.query("SELECT 1 FROM sqlite_schema WHERE name = 'meta'", func(*sqlite.Stmt) error { made = true; return nil })
	if err != nil || !made {
		return err
	}
	version, err := readMeta(c, store.HeaderName)
	if err != nil {
		return err
	}
	return store.CheckHeader(version)
}

func apply(c *conn, m store.Migration) (err error) {
	end, err := sqlitex.ImmediateTransaction(c.db)
	if err != nil {
		return err
	}
	defer end(&err)
	if err := sqlitex.ExecuteScript(c.db, m.Text, nil); err != nil {
		return err // which end sees
	}
	return c.exec("INSERT INTO migrations VALUES (?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ'))", m.Number, m.Name, m.Checksum)
}
