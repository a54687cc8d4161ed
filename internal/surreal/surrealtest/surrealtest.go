package surrealtest

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong/internal/surreal"
)

// Engine is a release line of SurrealDB.
type Engine string

// The engines that dev/surreal pins.
const (
	V3 Engine = "3" // 3.0.2
	V2 Engine = "2" // 2.6.0
)

// String returns a name for subtests.
func (e Engine) String() string { return "surreal" + string(e) }

// All returns the engines on which every promise must hold.
func All() []Engine { return []Engine{V3, V2} }

// missing returns what keeps an engine from starting here, "" if nothing does.
func (e Engine) missing() string {
	if _, err := exec.LookPath("node"); err != nil {
		return "there is no node on the PATH"
	}
	folder, ok := bridge()
	if !ok {
		return "there is no dev/surreal above the working directory"
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "surrealdb-node-"+string(e))); err != nil {
		return "the engine is not installed: run `make install`"
	}
	return ""
}

// bridge returns the folder dev/surreal of this repository.
func bridge() (string, bool) {
	at, err := os.Getwd()
	for err == nil {
		folder := filepath.Join(at, "dev", "surreal")
		if _, statErr := os.Stat(filepath.Join(folder, "bridge.mjs")); statErr == nil {
			return folder, true
		}
		if at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	return "", false
}

// need skips the test if the engine is absent, and fails it in CI.
func need(tb testing.TB, e Engine) {
	tb.Helper()
	why := e.missing()
	switch {
	case why == "":
	case os.Getenv("CI") == "true":
		tb.Fatalf("%s: %s", e, why)
	default:
		tb.Skipf("NOT TESTED on %s: %s", e, why)
	}
}

// Each runs a test on every engine, as its subtest. With -short, which is how the
// race detector runs in CI, only on the first: what differs between the engines on our
// side is the text of statements, and no goroutine.
func Each(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Helper()
	for _, e := range All() {
		t.Run(e.String(), func(t *testing.T) {
			if testing.Short() && e != V3 {
				t.Skip("one engine with -short")
			}
			need(t, e)
			test(t, e)
		})
	}
}

var shared struct {
	sync.Mutex
	servers map[Engine]*Server
}

// Start returns the config of an unused database in a namespace of its own, as its
// owner, on the process that the tests of this binary share.
func Start(tb testing.TB, e Engine) surreal.Config {
	tb.Helper()
	return sharedServer(tb, e).Fresh()
}

// URL returns what [Start] returns, as a URL with its password.
func URL(tb testing.TB, e Engine) string {
	tb.Helper()
	return sharedServer(tb, e).FreshURL()
}

// Open returns a client of an unused database, see [Start]. It is closed with the
// test.
func Open(tb testing.TB, e Engine) *surreal.Client {
	tb.Helper()
	client, err := surreal.Open(tb.Context(), Start(tb, e), surreal.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	return client
}

func sharedServer(tb testing.TB, e Engine) *Server {
	tb.Helper()
	need(tb, e)
	shared.Lock()
	defer shared.Unlock()
	if s := shared.servers[e]; s != nil {
		return s
	}
	s := &Server{engine: e, args: []string{"--engine", string(e)}}
	if err := s.start(); err != nil {
		tb.Fatal(err)
	}
	if shared.servers == nil {
		shared.servers = map[Engine]*Server{}
	}
	shared.servers[e] = s
	return s
}

// Stop ends the shared processes before the test binary does.
func Stop() {
	shared.Lock()
	defer shared.Unlock()
	for e, s := range shared.servers {
		s.Stop()
		delete(shared.servers, e)
	}
}

// unused returns an unused name.
func unused() string { return "t" + strings.ToLower(rand.Text()) }
