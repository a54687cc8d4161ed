package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is this program as another process.
type process struct {
	t         *testing.T
	cmd       *exec.Cmd
	out, errs *buffer
}

// spawn starts a program with the test's own as gotong.
func spawn(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...), out: newBuffer(), errs: newBuffer()}
	p.cmd.Env = append(os.Environ(), "GOTONG_TEST_IS_GOTONG=1")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.errs
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	return p
}

// interrupt is what Ctrl-C does: a signal to all of its processes.
func (p *process) interrupt() int {
	p.t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		p.t.Error(err)
	}
	return p.wait()
}

func (p *process) wait() int {
	p.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.cmd.Wait() // the exit code says it
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-done:
		return p.cmd.ProcessState.ExitCode()
	case <-late.C:
		p.t.Fatalf("does not end:\n%s\n%s", p.out.String(), p.errs.String())
		return -1
	}
}

// What a demo prints is run as it is printed.
func TestDemoInvitation(t *testing.T) {
	for _, program := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s", program)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	demo := spawn(t, self, "demo", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0")
	text := demo.out.await(t, "invitation", func(s string) bool { return strings.Contains(s, "Ctrl-C ends it.\n") && strings.Contains(s, "Metrics") })
	t.Logf("the invitation came after %s", time.Since(began).Round(time.Millisecond))
	lines := pasted(text)
	if len(lines) != 8 {
		t.Fatalf("%d lines to paste, want 8:\n%s", len(lines), text)
	}
	setup, rest := lines[0]+"\n"+lines[1]+"\n", lines[2:]
	if strings.Contains(strings.Join(rest[:4], ""), token(lines[1])) {
		t.Error("the token is in more than its variable")
	}
	if first := regexp.MustCompile(`http://\S+`).FindString(text); !strings.HasSuffix(first, "/#token="+token(lines[1])) {
		t.Errorf("the first address is %s, not the console's", first)
	}
	tail := spawn(t, "sh", "-c", setup+"exec "+rest[0]) // the shell does not stand between
	tail.out.await(t, "talk", func(s string) bool { return strings.Contains(s, "Pak.Joko") })
	for name, c := range map[string]struct {
		line string
		want string
	}{
		"say":   {rest[1], `"body":"Halo, saya tetangga baru"`},
		"sse":   {rest[2], `"type":"message.posted"`},
		"group": {rest[3], "Ini ruang pengurus"},
		"case":  {rest[4], "opened the case"},
		"token": {rest[5] + "\nprintf %s \"$GOTONG_TOKEN\"", "eyJ"},
		"docs":  {"curl -sSf $GOTONG_URL/docs", "<html"},
		"page":  {"curl -sSf $GOTONG_URL/", `<div id="app">`},
		"api":   {"curl -sSf $GOTONG_URL/openapi.json", `"openapi"`},
		"async": {"curl -sSf $GOTONG_URL/asyncapi.json", `"asyncapi"`},
	} {
		p := spawn(t, "sh", "-c", setup+c.line)
		p.out.await(t, name, func(s string) bool { return strings.Contains(s, c.want) })
	}
	tail.out.await(t, "what was said", func(s string) bool { return strings.Contains(s, "Tamu          Halo, saya tetangga baru") })
	tail.out.await(t, "answer", func(s string) bool { return strings.Contains(s, "Bu.Wati       [to Tamu] Halo Tamu, selamat datang") })
	if code := tail.interrupt(); code != 0 || tail.errs.String() != "" {
		t.Errorf("tail ended with %d: %s", code, tail.errs.String())
	}
	kept := regexp.MustCompile(`Everything is in (\S+)`).FindStringSubmatch(text)
	if _, err := os.Stat(kept[1]); err != nil {
		t.Error(err)
	}
	if code := demo.interrupt(); code != 0 || demo.errs.String() != "" {
		t.Errorf("demo ended with %d: %s", code, demo.errs.String())
	}
	if _, err := os.Stat(kept[1]); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", kept[1], err)
	}
}

// pasted is the lines of an invitation that are to be pasted.
func pasted(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			list = append(list, strings.TrimSpace(command))
		}
	}
	return list
}

func token(export string) string { return strings.TrimPrefix(export, "export GOTONG_TOKEN=") }

// A demo with its own directory finds its neighbourhood again, and one whose
// port is taken goes to another and says so.
func TestDemoOnTheSameDataAddsNothing(t *testing.T) {
	data := filepath.Join(t.TempDir(), "rt05")
	var thread string
	for i := range 2 {
		b := interruptible(t, "demo", "--data="+data, "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0")
		text := b.out.await(t, "invitation", func(s string) bool { return strings.Contains(s, "Ctrl-C ends it.\n") })
		found := regexp.MustCompile(`tail ([0-9a-f-]{36})`).FindStringSubmatch(text)
		if found == nil || i > 0 && found[1] != thread {
			t.Errorf("another thread than %s:\n%s", thread, text)
		}
		thread = found[1]
		if code := b.stop(); code != 0 || b.errs.String() != "" {
			t.Errorf("ended with %d: %s", code, b.errs.String())
		}
		if _, err := os.Stat(filepath.Join(data, "gotong.db")); err != nil {
			t.Error(err)
		}
	}
}

func TestDemoUsesAFreePortAndTemporaryData(t *testing.T) {
	std, out, _ := pipes(nil)
	busy := interruptible(t, "demo", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0")
	text := busy.out.await(t, "invitation", func(s string) bool { return strings.Contains(s, "Ctrl-C ends it.\n") })
	taken := regexp.MustCompile(`http://(\S+)/docs`).FindStringSubmatch(text)[1]
	c := demoCmd{}
	c.Addr, c.AdminAddr, c.LogLevel = taken, "127.0.0.1:0", "debug"
	temporary, err := c.adapt(map[string]bool{"log-level": true}, std)
	if err != nil || !temporary || c.Addr != "127.0.0.1:0" || !strings.Contains(out.String(), taken+" is in use") || c.LogLevel != "debug" {
		t.Errorf("%v, %v, %+v, %s", temporary, err, c.Config, out.String())
	}
	if err := os.Remove(filepath.Dir(c.Data)); err != nil {
		t.Error(err)
	}
	given := demoCmd{}
	given.Addr, given.AdminAddr, given.Data = taken, taken, "x"
	temporary, err = given.adapt(map[string]bool{"addr": true, "admin-addr": true, "data": true}, std)
	if err != nil || temporary || given.Addr != taken || given.Data != "x" {
		t.Errorf("%v, %v, %+v", temporary, err, given.Config)
	}
	if code := busy.stop(); code != 0 {
		t.Errorf("ended with %d: %s", code, busy.errs.String())
	}
}

func TestOpener(t *testing.T) {
	for name, c := range map[string]struct {
		system string
		env    map[string]string
		want   string
	}{
		"desktop":         {"linux", map[string]string{"DISPLAY": ":0"}, "xdg-open"},
		"wayland":         {"freebsd", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, "xdg-open"},
		"over ssh":        {"linux", nil, ""},
		"Mac":             {"darwin", nil, "open"},
		"CI":              {"darwin", map[string]string{"CI": "true"}, ""},
		"CI on a desktop": {"linux", map[string]string{"CI": "1", "DISPLAY": ":0"}, ""},
	} {
		if got := opener(c.system, func(key string) string { return c.env[key] }); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
