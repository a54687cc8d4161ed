package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is the binary, built for one test.
type program struct {
	t    *testing.T
	path string

	// Every server compares its log with the checkpoints of the one before.
	checkpoints string
}

func build(t *testing.T) *program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gotong")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/gotong")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return &program{t, path, filepath.Join(t.TempDir(), "checkpoints")}
}

// command is a command line of it, without anybody's own configuration.
func (p *program) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.path, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GOTONG_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	return cmd
}

// run is one that has to succeed; env is NAME=value before the arguments.
func (p *program) run(env string, args ...string) []byte {
	p.t.Helper()
	cmd := p.command(p.t.Context(), args...)
	cmd.Env = append(cmd.Env, strings.Fields(env)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("gotong %s: %v\n%s%s", args[0], err, out, errs.String())
	}
	return out
}

// tail is what it shows of a thread, from the start to the words that come last.
func (p *program) tail(url, user, thread, last string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	cmd := p.command(ctx, "tail", thread, "--from=start", "--zone=UTC")
	cmd.Env = append(cmd.Env, "GOTONG_URL="+url, "GOTONG_TOKEN="+tokenOf(user))
	cmd.Stderr = p.t.Output()
	out := must(cmd.StdoutPipe())(p.t)
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	var text strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		_, _ = fmt.Fprintln(&text, lines.Text())
		if strings.Contains(lines.Text(), last) {
			break
		}
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait() // interrupted
	if !strings.Contains(text.String(), last) {
		p.t.Fatalf("tail did not show %q:\n%s", last, text.String())
	}
	return text.String()
}

// serve runs a server on a store until stop is called, and returns its address.
func (p *program) serve(store string) (url string, stop func()) {
	p.t.Helper()
	args := []string{"serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--data=" + p.t.TempDir(), "--log-level=error", "--checkpoints=" + p.checkpoints, "--checkpoints-new"}
	for _, limit := range []string{"user", "command", "address"} { // that do not limit
		args = append(args, "--"+limit+"-rate=100000", "--"+limit+"-burst=100000")
	}
	cmd := p.command(context.Background(), args...)
	cmd.Env = append(cmd.Env, "GOTONG_STORE="+store, "GOTONG_JWT_KEYS=kid=e2e,alg=HS256,key="+secret)
	cmd.Stderr = p.t.Output()
	out := must(cmd.StdoutPipe())(p.t)
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil {
			p.t.Error("gotong serve ended with", err)
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 && words[0] == "API" {
			url = words[1]
		}
		if strings.Contains(lines.Text(), "Ctrl-C") {
			break
		}
	}
	if url == "" {
		stop()
		p.t.Fatal("gotong serve did not say where it is")
	}
	return url, stop
}
