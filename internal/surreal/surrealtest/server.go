package surrealtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"gotong.dev/gotong/internal/surreal"
)

// Server is a process with an engine.
type Server struct {
	engine Engine
	args   []string
	port   int
	cmd    *exec.Cmd
	stdin  io.Closer
}

// startLimit is how long an engine may take to open its data.
const startLimit = 3 * time.Minute

// User and Password of the owner of every server.
const (
	User     = "root"
	Password = "root"
)

// Launch starts a process of its own for a test, with its data in dir, or in a
// folder that goes with the test if dir is "". It ends with the test.
func Launch(tb testing.TB, e Engine, dir string) *Server {
	tb.Helper()
	need(tb, e)
	if dir == "" {
		dir = tb.TempDir()
	}
	return launch(tb, e, "--url", "rocksdb://"+dir)
}

// LaunchMemory starts a process that keeps nothing, for tests with an engine that
// loses writes.
func LaunchMemory(tb testing.TB, e Engine) *Server {
	tb.Helper()
	need(tb, e)
	return launch(tb, e, "--mem")
}

func launch(tb testing.TB, e Engine, args ...string) *Server {
	tb.Helper()
	s := &Server{engine: e, args: append([]string{"--engine", string(e)}, args...)}
	s.Restart(tb)
	tb.Cleanup(s.Stop)
	return s
}

// Restart starts the server again after Kill or Stop, on the same data and
// port.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if err := s.start(); err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) start() error {
	folder, ok := bridge()
	if !ok {
		return errors.New("no dev/surreal above the working directory")
	}
	cmd := exec.Command(filepath.Join(folder, "surreal"), append(s.args, "--port", strconv.Itoa(s.port))...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.stdin = cmd, stdin
	port, err := listening(stdout)
	if err != nil {
		s.Kill()
		return fmt.Errorf("%s did not start: %w", s.engine, err)
	}
	s.port = port
	return nil
}

// listening reads the one line that the bridge prints when it serves.
func listening(stdout io.Reader) (int, error) {
	if pipe, ok := stdout.(interface{ SetReadDeadline(t time.Time) error }); ok {
		if err := pipe.SetReadDeadline(time.Now().Add(startLimit)); err != nil {
			return 0, err
		}
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return 0, err
	}
	var said struct {
		Port int `json:"port"`
	}
	err = json.Unmarshal(line, &said)
	return said.Port, err
}

// Kill ends the process at once, as a crash does.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	s.wait()
}

// Stop ends the process by closing its input.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.stdin.Close()
	s.wait()
}

func (s *Server) wait() {
	_ = s.cmd.Wait() // the caller chose how it ends
	s.cmd = nil
}

// Signal sends a signal, such as SIGSTOP and SIGCONT.
func (s *Server) Signal(tb testing.TB, sig os.Signal) {
	tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		tb.Fatal(err)
	}
}

// Address returns host and port, which stay the same over Restart.
func (s *Server) Address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// Config returns the config of a database of this server, as its owner.
func (s *Server) Config(namespace, database string) surreal.Config {
	cfg := surreal.Config{Address: s.Address(), Namespace: namespace, Database: database}
	cfg.Login = cfg.AsUser(surreal.LevelRoot, User, Password)
	return cfg
}

// URL returns the URL of a database of this server, with the owner's password.
func (s *Server) URL(namespace, database string) string {
	u := url.URL{
		Scheme: surreal.Scheme,
		User:   url.UserPassword(User, Password),
		Host:   s.Address(),
		Path:   "/" + namespace + "/" + database,
	}
	return u.String()
}

// Fresh returns the config of an unused database.
func (s *Server) Fresh() surreal.Config { return s.Config(unused(), "test") }

// FreshURL returns the URL of an unused database.
func (s *Server) FreshURL() string { return s.URL(unused(), "test") }
