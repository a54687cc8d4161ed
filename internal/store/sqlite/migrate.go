package sqlite

import (
	"embed"
	"errors"
	"fmt"

	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
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

// applicationID marks the file as this program's, in its header: "Gotg".
const applicationID = 0x476f7467

func ownerOf(c *conn) (id int, err error) {
	err = c.query("PRAGMA application_id", func(row *sqlite.Stmt) error { id = row.ColumnInt(0); return nil })
	return id, err
}

// checkOwner rejects the file of another program before anything is written to
// it. One without tables is new; one without the mark but with the first
// migration is of a program from before there was a mark.
func checkOwner(c *conn) error {
	id, err := ownerOf(c)
	tables, older := 0, false
	err = errors.Join(err, c.query("SELECT count(*) FROM sqlite_schema", func(row *sqlite.Stmt) error {
		tables = row.ColumnInt(0)
		return nil
	}))
	if err != nil || id == applicationID || id == 0 && tables == 0 {
		return err
	}
	err = c.query("SELECT 1 FROM migrations WHERE name = '0001_log.sql'", func(*sqlite.Stmt) error { older = true; return nil })
	if err == nil && older && id == 0 {
		return store.ErrHeader
	}
	return store.ErrForeign
}

// migrate brings the schema up to date, each step in its own transaction, and
// refuses a schema that is not of this program.
func migrate(c *conn, list []store.Migration) error {
	id, err := ownerOf(c)
	if err == nil && id != applicationID {
		err = c.once(fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	}
	if err == nil {
		err = c.once(ledger)
	}
	if err != nil {
		return err
	}
	applied, err := applied(c, list)
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

// applied returns how many of the migrations the file has. It fails if it has
// others.
func applied(c *conn, list []store.Migration) (n int, err error) {
	err = c.run(func(b *batch) { sqlstore.ReadApplied(b, list, &n) })
	return n, err
}

// upToDate fails unless the file is of this program and needs no migration.
func upToDate(c *conn, list []store.Migration) error {
	if id, err := ownerOf(c); err != nil || id != applicationID {
		return errors.Join(err, store.ErrForeign)
	}
	n, err := applied(c, list)
	if err == nil && n < len(list) {
		err = errors.New("sqlite: the file has the schema of an earlier version; start the server once to bring it up to date")
	}
	return err
}

// checkHeader rejects a log that is hashed another way; a file that is not yet
// made has none. It comes before the migrations, whose checksums differ then too.
func checkHeader(c *conn) error {
	made := false
	err := c.query("SELECT 1 FROM sqlite_schema WHERE name = 'meta'", func(*sqlite.Stmt) error { made = true; return nil })
	if err != nil || !made {
		return err
	}
	meta, err := readMeta(c)
	if err != nil {
		return err
	}
	return store.CheckHeader(meta[store.HeaderName])
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
