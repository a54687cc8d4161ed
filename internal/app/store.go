package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus/redis"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/surreal"
	client "gotong.dev/gotong/internal/surreal"
)

// told is what opening a store has to say to people: what was not there
// before, and what to know of it.
type told struct{ made, notes []string }

// openStore opens the configuration's store for a server, which takes none
// that is half a copy.
func openStore(
	ctx context.Context, cfg *config.Config, kinds []gotong.Kind, now func() gotong.Instant, observe func(int) func(),
) (store.Whole, told, error) {
	s, say, err := openAs(ctx, cfg.StoreURL(), kinds, now, surreal.Options{
		Clock: now, Observe: observe, UnsafeEngine: cfg.UnsafeEngine, AllowUntested: cfg.AllowUntested,
	})
	if err != nil {
		return nil, told{}, err
	}
	state, err := s.State(ctx)
	if err == nil && state.Progress != "" {
		err = fmt.Errorf("%w: run the same gotong copy or import-log again; it resumes where it stopped", store.ErrUnfinished)
	}
	if err != nil {
		return nil, told{}, errors.Join(err, s.Close())
	}
	if state.Sealed != "" {
		say.notes = append(say.notes, "This store is sealed ("+state.Sealed+") and can only be read; gotong copy --unseal removes the seal")
	}
	return s, say, nil
}

// CheckStore reports what is wrong with the address of a store, before anybody
// is asked.
func CheckStore(address string) error {
	err := config.CheckStore(address)
	if u, _ := url.Parse(address); err == nil && strings.HasPrefix(u.Scheme, client.Scheme) {
		_, err = client.Parse(address)
	}
	return err
}

// CheckConfig is [config.Config.Check] with what only the packages that use a
// value know of it: databases of their addresses, the door of its keys.
func CheckConfig(cfg *config.Config) (warnings []string, err error) {
	if warnings, err = cfg.Check(); err != nil {
		return warnings, err
	}
	var faults []error
	if err := CheckStore(cfg.StoreURL()); err != nil {
		faults = append(faults, fmt.Errorf("store: %w", err))
	}
	if cfg.Redis != "" {
		faults = append(faults, redis.CheckURL(cfg.Redis)) // which names the key
	}
	if needsSigningKey(cfg) {
		faults = append(faults, ErrSigningKey) // so does this
	}
	keys, err := keysOf(cfg)
	faults = append(faults, err)
	for i, k := range keys {
		if err := k.Check(); err != nil {
			faults = append(faults, fmt.Errorf("jwt-keys[%d]: %w", i, err))
		}
	}
	return warnings, errors.Join(faults...)
}

// Trust is what a tool takes of a SurrealDB that a server refuses by default.
type Trust struct {
	UnsafeEngine  bool // an engine that may lose acknowledged writes
	AllowUntested bool // a version that nobody has tested
}

// OpenStore opens what a store's address means, as tools see it.
func OpenStore(
	ctx context.Context, address string, kinds []gotong.Kind, now func() gotong.Instant, trust Trust,
) (store.Whole, error) {
	s, _, err := openAs(ctx, address, kinds, now, surreal.Options{UnsafeEngine: trust.UnsafeEngine, AllowUntested: trust.AllowUntested})
	return s, err
}

// StoreProperties are those of the store that an address means; ok is false
// where no adapter has its scheme.
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
	default:
		return p, false
	}
}

func openAs(
	ctx context.Context, address string, kinds []gotong.Kind, now func() gotong.Instant, shared surreal.Options,
) (s store.Whole, say told, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, say, errors.New("store: the address is malformed")
	}
	switch u.Scheme {
	case "memory":
		return memory.New("", memory.Options{Now: now}), say, nil
	case "sqlite":
		path := pathOf(u)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			say.made = []string{"The database " + path}
		}
		s, err = sqlite.Open(ctx, path, sqlite.Options{
			Collections: store.Collections(kinds), Now: now, Observe: shared.Observe,
		})
		return s, say, err
	case client.Scheme, client.SchemeTLS:
		cfg, err := client.Parse(address)
		if err != nil {
			return nil, say, fmt.Errorf("store: %w", err)
		}
		shared.Collections, shared.Now = store.Collections(kinds), now
		s, err := surreal.Open(ctx, cfg, shared)
		if err != nil {
			return nil, say, err
		}
		say.notes = []string{"Whether acknowledged writes survive a power loss depends on the database: " + surreal.Properties.Synced.Why}
		return s, say, nil
	default:
		return nil, say, fmt.Errorf("store: there is no adapter for %q; use sqlite:PATH, surreal://… or memory: for a trial", u.Scheme)
	}
}

// pathOf is the file that an address of SQLite names.
func pathOf(u *url.URL) string { return filepath.FromSlash(u.Host + u.Path + u.Opaque) }

// sqlitePath is the database's file, where the store is one.
func sqlitePath(cfg *config.Config) (string, bool) { return StoreFile(cfg.StoreURL()) }

// StoreFile is the file that a store's address means, where it means one.
func StoreFile(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "sqlite" {
		return "", false
	}
	return pathOf(u), true
}
