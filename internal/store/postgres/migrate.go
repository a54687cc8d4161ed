package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

//go:embed migrations/*.sql
var embedded embed.FS

const ledger = `CREATE TABLE IF NOT EXISTS migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)`

// migrationLock is the advisory lock of the node that brings the schema up to date:
// "Gotg".
const migrationLock = 0x476f7467

// migrate brings the schema up to date, whatever other nodes do meanwhile: of nodes that
// start at once, one does it. It returns [primary.ErrServer], [store.ErrForeign], [store.ErrHeader],
// [store.ErrNewerSchema] or [store.ErrChangedSchema] if the database must not be used.
func migrate(ctx context.Context, tx pgx.Tx) error {
	list, err := store.Migrations(embedded, "migrations/*.sql")
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", migrationLock); err != nil {
		return err
	}
	if err := checkOwner(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, ledger); err != nil {
		return err
	}
	applied, b := 0, &batch{}
	sqlstore.ReadApplied(b, list, &applied)
	if err := tx.SendBatch(ctx, &b.Batch).Close(); err != nil {
		return err
	}
	for _, m := range list[applied:] {
		if _, err := tx.Exec(ctx, m.Text); err != nil { // without arguments, so it may hold several statements
			return fmt.Errorf("postgres: migration %s: %w", m.Name, err)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO migrations VALUES ($1, $2, $3)", m.Number, m.Name, m.Checksum); err != nil {
			return err
		}
	}
	return nil
}

// openEras reads the epochs of this log, or begins the first one.
func (s *Store) openEras(ctx context.Context, tx pgx.Tx) error {
	meta, b := map[string]string{}, &batch{}
	sqlstore.ReadMeta(b, meta)
	if err := tx.SendBatch(ctx, &b.Batch).Close(); err != nil {
		return err
	}
	b = &batch{}
	eras, err := sqlstore.OpenEras(b, meta)
	if err != nil {
		return err
	}
	s.SetEras(eras)
	return tx.SendBatch(ctx, &b.Batch).Close()
}

// checkOwner rejects an empty schema that hides a log, one with tables of another program, and a log that is
// hashed another way. It comes before the migrations, whose checksums differ then too.
func checkOwner(ctx context.Context, tx pgx.Tx) error {
	var tables int
	var meta, migrations bool
	var elsewhere *string
	err := tx.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE relname = 'meta') > 0,
		count(*) FILTER (WHERE relname = 'migrations') > 0,
		(SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass('events_unchanged'))
		FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')`).
		Scan(&tables, &meta, &migrations, &elsewhere)
	switch {
	case err != nil:
		return err
	case tables == 0 && elsewhere != nil: // new tables would hide those of the nodes that run
		return fmt.Errorf("%w: the first schema of the search_path is empty, and the log is in %s; ALTER ROLE … SET search_path = %s",
			primary.ErrServer, *elsewhere, *elsewhere)
	case tables == 0:
		return nil
	case !meta || !migrations:
		return store.ErrForeign
	}
	var version string
	err = tx.QueryRow(ctx, "SELECT value FROM meta WHERE name = $1", store.HeaderName).Scan(&version)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%w: %w", store.ErrForeign, err)
	}
	return store.CheckHeader(version)
}
