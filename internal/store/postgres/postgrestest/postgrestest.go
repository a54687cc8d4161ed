// Package postgrestest starts real PostgreSQL servers for tests.
//
// # Caveats
//
// It needs initdb and postgres 15 or later: on the path, or where Debian's packages
// put them. Without them, tests are skipped with a message; if CI is true, they
// fail. The server refuses to run as root, so a test that runs as root starts it
// as the user nobody.
package postgrestest

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is the PostgreSQL server of a test, on a free loopback port and with a
// data directory of its own. It ends with the test.
type Server struct {
	Port string

	tb   testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
	gone chan struct{}
	log  *bytes.Buffer

	mu    sync.Mutex
	fresh int
}

// User is the name of the role that owns the server.
const User = "gotong"

// template is the data directory that initdb makes once; every server gets a copy.
var template struct {
	sync.Mutex
	dir string
}

// Main runs the tests of a package that starts servers, removes what they share and
// returns the exit code.
func Main(m *testing.M) int {
	defer Stop()
	return m.Run()
}

// Stop removes what the servers of a package share.
func Stop() {
	template.Lock()
	defer template.Unlock()
	if template.dir != "" {
		_ = os.RemoveAll(template.dir)
		template.dir = ""
	}
}

// Start starts a server with these arguments, such as "-c", "fsync=off". The package
// must call [Main] or [Stop] at its end.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := newServer(tb, args)
	s.copyTemplate()
	s.Restart()
	return s
}

// newServer returns a server without data that does not run.
func newServer(tb testing.TB, args []string) *Server {
	tb.Helper()
	if program("postgres") == "" || program("initdb") == "" {
		if os.Getenv("CI") == "true" {
			tb.Fatal("PostgreSQL is not installed, and CI must test with it")
		}
		tb.Skip("NOT TESTED: needs PostgreSQL, which is not installed (apt-get install postgresql)")
	}
	s := &Server{tb: tb, Port: freePort(tb), args: args, dir: folder(tb)}
	tb.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	tb.Cleanup(s.Kill)
	return s
}

// program returns where a program of PostgreSQL is: that of the newest version among
// Debian's packages, else the one on the path; "" if there is none.
func program(name string) string {
	const debian = "/usr/lib/postgresql"
	found, _ := fs.Glob(os.DirFS(debian), "*/bin/"+name)
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Dir(filepath.Dir(path)))
		return n
	}
	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Join(debian, newest)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// owner returns as whom a server runs; nil: as this process.
func owner(tb testing.TB) *syscall.Credential {
	tb.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		tb.Fatal(err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		tb.Fatal(err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		tb.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// folder makes a directory that the server's user owns. Those of testing.TB may lie
// below one that only root may enter.
func folder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "postgrestest") //nolint:usetesting // another user must be able to enter it
	if err != nil {
		tb.Fatal(err)
	}
	if o := owner(tb); o != nil {
		if err := os.Chown(dir, int(o.Uid), int(o.Gid)); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// command returns a command that runs as the server's user, without the settings of
// the person who runs the test.
func command(tb testing.TB, dir, name string, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner(tb)}
	return cmd
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) copyTemplate() {
	s.tb.Helper()
	template.Lock()
	defer template.Unlock()
	if template.dir == "" {
		dir := folder(s.tb)
		out, err := command(s.tb, dir, program("initdb"), "-D", filepath.Join(dir, "data"), "-A", "trust", "-U", User,
			"--no-instructions", "--no-sync", "-E", "UTF8", "--locale=C").CombinedOutput()
		if err != nil {
			_ = os.RemoveAll(dir)
			s.tb.Fatalf("initdb: %v\n%s", err, out)
		}
		template.dir = dir
	}
	s.run("cp", "-a", filepath.Join(template.dir, "data"), s.data())
}

func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// Restart starts the server again after Kill, with its data.
func (s *Server) Restart() {
	s.tb.Helper()
	limit := time.After(30 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for s.start(); ; {
		if c, err := s.connect(); err == nil {
			_ = c.Close(context.Background())
			return
		}
		select {
		case <-again.C:
		case <-s.gone: // the processes of a server that was killed may still be ending
			if !bytes.Contains(s.log.Bytes(), []byte("is still in use")) {
				s.tb.Fatalf("postgres ended:\n%s", s.log)
			}
			<-again.C
			s.start()
		case <-limit:
			s.Kill()
			s.tb.Fatalf("postgres does not answer:\n%s", s.log)
		}
	}
}

func (s *Server) start() {
	s.tb.Helper()
	s.log = &bytes.Buffer{}
	s.cmd = command(s.tb, s.dir, program("postgres"), append([]string{
		"-D", s.data(), "-h", "127.0.0.1", "-p", s.Port, "-k", "",
		"-c", "wal_level=replica", "-c", "max_wal_senders=5", "-c", "wal_log_hints=on", "-c", "shared_buffers=32MB",
	}, s.args...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	gone := make(chan struct{})
	s.gone = gone
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(gone)
	}(s.cmd)
}

func (s *Server) connect() (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return pgx.Connect(ctx, s.URL("postgres"))
}

// URL returns the address of a database, as the server's owner.
func (s *Server) URL(database string) string {
	return "postgres://" + User + "@127.0.0.1:" + s.Port + "/" + database + "?sslmode=disable"
}

// Fresh makes an empty database and returns its address.
func (s *Server) Fresh() string {
	s.tb.Helper()
	name := s.make("DATABASE")
	return s.URL(name)
}

// Schema makes an empty schema, which takes less time than a database, and returns
// its address.
func (s *Server) Schema() string {
	s.tb.Helper()
	return s.URL("postgres") + "&search_path=" + s.make("SCHEMA")
}

// make makes a database or a schema and returns its name.
func (s *Server) make(kind string) string {
	s.tb.Helper()
	s.mu.Lock()
	s.fresh++
	name := fmt.Sprintf("fresh%d", s.fresh)
	s.mu.Unlock()
	c, err := s.connect()
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := c.Exec(context.Background(), "CREATE "+kind+" "+name); err != nil {
		s.tb.Fatal(err)
	}
	return name
}

// Successor starts another server with the data of this one, which must not run, as a
// standby does that is promoted: on a new timeline.
func (s *Server) Successor() *Server {
	s.tb.Helper()
	n := &Server{tb: s.tb, Port: freePort(s.tb), args: s.args, dir: folder(s.tb)}
	s.tb.Cleanup(func() { _ = os.RemoveAll(n.dir) })
	s.run("cp", "-a", s.data(), n.data())
	s.run("touch", filepath.Join(n.data(), "standby.signal"))
	n.Restart()
	s.tb.Cleanup(n.Kill)
	c, err := n.connect()
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	promoted := false
	if err := c.QueryRow(context.Background(), "SELECT pg_promote()").Scan(&promoted); err != nil || !promoted {
		s.tb.Fatalf("promoted: %v, %v", promoted, err)
	}
	return n
}

// run runs a program as the server's user.
func (s *Server) run(name string, args ...string) {
	s.tb.Helper()
	if out, err := command(s.tb, s.dir, name, args...).CombinedOutput(); err != nil {
		s.tb.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// Kill ends the server at once, as a crash would: nothing is written back.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // ends its other processes too, which SIGKILL leaves behind
	select {
	case <-s.gone:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.gone
	}
}
