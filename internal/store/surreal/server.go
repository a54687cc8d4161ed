package surreal

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gotong.dev/gotong/internal/surreal"
)

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
