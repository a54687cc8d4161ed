package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong/internal/auth/argon"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain is the program itself where a test starts it as another process.
func TestMain(m *testing.M) {
	hashes := len(os.Args) == 2 && os.Args[1] == argon.Command // started by a server, without its environment
	if hashes || os.Getenv("GOTONG_TEST_IS_GOTONG") != "" {
		main()
	}
	for _, v := range os.Environ() { // nobody's own configuration
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "GOTONG_") {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(postgrestest.Main(m))
}

// buffer is a bytes.Buffer for several goroutines that tells when it grows.
type buffer struct {
	mu   sync.Mutex
	b    bytes.Buffer
	grew chan struct{}
}

func newBuffer() *buffer { return &buffer{grew: make(chan struct{}, 1)} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.grew <- struct{}{}:
	default:
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// await waits until the text satisfies ok.
func (b *buffer) await(t *testing.T, what string, ok func(text string) bool) string {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		if text := b.String(); ok(text) {
			return text
		}
		select {
		case <-b.grew:
		case <-late.C:
			t.Fatalf("no %s in:\n%s", what, b.String())
		}
	}
}

// patience is how long a test waits for what has to come: so long waits only what is
// broken, however busy the machine is.
const patience = 10 * time.Minute

// await asks again and again until ok, or ends the test.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); !ok(); {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("not so within %s: %s", patience, what)
		}
	}
}

// ran is what a command line left behind.
type ran struct {
	code     int
	out, err string
}

// command runs a command line to its end.
func command(t *testing.T, env map[string]string, args ...string) ran {
	t.Helper()
	std, out, errs := pipes(env)
	for k, v := range env {
		t.Setenv(k, v)
	}
	code := run(t.Context(), args, std)
	return ran{code, out.String(), errs.String()}
}

// pipes is a stdio without a terminal.
func pipes(env map[string]string) (std *stdio, out, errs *buffer) {
	out, errs = newBuffer(), newBuffer()
	return &stdio{in: strings.NewReader(""), out: out, err: errs, env: func(k string) string { return env[k] }}, out, errs
}

// background is a command that runs until it is stopped.
type background struct {
	t         *testing.T
	out, errs *buffer
	cancel    context.CancelFunc
	code      chan int
}

func interruptible(t *testing.T, args ...string) *background {
	t.Helper()
	std, out, errs := pipes(nil)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	b := &background{t: t, out: out, errs: errs, cancel: cancel, code: make(chan int, 1)}
	go func() { b.code <- run(ctx, args, std) }()
	return b
}

// stop interrupts it and returns its exit code.
func (b *background) stop() int {
	b.t.Helper()
	b.cancel()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case code := <-b.code:
		return code
	case <-late.C:
		b.t.Fatalf("does not stop:\n%s\n%s", b.out.String(), b.errs.String())
		return -1
	}
}

// serving runs a server for the test and returns its address.
func serving(t *testing.T, args ...string) string {
	t.Helper()
	b := interruptible(t, append([]string{"serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--data=" + t.TempDir() + "/data", "--log-level=error"}, args...)...)
	t.Cleanup(func() {
		if code := b.stop(); code != 0 {
			t.Errorf("serve ended with %d: %s", code, b.errs.String())
		}
	})
	text := b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") })
	return field(t, text, "API")
}

// field is the second word of the line that begins with name.
func field(t *testing.T, text, name string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			return words[1]
		}
	}
	t.Fatalf("no %s in:\n%s", name, text)
	return ""
}

// account makes an account and returns its token.
func account(t *testing.T, url, name string) string {
	t.Helper()
	r := command(t, map[string]string{"GOTONG_PASSWORD": "correct horse battery"},
		"token", "--url="+url, "--signup", "--email="+name+"@example.org", "--username="+name)
	if r.code != 0 || strings.Count(r.out, ".") != 2 || strings.Count(r.out, "\n") != 1 {
		t.Fatalf("%+v", r)
	}
	return strings.TrimSpace(r.out)
}
