package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/bus/redis"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/regular"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/surreal"
	client "gotong.dev/gotong/internal/surreal"
)

// report is what a start reports to operators: what it created, and what they
// should know about the store.
type report struct {
	created, notes []string
	guard          *primary.Guard // of a PostgreSQL
}

// openStore opens the store of the configuration for a server. It rejects an
// unfinished copy. The clock of a database must agree with compared; nil: with none.
func openStore(
	ctx context.Context, cfg *config.Config, kinds []gotong.Kind, now, compared func() gotong.Instant, observe func(int) func(),
	log *slog.Logger,
) (store.Whole, report, error) {
	s, r, err := openAs(ctx, cfg.StoreURL(), kinds, now, surreal.Options{
		Clock: compared, Observe: observe, UnsafeEngine: cfg.UnsafeEngine, AllowUntested: cfg.AllowUntested,
	}, cfg.Data, false, log)
	if err != nil {
		return nil, report{}, err
	}
	state, err := s.State(ctx)
	if err == nil && state.Progress != "" {
		err = fmt.Errorf("%w: run the same gotong copy or import-log again; it resumes where it stopped", store.ErrUnfinished)
	}
	if err != nil {
		return nil, report{}, errors.Join(err, s.Close())
	}
	if state.Sealed != "" {
		r.notes = append(r.notes, "This store is sealed ("+state.Sealed+") and can only be read; gotong copy --unseal removes the seal")
	}
	return s, r, nil
}

// CheckStore returns what is wrong with the address of a store. It connects to
// nothing.
func CheckStore(address string) error {
	err := config.CheckStore(address)
	switch u, _ := url.Parse(address); {
	case err != nil:
		return err
	case strings.HasPrefix(u.Scheme, client.Scheme):
		_, err = client.Parse(address)
	case config.OnPostgres(address):
		err = postgres.CheckAddress(address)
	}
	return err
}

// CheckConfig is [config.Config.Check] with the checks that only the packages
// that use a value can make: of databases' addresses and of keys.
func CheckConfig(cfg *config.Config) (warnings []string, err error) {
	if warnings, err = cfg.Check(); err != nil {
		return warnings, err
	}
	var faults []error
	if err := CheckStore(cfg.StoreURL()); err != nil {
		faults = append(faults, fmt.Errorf("store: %w", err))
	}
	if cfg.Redis != "" {
		faults = append(faults, redis.CheckURL(cfg.Redis)) // whose error names the setting
	}
	if err := CheckFiles(cfg.Files); err != nil {
		faults = append(faults, fmt.Errorf("files: %w", err))
	}
	if needsSigningKey(cfg) {
		faults = append(faults, ErrSigningKey) // names it too
	}
	_, err = tracksOf(cfg)
	keys, fault := keysOf(cfg)
	faults = append(faults, err, fault)
	if _, err := audit.ParseWitnesses(cfg.Witnesses, cfg.WitnessQuorum); err != nil {
		faults = append(faults, fmt.Errorf("witness: %w", err))
	}
	for i, k := range keys {
		if err := k.Check(); err != nil {
			faults = append(faults, fmt.Errorf("jwt-keys[%d]: %w", i, err))
		}
	}
	return warnings, errors.Join(faults...)
}

// Trust says what a tool may open.
type Trust struct {
	UnsafeEngine  bool // a database that may lose acknowledged writes
	AllowUntested bool // a version of SurrealDB that nobody has tested
	ReadOnly      bool // an SQLite file for reading only, also while a server has it open
}

// OpenStore opens the store with this address for a tool, also if a copy into it
// is unfinished.
func OpenStore(
	ctx context.Context, address string, kinds []gotong.Kind, now func() gotong.Instant, trust Trust,
) (store.Whole, error) {
	o := surreal.Options{UnsafeEngine: trust.UnsafeEngine, AllowUntested: trust.AllowUntested}
	s, _, err := openAs(ctx, address, kinds, now, o, "", trust.ReadOnly, nil)
	return s, err
}

