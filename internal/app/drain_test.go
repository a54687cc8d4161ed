package app_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/config"
)

// Once a shutdown begins, /readyz answers 503 draining, so that balancers send no new
// requests; the server still answers the requests that it has. systemd receives
// READY=1, WATCHDOG=1 and STOPPING=1.
func TestReadyWhileDraining(t *testing.T) {
	t.Cleanup(web.CloseIdleConnections)
	heard := systemd(t)
	cfg := config.Config{
		Env: config.Development, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Data: t.TempDir(), Store: "memory:",
		AccessTokenLife: time.Hour, RefreshLife: time.Hour, PasswordHashes: 2, MaxSessions: 1000,
		UserRate: 1000, UserBurst: 1000, CommandRate: 1000, CommandBurst: 1000, AddressRate: 1000, AddressBurst: 1000,
		ShutdownGrace: time.Minute, OTelSample: 1,
	}
	a, err := app.New(t.Context(), app.Options{Config: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	<-heard["READY=1"]
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if v, ok := os.LookupEnv(name); ok {
			t.Errorf("children of the server get %s=%s", name, v)
		}
	}
	ready := func() (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.AdminURL()+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	if status, body := ready(); status != http.StatusOK {
		t.Fatal(status, body)
	}
	// A request that lacks its body keeps the node from ending.
	const body = `{"email":"a@example.org","pass":"rahasia"}`
	held, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	_, err = io.WriteString(held, "POST /v1/auth/signin HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 42\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 25)
	if _, err := io.ReadFull(held, b); err != nil || string(b) != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("%q %v", b, err)
	}
	<-heard["WATCHDOG=1"]
	stop()
	<-heard["STOPPING=1"] // and the request in flight keeps the server
	for {                 // until the node has seen the sign
		status, body := ready()
		if status == http.StatusServiceUnavailable && strings.Contains(body, `"draining"`) {
			break
		}
		if status != http.StatusOK {
			t.Fatal(status, body)
		}
		select {
		case err := <-done:
			t.Fatalf("it ended and never reported that it was draining: %v", err)
		default:
		}
	}
	if _, err := io.WriteString(held, body); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(held); err != nil || !strings.Contains(string(answer), " 401 ") {
		t.Errorf("the request in flight: %q %v", answer, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// systemd sets the environment of a service. Each channel of the result is closed by
// the first message of its name; it listens until the test ends.
func systemd(t *testing.T) (heard map[string]chan struct{}) {
	t.Helper()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", socket.LocalAddr().String())
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	heard = map[string]chan struct{}{"READY=1": make(chan struct{}), "WATCHDOG=1": make(chan struct{}), "STOPPING=1": make(chan struct{})}
	var listening sync.WaitGroup
	t.Cleanup(func() { _ = socket.Close(); listening.Wait() })
	listening.Go(func() {
		seen, b := map[string]bool{}, make([]byte, 100)
		for {
			n, err := socket.Read(b)
			if err != nil {
				return
			}
			switch state := string(b[:n]); {
			case heard[state] == nil:
				t.Errorf("systemd got %q", state)
			case !seen[state]:
				seen[state] = true
				close(heard[state])
			}
		}
	})
	return heard
}
