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
	"sync"
	"syscall"
	"time"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/bench"
	"gotong.dev/gotong/internal/config"
)

// secret signs the tokens of the load's users; the server accepts it as the
// key of another issuer.
const secret = "load-load-load-load-load-load-load-load"

// storeEnv is the variable with the address of the log for the server's
// process.
const storeEnv = "GOTONG_LOAD_STORE"

// serve is the server's process: the product with limits so high that they do
// not matter.
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
	app.LeaveSmallHeap()
	a, err := app.New(ctx, app.Options{
		Config: config.Config{
			Env: config.Development, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Data: dir,
			Store: shared, SigningKey: signing,
			JWTKeys:         []config.JWTKey{{KID: "load", Alg: "HS256", Key: secret}},
			AccessTokenLife: time.Hour, RefreshLife: time.Hour, PasswordHashes: 4, MaxSessions: 1 << 20,
			PendingPerAddress: 4096, PendingConns: 4096,
			UserRate: 1e6, UserBurst: 1e6, CommandRate: 1e6, CommandBurst: 1e6,
			AddressRate: 1e6, AddressBurst: 1e6, ShutdownGrace: 5 * time.Second,
		},
		Build: app.Build{Version: "load"}, HashProgram: self, CheckpointsNew: true,
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
	events  int
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
	cmd := exec.CommandContext(r.ctx, self, "server", filepath.Join(dir, "data")) // checkpoints lie beside it
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
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, out) })
	urls := strings.Fields(line)
	r.server = &server{cmd: cmd, addr: strings.TrimPrefix(urls[0], "http://"), admin: urls[1], dir: dir}
	err = scenario(r)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	reading.Wait()
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	return err
}

// cpu returns the user and system time that the server has used (proc(5),
// stat).
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

// usage returns what the server has used so far.
func (s *server) usage() (bench.Usage, error) {
	u := bench.Usage{CPU: s.cpu()}
	if err := s.numbers("io", map[string]*uint64{"syscr": &u.Reads, "syscw": &u.Writes, "write_bytes": &u.Written}); err != nil {
		return u, err
	}
	var resident, peak uint64
	if err := s.numbers("status", map[string]*uint64{"VmRSS": &resident, "VmHWM": &peak}); err != nil {
		return u, err
	}
	u.Resident, u.Peak = int64(resident)<<10, int64(peak)<<10
	resp, err := http.Get(s.admin + "/metrics")
	if err != nil {
		return u, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	_, rest, _ := strings.Cut(string(text), "\ngo_memstats_mallocs_total ")
	mallocs, _, _ := strings.Cut(rest, "\n")
	count, _ := strconv.ParseFloat(mallocs, 64)
	u.Mallocs = uint64(count)
	return u, err
}

// numbers reads "name: value" lines of one of the process's files in /proc.
func (s *server) numbers(file string, into map[string]*uint64) error {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), file))
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if number := strings.Fields(value); into[name] != nil && len(number) > 0 {
			*into[name], _ = strconv.ParseUint(number[0], 10, 64)
		}
	}
	return err
}

// fetch keeps a CPU profile of the measurement.
func (r *run) fetch(name string) {
	resp, err := http.Get(r.admin + "/debug/pprof/profile?seconds=" + strconv.Itoa(max(1, int(r.length.Seconds()))))
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
