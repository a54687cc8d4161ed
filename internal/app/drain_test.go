package app_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/config"
)

// From the first sign of a shutdown /readyz answers 503 draining, so that
// nothing new is sent here, while what is in flight is still answered.
func TestReadyWhileDraining(t *testing.T) {
	t.Cleanup(web.CloseIdleConnections)
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
	stop()
	for { // until the node has seen the sign
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
