package app

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/telemetry"
)

// spoiled is a store whose second event of thread/a does not match.
type spoiled struct{ store.Whole }

var bad = &store.Damaged{Stream: "thread/a", Seq: 2}

func (s *spoiled) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := s.Whole.Load(ctx, need)
	for i, r := range need.Events {
		switch {
		case err != nil || r.Stream != bad.Stream || r.To < bad.Seq:
		case r.From == bad.Seq-1:
			return store.Snapshot{}, bad
		case r.From < bad.Seq:
			snap.Events[i] = snap.Events[i][:bad.Seq-1-r.From]
		}
	}
	return snap, err
}

func (s *spoiled) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) ([]store.Event, error) {
	rows, err := s.Whole.ReadPartition(ctx, p, from, to, limit)
	if err != nil || p != gotong.PartitionOf(bad.Stream) || from > 1 {
		return rows, err
	}
	if from == 1 {
		return nil, bad
	}
	return rows[:1], nil
}

// TestCheckReportsOnce: what the background check finds is one line, whatever
// ways lead to it.
func TestCheckReportsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New("", memory.Options{})
		t.Cleanup(func() { _ = s.Close() })
		m := storetest.NewMaker(s.Epoch())
		for range 3 {
			if _, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(storetest.Draft{Stream: "thread/a", Events: 1})}); err != nil {
				t.Fatal(err)
			}
		}
		var logged bytes.Buffer
		a := &App{
			codec: store.NewCodec(nil), clock: clocktest.Running(), metrics: telemetry.NewMetrics(telemetry.Build{}),
			log: slog.New(slog.NewTextHandler(&logged, nil)),
		}
		var cancel context.CancelFunc
		a.base, cancel = context.WithCancel(t.Context())
		a.keep(&spoiled{s})
		done := make(chan struct{})
		go func() { defer close(done); _ = a.newCheck().Run(a.base) }()
		time.Sleep(3 * time.Hour)
		cancel()
		<-done
		if n := strings.Count(logged.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d lines:\n%s", n, logged.String())
		}
	})
}
