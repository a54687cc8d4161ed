package e2e_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// serveEnv names the data directory for which this binary is a server; the
// others what it shares with other nodes.
const (
	serveEnv = "GOTONG_E2E_SERVE"
	storeEnv = "GOTONG_E2E_STORE"
	redisEnv = "GOTONG_E2E_REDIS"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		os.Exit(serve(dir))
	}
	flag.Parse()
	if most := flag.Lookup("test.parallel"); !testing.Short() && most.Value.String() == most.DefValue {
		_ = most.Value.Set("8") // a number; these tests mostly wait, for servers that were killed and for clocks
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		surrealtest.Stop()
		postgrestest.Stop()
		os.Exit(code)
	}))
}

// serve is the product as it is, in a process of its own. It says on standard
// output where it is, and ends at once when whoever started it is gone.
func serve(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	clock, follow := leading(bufio.NewScanner(os.Stdin))
	go follow() // ends the process when its parent ends
	opts := options(dir, os.Stderr)
	opts.Clock = clock
	if os.Getenv(fuseEnv) != "" {
		opts.Wrap = fused
	}
	if os.Getenv(hooksEnv) != "" {
		opts.HookWaits = quickHooks()
	}
	if file := os.Getenv(tracksEnv); file != "" {
		opts.Config.Tracks = []string{file}
	}
	backend{os.Getenv(storeEnv), os.Getenv(redisEnv)}.on(&opts)
	a, err := app.New(ctx, opts)
	if err == nil {
		fmt.Println(a.URL())
		err = a.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		return 1
	}
	return 0
}

// secret signs the tokens of the users here; the server takes it as the key of
// another issuer.
const secret = "the key of the end-to-end tests, which is long enough"

// patience is how long a test waits for what has to come: so long waits only what is
// broken, however busy the machine is.
const patience = 12 * time.Minute

// grace is what a server that ends gives its connections: so long takes only one that
// something holds.
const grace = time.Minute

// options are the defaults but for ports and for rate limits, which do not
// limit.
func options(dir string, log io.Writer) app.Options {
	const most = 1e9
	return app.Options{
		Config: config.Config{
			Env: config.Development, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Data: dir,
			JWTKeys:         []config.JWTKey{{KID: "e2e", Alg: "HS256", Key: secret}},
			AccessTokenLife: time.Hour, RefreshLife: time.Hour, PasswordHashes: 1, MaxSessions: 20_000,
			UserRate: most, UserBurst: most, CommandRate: most, CommandBurst: most, AddressRate: most, AddressBurst: most,
			ShutdownGrace: grace, OTelSample: 1, OutboundNetworks: []string{"127.0.0.1"},
		},
		Build: app.Build{Version: "e2e"}, CheckpointsNew: true, // a node may join a log that is not empty
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

// size is the first number, or the second one in -short mode, and half of that
// under the race detector.
func size(full, short int) int {
	switch {
	case !testing.Short():
		return full
	case raceDetector:
		return max(1, short/2)
	default:
		return short
	}
}

// pace is how often the steady load of a test comes.
func pace(d time.Duration) *time.Ticker {
	if raceDetector {
		d *= 5
	}
	return time.NewTicker(d)
}
