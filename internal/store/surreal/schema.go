package surreal

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

//go:embed schema/*.surql
var embedded embed.FS

const ledger = `DEFINE TABLE IF NOT EXISTS migration SCHEMAFULL PERMISSIONS NONE;
DEFINE FIELD IF NOT EXISTS name ON migration TYPE string;
DEFINE FIELD IF NOT EXISTS checksum ON migration TYPE string;
DEFINE FIELD IF NOT EXISTS applied ON migration TYPE datetime`

// migrate brings the schema up to date. Each step is a transaction that also
// creates the step's record: of nodes that start at once, one carries it out, and
// the others find the record.
func migrate(ctx context.Context, db *surreal.Client, list []store.Migration) error {
	for tries := 0; ; tries++ {
		applied, err := ledgerOf(ctx, db, list)
		if err == nil && applied == len(list) {
			return nil
		}
		if err == nil {
			m := list[applied]
			err = db.Exec(ctx, "BEGIN;\n"+
				"CREATE $id SET name = $name, checksum = $checksum, applied = time::now() RETURN NONE;\n"+
				dialect(db.Version(), m.Text)+"COMMIT;",
				surreal.Vars{"id": surreal.Record("migration", m.Number), "name": m.Name, "checksum": m.Checksum})
			if err != nil {
				err = fmt.Errorf("migration %s: %w", m.Name, err)
			}
		}
		if err != nil && (tries >= store.MaxTries || !surreal.Conflict(err) && !surreal.Exists(err)) {
			return err
		}
		if err := store.Pause(ctx, tries); err != nil {
			return err
		}
	}
}

// ledgerOf returns how many migrations were applied, or an error for a schema that
// is not of this program.
func ledgerOf(ctx context.Context, db *surreal.Client, list []store.Migration) (int, error) {
	if err := db.Exec(ctx, ledger, nil); err != nil {
		return 0, err
	}
	var rows []struct {
		_        struct{} `cbor:",toarray"`
		Number   int
		Name     string
		Checksum string
	}
	err := db.Select(ctx, "SELECT VALUE [record::id(id), name, checksum] FROM migration:1..=9999", nil, &rows)
	if err != nil {
		return 0, err
	}
	for i, row := range rows {
		if err := store.CheckApplied(list, i, row.Number, row.Name, row.Checksum); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

// checkHeader rejects the database of another program, and a log that was hashed
// with another header version; an empty database passes. It runs before the check
// of the migrations, whose checksums would differ too.
func checkHeader(ctx context.Context, db *surreal.Client) error {
	tables, err := tablesOf(ctx, db)
	if err == nil && len(tables) > 0 && tables["migration"] == "" { // the first table that migrate creates
		return store.ErrForeign
	}
	if err != nil || tables["meta"] == "" {
		return failure(err)
	}
	var version []string
	vars := surreal.Vars{"id": surreal.Record("meta", store.HeaderName)}
	err = db.Select(ctx, "SELECT VALUE value FROM $id WHERE value != NONE", vars, &version)
	if err != nil {
		return failure(err)
	}
	return store.CheckHeader(strings.Join(version, " "))
}

// tablesOf returns the definitions of the database's tables, by name.
func tablesOf(ctx context.Context, db *surreal.Client) (map[string]string, error) {
	var info struct {
		Tables map[string]string `cbor:"tables"`
	}
	err := db.Select(ctx, "INFO FOR DB", nil, &info)
	return info.Tables, err
}

// makeCollections creates the tables that are missing.
func (s *Store) makeCollections(ctx context.Context) error {
	return s.again(ctx, func() error {
		tables, err := tablesOf(ctx, s.db)
		if err != nil {
			return err
		}
		var missing []string
		for name := range s.Collections {
			if tables["doc_"+name] == "" {
				missing = append(missing, "DEFINE TABLE IF NOT EXISTS doc_"+name+" SCHEMALESS PERMISSIONS NONE")
				if store.OfTexts(name) {
					missing = append(missing, indexOf(s.db.Version(), "doc_"+name))
				}
			}
		}
		if len(missing) == 0 {
			return nil
		}
		return s.db.Exec(ctx, strings.Join(missing, ";\n"), nil)
	})
}

// openEras reads the epochs of this history, or begins a history. The present
// epoch is also stored in a row of its own.
func (s *Store) openEras(ctx context.Context) error {
	first := store.FirstEra(store.NewEpoch())
	err := s.again(ctx, func() error {
		return s.db.Exec(ctx, "INSERT IGNORE INTO meta [{ id: meta:eras, value: $eras }, { id: meta:epoch, value: $epoch }] RETURN NONE",
			erasVars(first))
	})
	if err != nil {
		return err
	}
	return s.readEras(ctx)
}

func (s *Store) readEras(ctx context.Context) error {
	var kept []string
	if err := s.db.Select(ctx, "SELECT VALUE value FROM meta:eras", nil, &kept); err != nil {
		return failure(err)
	}
	eras, err := store.ParseEras(strings.Join(kept, " "))
	if err == nil {
		s.SetEras(eras)
	}
	return err
}

func erasVars(eras store.Eras) surreal.Vars {
	text, _ := json.Marshal(eras) //nolint:errchkjson // names and numbers always have a JSON form
	return surreal.Vars{"eras": string(text), "epoch": string(eras.Epoch())}
}

// again repeats a transaction while it collides with others.
func (s *Store) again(ctx context.Context, f func() error) error {
	return failure(store.Retry(ctx, f, surreal.Conflict))
}

// Why a server is rejected.
var (
	// ErrVersion: the release gates were not run against this version.
	ErrVersion = errors.New("surreal: this version of SurrealDB is not supported; " +
		"supported are " + Supported + "; --allow-untested accepts it")
	// ErrEngine: the storage engine is known to lose acknowledged writes.
	ErrEngine = errors.New("surreal: the server's storage engine is mem or surrealkv, which lose acknowledged writes " +
		"under contention; start it on rocksdb, or use --unsafe-engine for a trial")
)

// Supported is the list of tested versions.
const Supported = "2.6.x and 3.0.x"

func supported(v surreal.Version) bool {
	return v.Major == 2 && v.Minor == 6 || v.Major == 3 && v.Minor == 0
}

// full matches the errors of the engines when the disk is full.
var full = regexp.MustCompile(`(?i)no space left on device|disk (is )?full|out of space`)

func checkServer(ctx context.Context, db *surreal.Client, o Options) error {
	if v := db.Version(); !supported(v) && !o.AllowUntested {
		return fmt.Errorf("%w (the server says %q)", ErrVersion, v.Text)
	}
	if o.UnsafeEngine {
		return nil
	}
	safe, err := safeEngine(ctx, db)
	if err == nil && !safe {
		err = ErrEngine
	}
	return err
}

// safeEngine reports whether the engine is rocksdb or tikv, by the only difference
// that the wire shows: these cannot read the past and say so in these words, on
// 2.6 and 3.x; mem and surrealkv can, or return another error.
func safeEngine(ctx context.Context, db *surreal.Client) (bool, error) {
	results, err := db.Query(ctx, "INFO FOR DB VERSION d'2024-01-01T00:00:00Z'", nil)
	if err == nil {
		err = results.Err()
	}
	if e, ok := errors.AsType[*surreal.Error](err); ok {
		return strings.Contains(e.Text, "does not support versioned queries"), nil
	}
	return false, err
}

// rewrites are the spellings of 2.6 for those in the files of schema.
var rewrites = strings.NewReplacer("type::record(", "type::thing(")

func dialect(v surreal.Version, text string) string {
	if v.Major == 2 {
		return rewrites.Replace(text)
	}
	return text
}
