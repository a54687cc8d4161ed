package e2e_test

import (
	"context"
	"encoding/base64"
	"os"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/bus/redistest"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/sqlite"
	surrealstore "gotong.dev/gotong/internal/store/surreal"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// engineEnv names where the servers of these tests keep their log: the engine of
// SurrealDB, 3 or 2, with a Redis for them, or "postgres". Without it they are on
// SQLite. Tests of the file itself (a full disk, a second server) stay there.
const engineEnv = "GOTONG_E2E_ENGINE"

// backend is where a server keeps its log, if that is not its own directory.
type backend struct{ store, redis string }

// backends are those of the data directories so far: a server that is started
// again on its directory finds its log.
var backends = struct {
	sync.Mutex
	of map[string]backend
}{of: map[string]backend{}}

// backendOf is what belongs to a data directory; the zero one is SQLite.
func backendOf(tb testing.TB, dir string) backend {
	tb.Helper()
	engine := os.Getenv(engineEnv)
	if engine == "" {
		return backend{}
	}
	backends.Lock()
	defer backends.Unlock()
	b, ok := backends.of[dir]
	if !ok {
		if engine == "postgres" {
			b = backend{store: postgrestest.Start(tb).Fresh()}
		} else {
			b = backend{surrealtest.URL(tb, surrealtest.Engine(engine)), "redis://" + redistest.Start(tb).Addr}
		}
		backends.of[dir] = b
		tb.Cleanup(func() {
			backends.Lock()
			defer backends.Unlock()
			delete(backends.of, dir)
		})
	}
	return b
}

// on lets a server keep its log there.
func (b backend) on(o *app.Options) {
	if b.store == "" {
		return
	}
	o.Config.Store, o.Config.Redis = b.store, b.redis
	o.Config.SigningKey = base64.StdEncoding.EncodeToString([]byte(secret)) // the same on every node
}

// env says the same to a server in a process of its own.
func (b backend) env() []string {
	if b.store == "" {
		return nil
	}
	return []string{storeEnv + "=" + b.store, redisEnv + "=" + b.redis} // without Redis, empty
}

// openStore opens what a server has left, or a tool.
func openStore(tb testing.TB, address string) (s store.Whole) {
	tb.Helper()
	collections := append(store.Collections(app.Kinds()), reader.Collections(app.Readers())...)
	ctx := context.Background()
	var err error
	switch path, isFile := strings.CutPrefix(address, "sqlite:"); {
	case isFile:
		s, err = sqlite.Open(ctx, path, sqlite.Options{Collections: collections})
	case strings.HasPrefix(address, "postgres:"):
		s, err = postgres.Open(ctx, address, postgres.Options{Collections: collections})
	default:
		var cfg surreal.Config
		if cfg, err = surreal.Parse(address); err == nil {
			s, err = surrealstore.Open(ctx, cfg, surrealstore.Options{Collections: collections})
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
