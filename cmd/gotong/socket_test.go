package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSocketOfSystemd: the server takes the socket that was opened for it, with the client that
// connected before it started.
func TestSocketOfSystemd(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, "GET /v1/auth/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, os.Args[0]}, serveArgs(t.TempDir())...)
	p := &process{t: t, cmd: exec.Command("/bin/sh", args...), out: newBuffer(), errs: newBuffer()}
	p.cmd.Env = append(os.Environ(), "GOTONG_TEST_IS_GOTONG=1")
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = p.out, p.errs, []*os.File{file}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	_, _ = file.Close(), l.Close()
	res, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Error(res.Status, err)
	}
	out := p.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") })
	if url := field(t, out, "API"); url != "http://"+address {
		t.Errorf("it listens at %s, not %s", url, address)
	}
	if code := p.interrupt(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}
