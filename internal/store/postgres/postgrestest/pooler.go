package postgrestest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooler starts a PgBouncer in transaction mode before the server. It returns an
// address of an empty database through it. At most two clients at once have a server
// process each.
func (s *Server) Pooler() string {
	s.tb.Helper()
	program := pgbouncer(s.tb)
	s.mu.Lock()
	s.fresh++
	name := fmt.Sprintf("pooled%d", s.fresh)
	s.mu.Unlock()
	s.do("CREATE DATABASE " + name)
	dir, port := folder(s.tb), freePort(s.tb)
	s.tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "pgbouncer.ini")
	ini := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%s user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
`, s.Port, User, port)
	if err := os.WriteFile(file, []byte(ini), 0o644); err != nil {
		s.tb.Fatal(err)
	}
	cmd := command(s.tb, dir, program, file)
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	address := "postgres://" + User + "@127.0.0.1:" + port + "/" + name + "?sslmode=disable"
	if err := answers(address); err != nil {
		text, _ := os.ReadFile(out.Name())
		s.tb.Fatalf("pgbouncer does not answer: %v\n%s", err, text)
	}
	return address
}

// pgbouncer returns the path of the program. Debian puts it where only root's path
// leads.
func pgbouncer(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal("PgBouncer is not installed, and CI must test with it")
	}
	tb.Skip("NOT TESTED: needs PgBouncer, which is not installed (apt-get install pgbouncer)")
	return ""
}

// answers waits until a connection is accepted.
func answers(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		c, err := pgx.Connect(ctx, address)
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}
