package timer_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/timer"
)

// BenchmarkDueAtOnce closes 10,000 gates that are due in the same second, on an
// SQLite file, each once.
func BenchmarkDueAtOnce(b *testing.B) {
	const gates = 10_000
	for b.Loop() {
		b.StopTimer()
		clock := clocktest.Running()
		s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gotong.db"), sqlite.Options{Collections: store.Collections(kinds())})
		if err != nil {
			b.Fatal(err)
		}
		closed, all := 0, make(chan struct{})
		codec := store.NewCodec(kinds())
		var run *reader.Runner
		e := engine.New(engine.Options{Store: s, Codec: codec, Clock: clock, Committed: func(_ context.Context, rows []store.Event) {
			run.Committed(rows)
			for i := range rows {
				if rows[i].Type == cases.EvApplied {
					if closed++; closed == gates {
						close(all)
					}
				}
			}
		}})
		if run, err = reader.New(reader.Options{Store: s, Clock: clock, Log: slog.New(slog.DiscardHandler)},
			[]reader.Reader{timer.Reader(kinds())}, []reader.Handler{timer.Handler(codec, e)}); err != nil {
			b.Fatal(err)
		}
		open(b, e, gates)
		ctx, cancel := context.WithCancel(b.Context())
		var running sync.WaitGroup
		clock.Pass(25 * time.Minute)
		b.StartTimer()
		running.Go(func() { _ = run.Run(ctx) })
		<-all
		b.StopTimer()
		cancel()
		running.Wait()
		if _ = e.Close(context.Background()); closed != gates {
			b.Fatal(closed)
		}
		_ = s.Close()
		b.StartTimer()
	}
	b.ReportMetric(gates*float64(b.N)/b.Elapsed().Seconds(), "gates/s")
}

// open opens so many gates, each of a case of its own.
func open(b *testing.B, e *engine.Engine, gates int) {
	b.Helper()
	var making sync.WaitGroup
	for worker := range 64 {
		making.Go(func() {
			for i := worker; i < gates; i += 64 {
				s := cases.StreamOf("ani", fmt.Sprint(i))
				for n, data := range []any{
					cases.Create{ScopeID: fmt.Sprint("rt", i%50), Track: "ronda", Title: "Ronda", Privacy: cases.Public},
					cases.Propose{From: "keresahan", To: "bahas"},
				} {
					if _, err := e.Execute(b.Context(), gotong.Command{
						Stream: s, Type: []string{cases.CmdCreate, cases.CmdPropose}[n], Data: data, CorrelationID: "c",
						Actor: gotong.Actor{UserID: "ani", Role: gotong.RoleUser}, RequestID: fmt.Sprint("r", n),
					}); err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	making.Wait()
}
