package surrealtest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

const parent = "SURREALTEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parent) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	os.Exit(m.Run())
}

// TestParent is the process that TestKilledTestBinaryLeavesNoEngine kills.
func TestParent(t *testing.T) {
	e := surrealtest.Engine(os.Getenv(parent))
	if e == "" {
		t.Skip("started by TestKilledTestBinaryLeavesNoEngine")
	}
	surrealtest.Start(t, e)
	fmt.Println("started")
	select {} // until it is killed
}

// A test binary that is killed leaves no engine behind.
func TestKilledTestBinaryLeavesNoEngine(t *testing.T) {
	for _, e := range surrealtest.All() {
		t.Run(e.String(), func(t *testing.T) {
			surrealtest.Start(t, e) // or be left out
			ours, theirs, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ours.Close() }()
			cmd := exec.Command(os.Args[0], "-test.run=^TestParent$", "-test.v")
			cmd.Env = append(os.Environ(), parent+"="+string(e))
			cmd.Stderr = theirs // the engine holds it too, as long as it runs
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_ = theirs.Close()
			lines := bufio.NewScanner(stdout)
			for lines.Scan() {
				if strings.Contains(lines.Text(), "started") {
					break
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if err := ours.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			for {
				if _, err := ours.Read(make([]byte, 1024)); os.IsTimeout(err) {
					t.Fatal("the engine outlives the process that started it")
				} else if err != nil {
					return
				}
			}
		})
	}
}

// A server that was stopped or killed restarts with its data, on its port.
func TestRestartedServerKeepsDataAndPort(t *testing.T) {
	for _, e := range surrealtest.All() {
		t.Run(e.String(), func(t *testing.T) {
			s := surrealtest.Launch(t, e, "")
			address := s.Address()
			cfg, err := surreal.Parse(s.URL("n", "d"))
			if err != nil {
				t.Fatal(err)
			}
			for round, end := range []func(){s.Kill, s.Stop, s.Kill} {
				c, err := surreal.Open(t.Context(), cfg, surreal.Options{Sockets: 1})
				if err != nil {
					t.Fatal(err)
				}
				var n int
				if err := c.Select(t.Context(), "(UPSERT ONLY a:1 SET n += 1).n", nil, &n); err != nil || n != round+1 {
					t.Errorf("round %d: %d, %v", round, n, err)
				}
				c.Close()
				end()
				s.Restart(t)
				if s.Address() != address {
					t.Errorf("it moved from %s to %s", address, s.Address())
				}
			}
		})
	}
}
