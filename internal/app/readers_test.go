package app

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// A job reaches the engine of the server: it may be rejected there, but no part
// that it needs is missing.
func TestJobsReachTheEngine(t *testing.T) {
	a, err := New(t.Context(), Options{
		Config: config.Config{
			Env: config.Development, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Data: t.TempDir(), Store: "memory:",
			AccessTokenLife: time.Hour, RefreshLife: time.Hour, PasswordHashes: 1, MaxSessions: 100,
			CommandRate: 1000, CommandBurst: 1000, ShutdownGrace: 5 * time.Second,
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range handlers(a) {
		job := store.Job{
			Queue: h.Queue, ID: "one", Due: 1,
			Body: []byte(`{"stream":"thread/99205417-81ff-83c6-9640-cd0f871b8bc1","type":"message.post","data":{"body":"x"}}`),
		}
		if err := a.store.Advance(t.Context(), store.Step{Reader: "test of " + h.Queue, Jobs: []store.Job{job}}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		jobs, err := reader.Jobs(t.Context(), a.bare, false, 0)
		if err != nil {
			t.Fatal(err)
		}
		tried := true
		for _, j := range jobs {
			tried = tried && j.Attempt > 0
			if strings.Contains(j.Error, store.ErrFault.Error()) {
				t.Errorf("%s: %s", j.Queue, j.Error)
			}
		}
		if tried {
			break
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