// StoreProperties returns the properties of the store with this address; ok is
// false if no adapter has its scheme.
func StoreProperties(address string) (p store.Properties, ok bool) {
	u, err := url.Parse(address)
	if err != nil {
		return p, false
	}
	switch u.Scheme {
	case "memory":
		return memory.Properties, true
	case "sqlite":
		return sqlite.Properties, true
	case client.Scheme, client.SchemeTLS:
		return surreal.Properties, true
	case config.Postgres, config.PostgreSQL:
		return postgres.Properties, true
	default:
		return p, false
	}
}

// openAs opens a store. data is the data directory of a server, "" for a tool.
func openAs(
	ctx context.Context, address string, kinds []gotong.Kind, now func() gotong.Instant, shared surreal.Options, data string, readOnly bool,
	log *slog.Logger,
) (s store.Whole, r report, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, r, errors.New("store: the address is malformed")
	}
	switch u.Scheme {
	case "memory":
		return memory.New("", memory.Options{Now: now}), r, nil
	case "sqlite":
		path := pathOf(u)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			r.created = []string{"The database " + path}
		}
		s, err = sqlite.Open(ctx, path, sqlite.Options{
			Collections: collections(kinds), Now: now, Observe: shared.Observe, ReadOnly: readOnly,
		})
		return s, r, err
	case client.Scheme, client.SchemeTLS:
		cfg, err := client.Parse(address)
		if err != nil {
			return nil, r, fmt.Errorf("store: %w", err)
		}
		shared.Collections, shared.Now = collections(kinds), now
		s, err := surreal.Open(ctx, cfg, shared)
		if err != nil {
			return nil, r, err
		}
		r.notes = []string{"Whether acknowledged writes survive a power loss depends on the database: " + surreal.Properties.Synced.Why}
		return s, r, nil
	case config.Postgres, config.PostgreSQL:
		s, err := openPostgres(ctx, address, data, postgres.Options{
			Collections: collections(kinds), Now: now, Clock: shared.Clock, Observe: shared.Observe,
			Servers: primary.Options{Unsafe: shared.UnsafeEngine, Log: log},
		})
		if err != nil {
			return nil, r, err
		}
		r.notes, r.guard = s.Notes(), s.Guard()
		return s, r, nil
	default:
		return nil, r, fmt.Errorf("store: there is no adapter for %q; use sqlite:PATH, postgres://…, surreal://… or memory: for a trial",
			u.Scheme)
	}
}

// primaryFile is the file of the data directory that names the primary that this node used
// last.
const primaryFile = "primary"

func openPostgres(ctx context.Context, address, data string, o postgres.Options) (*postgres.Store, error) {
	path := filepath.Join(data, primaryFile)
	if _, err := os.Stat(data); err != nil { // a tool, perhaps on another machine
		return postgres.Open(ctx, address, o)
	}
	kept, err := regular.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	o.Servers.Kept = string(kept)
	o.Servers.Keep = func(primary string) error {
		return audit.ReplaceFile(path, func(w io.Writer) error { _, err := io.WriteString(w, primary); return err })
	}
	s, err := postgres.Open(ctx, address, o)
	if errors.Is(err, primary.ErrTimeline) && len(kept) > 0 {
		err = fmt.Errorf("%w; if you have restored or moved the database, or if the file is damaged, delete %s", err, path)
	}
	return s, err
}

// pathOf returns the file that an address of SQLite names.
func pathOf(u *url.URL) string { return filepath.FromSlash(u.Host + u.Path + u.Opaque) }

// sqlitePath returns the file of the database; false if the store is not a file.
func sqlitePath(cfg *config.Config) (string, bool) { return StoreFile(cfg.StoreURL()) }

// StoreFile returns the file that the address of a store names; false if it names
// none.
func StoreFile(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "sqlite" {
		return "", false
	}
	return pathOf(u), true
}
