package audit

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/logtest"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// tool returns a witness that make install builds. Without it, tests are skipped
// with a message; if CI is true, they fail.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(path)
	if err == nil && name == "litewitness" {
		_, err = exec.LookPath("ssh-agent")
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI must test with real witnesses: %v", err)
		}
		t.Skipf("NOT TESTED: needs %s (make install; litewitness also needs OpenSSH's ssh-agent): %v", name, err)
	}
	return path
}

// running is a witness as a process.
type running struct {
	url string
	log *logtest.Lines
	end func()
}

// run starts a witness and waits until it accepts connections.
func run(t *testing.T, path, addr string, env []string, args ...string) *running {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	r := &running{url: "http://" + addr, log: &logtest.Lines{}}
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = append(os.Environ(), env...), r.log, r.log, t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	r.end = func() { _ = cmd.Process.Kill(); <-gone }
	t.Cleanup(r.end)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.After(30 * time.Second)
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return r
		}
		select {
		case <-again.C:
		case <-gone:
			t.Fatalf("%s ended:\n%s", path, r.log)
		case <-limit:
			t.Fatalf("%s does not answer", path)
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// origins are the origins of a keeper, with the verifier key of each.
func origins(k *Keeper) map[string]string {
	list := map[string]string{}
	for _, p := range k.Pinned() {
		origin := p.Checkpoint.Origin.String()
		list[origin] = k.Keys()[0].For(origin)
	}
	return list
}

// omniwitness is the witness of transparency-dev.
func omniwitness(t *testing.T, k *Keeper) string {
	t.Helper()
	dir, addr := t.TempDir(), freeAddr(t)
	skey, vkey, err := note.GenerateKey(rand.Reader, "example.org/omni")
	if err != nil {
		t.Fatal(err)
	}
	logs := "Logs:\n"
	for origin, key := range origins(k) {
		logs += fmt.Sprintf("  - Origin: %s\n    PublicKey: %s\n", origin, key)
	}
	for name, text := range map[string]string{"key": skey, "logs": logs} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, tool(t, "omniwitness"), addr, nil, "-listen", addr, "-metrics_listen", "", "-db_file", filepath.Join(dir, "db"),
		"-private_key_path", filepath.Join(dir, "key"), "-additional_logs", filepath.Join(dir, "logs"))
	return r.url + " " + vkey
}

var verifierKey = regexp.MustCompile(`example\.org/lite\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+`)

// litewitness is the witness of Filippo Valsorda's torchwood. It has its key in an
// SSH agent, and its logs in a database.
func litewitness(t *testing.T, k *Keeper) string {
	t.Helper()
	path, dir, addr := tool(t, "litewitness"), t.TempDir(), freeAddr(t)
	sock := filepath.Join(dir, "s")
	agent := exec.CommandContext(t.Context(), "ssh-agent", "-D", "-a", sock)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	env := []string{"SSH_AUTH_SOCK=" + sock}
	ssh := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		return string(out)
	}
	key := filepath.Join(dir, "key")
	ssh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	for range time.Tick(20 * time.Millisecond) { // until the agent listens
		if _, err := os.Stat(sock); err == nil {
			break
		}
	}
	ssh("ssh-add", "-q", key)
	finger := strings.Fields(ssh("ssh-keygen", "-l", "-f", key))[1]
	args := []string{"-db", filepath.Join(dir, "db"), "-name", "example.org/lite", "-key", finger, "-ssh-agent", sock, "-listen", addr}
	run(t, path, addr, env, args...).end() // it makes its tables
	db, err := sqlite.OpenConn(filepath.Join(dir, "db"), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	for origin, key := range origins(k) {
		for query, args := range map[string][]any{
			"INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)": {origin, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
			"INSERT INTO key (origin, key) VALUES (?, ?)":                     {origin, key},
		} {
			if err := sqlitex.Execute(db, query, &sqlitex.ExecOptions{Args: args}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r := run(t, path, addr, env, args...)
	limit := time.After(30 * time.Second)
	for {
		select {
		case <-time.Tick(20 * time.Millisecond):
		case <-limit:
			t.Fatalf("litewitness names no key:\n%s", r.log)
		}
		if vkey := verifierKey.FindString(r.log.String()); vkey != "" {
			return r.url + " " + vkey
		}
	}
}

// Two witnesses of other authors cosign what this server signs, as it grows and
// after a start, and a proof with their cosignatures is verified. Neither
// cosigns another history.
func TestRealWitnesses(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *Keeper) string{"omniwitness": omniwitness, "litewitness": litewitness} {
		t.Run(name, func(t *testing.T) {
			w, dir := living(t, 1, 0), filepath.Join(t.TempDir(), "c")
			o := w.options(dir)
			list := []string{start(t, open(t, o))}
			var err error
			if o.Witnesses, err = ParseWitnesses(list, 1); err != nil {
				t.Fatal(err)
			}
			o.Quorum = 1
			trust := proof.Trust{Quorum: 1, Witnesses: []proof.Witness{o.Witnesses[0].Witness}}
			for range 3 { // each time, this node has forgotten what the witness knows
				k := open(t, o)
				for range 3 {
					w.fill(300)
					w.grow()
					if err := k.Step(t.Context()); err != nil {
						t.Fatal(err)
					}
					k.cosign(t.Context())
					covered(t, w, k, trust)
					if why := k.cosigning.witnesses[0].failed; why != "" {
						t.Fatal(why)
					}
				}
				trust.Keys = k.Keys()
			}
			k := open(t, o)
			state, err := w.live.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			e, err := Prove(t.Context(), w.live, store.NewCodec(nil), state.Eras, []Pinned{k.Cosigned()},
				w.commits[gotong.PartitionOf("group/0")][0].Events[0].Stream, 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Check(trust); err != nil {
				t.Error(err)
			}
			other := living(t, 2, 2000) // the same key signs another history
			k.o.Store = other.live
			for p := range k.pinned {
				k.pinned[p].Checkpoint.Size = 0
			}
			if err := k.pin(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.cosign(t.Context())
			if why := k.cosigning.witnesses[0].failed; !strings.Contains(why, "another history") && !strings.Contains(why, "rolled back") {
				t.Errorf("the witness cosigns another history: %q", why)
			}
		})
	}
}
