package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/config"
)

// secret signs the tokens of the load's users; the server accepts it as the
// key of another issuer.
const secret = "load-load-load-load-load-load-load-load"

// storeEnv tells the server's process where the log is kept.
const storeEnv = "GOTONG_LOAD_STORE"

// serve is the server's process: the product as it is, with rate limits that
// do not limit.
func serve(dir string) error {
	shared := os.Getenv(storeEnv)
	var signing string
	if shared != "" { // which wants the same key on each node
		signing = base64.StdEncoding.EncodeToString([]byte(secret))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	a, err := app.New(ctx, app.Options{
		Config: config.Config{
			Env: config.Development, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Data: dir,
			Store: shared, SigningKey: signing,
			JWTKeys:         []config.JWTKey{{KID: "load", Alg: "HS256", Key: secret}},
			AccessTokenLife: time.Hour, RefreshLife: time.Hour, PasswordHashes: 4, MaxSessions: 1 << 20,
			UserRate: 1e9, UserBurst: 1e9, CommandRate: 1e9, CommandBurst: 1e9,
			AddressRate: 1e9, AddressBurst: 1e9, ShutdownGrace: 5 * time.Second,
		},
		Build: app.Build{Version: "load"}, HashProgram: self,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	fmt.Println(a.URL(), a.AdminURL())
	return a.Run(ctx)
}

// server is the child process.
type server struct {
	cmd   *exec.Cmd
	addr  string
	admin string
	dir   string
}

// run is one call of the command.
type run struct {
	ctx     context.Context //nolint:containedctx // of the whole call
	length  time.Duration
	clients int
	profile string
	store   string
	*server
}

// with runs a scenario against a fresh server.
func (r *run) with(name string, scenario func(*run) error) error {
	dir, err := os.MkdirTemp("", "gotong-load-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(r.ctx, self, "server", dir)
	cmd.Stderr = os.Stderr
	if r.store != "" {
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s/%s-%d", storeEnv, r.store, name, time.Now().Unix()))
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the server did not start: %w", err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	urls := strings.Fields(line)
	r.server = &server{cmd: cmd, addr: strings.TrimPrefix(urls[0], "http://"), admin: urls[1], dir: dir}
	fmt.Printf("\n## %s\n", name)
	err = scenario(r)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	return err
}

// cpu is the user and system time that the server has used (proc(5), stat).
func (s *server) cpu() time.Duration {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	return time.Duration(user+system) * tick
}

// rss is the server's resident memory in bytes.
func (s *server) rss() int64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "statm"))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// profiled takes a CPU profile of the server while f runs.
func (r *run) profiled(name string, f func()) {
	if r.profile == "" {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.fetch("profile?seconds="+strconv.Itoa(int(r.length.Seconds())), name)
	}()
	f()
	<-done
}

// heap keeps what the server's memory is used for.
func (r *run) heap(name string) {
	if r.profile != "" {
		r.fetch("heap?gc=1", name)
	}
}

// fetch writes one of the server's profiles into the folder for them.
func (r *run) fetch(what, name string) {
	resp, err := http.Get(r.admin + "/debug/pprof/" + what)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load: profile:", err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	file, err := os.Create(filepath.Join(r.profile, name+".pprof"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "load: profile:", err)
		return
	}
	_, _ = io.Copy(file, resp.Body)
	_ = file.Close()
}
