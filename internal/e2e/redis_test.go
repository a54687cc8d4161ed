package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// redisServer is a Redis in a process of its own, which comes back on the same
// port.
type redisServer struct {
	tb      testing.TB
	address string
	dir     string
	cmd     *exec.Cmd
}

func startRedis(tb testing.TB) *redisServer {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal("redis-server is not installed, and CI must test with it")
		}
		tb.Skip("NOT TESTED: several nodes, because redis-server is not installed (make install)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &redisServer{tb: tb, address: l.Addr().String(), dir: tb.TempDir()}
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	r.start()
	tb.Cleanup(r.kill)
	return r
}

// start waits until it answers.
func (r *redisServer) start() {
	r.tb.Helper()
	_, port, err := net.SplitHostPort(r.address)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", r.dir, "--save", "", "--appendonly", "no")
	if err := r.cmd.Start(); err != nil {
		r.tb.Fatal(err)
	}
	for range 500 {
		if r.say("PING") == nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	r.tb.Fatal("redis-server does not answer")
}

// say sends one command without arguments and reads that something came back.
func (r *redisServer) say(command string) error {
	c, err := net.DialTimeout("tcp", r.address, time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(command + "\r\n")); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 16))
	return err
}

// kill ends it at once; it keeps nothing.
func (r *redisServer) kill() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGCONT)
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.cmd = nil
}

func (r *redisServer) signal(s syscall.Signal) {
	if err := r.cmd.Process.Signal(s); err != nil {
		r.tb.Error(err)
	}
}
