package bench

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/storetest"
)

// running starts the readers and handlers on a database of their own.
func running(b *testing.B, readers []reader.Reader, handlers ...reader.Handler) (*sqlite.Store, *reader.Runner) {
	b.Helper()
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gotong.db"), sqlite.Options{
		Collections: append(store.Collections(app.Kinds()), reader.Collections(readers)...), Now: clock.System().Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	r, err := reader.New(reader.Options{Store: s, Clock: clock.System(), Log: slog.New(slog.DiscardHandler)}, readers, handlers)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = r.Run(ctx) })
	b.Cleanup(func() {
		cancel()
		group.Wait()
		_ = s.Close()
	})
	return s, r
}

// BenchmarkLonePostWithReaders measures what readers add to what a lone post
// writes: posts one after the other, so that none shares a transaction, and each
// so long after the one before that the readers write a step for it alone.
func BenchmarkLonePostWithReaders(b *testing.B) {
	for name, readers := range map[string][]reader.Reader{"none": nil, "all": app.Readers()} {
		b.Run("readers="+name, func(b *testing.B) {
			s, r := running(b, readers)
			m := storetest.NewMaker(s.Epoch())
			post := func() {
				c := m.Next(storetest.Draft{Stream: "thread/a", Events: 1})
				out, err := store.CommitAll(b.Context(), s, []store.Commit{c})
				if err != nil || out[0].Status != store.Committed {
					b.Fatal(out, err)
				}
				c.Events[0].Position = out[0].Record.Position
				r.Committed(c.Events)
			}
			post()
			before, quiet := ioOf(b), time.NewTicker(150*time.Millisecond)
			defer quiet.Stop()
			b.ResetTimer()
			for range b.N {
				post()
				<-quiet.C
			}
			after := ioOf(b)
			b.ReportMetric(float64(after["syscw"]-before["syscw"])/float64(b.N), "syscalls-w/post")
			b.ReportMetric(float64(after["wchar"]-before["wchar"])/1000/float64(b.N), "KB-written/post")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkJobs runs 10,000 jobs that are due at one moment. Each commits one
// event under a request id that follows from the job.
func BenchmarkJobs(b *testing.B) {
	const jobs = 10_000
	for range b.N {
		var done atomic.Int64
		ended := make(chan struct{})
		var s *sqlite.Store
		run := func(ctx context.Context, job store.Job) (reader.Result, error) {
			id := reader.RequestID("close", job.ID)
			c := storetest.Build(s.Epoch(), storetest.Draft{Stream: gotong.Stream("thread/" + job.ID), RequestID: id, Events: 1})
			out, err := store.CommitAll(ctx, s, []store.Commit{c})
			if err != nil || out[0].Status != store.Committed {
				return reader.Result{}, fmt.Errorf("%+v %w", out, err)
			}
			if done.Add(1) == jobs {
				close(ended)
			}
			return reader.Done, nil
		}
		s, _ = running(b, nil, reader.Handler{Queue: "q", Parallel: 64, Run: run})
		step := store.Step{Reader: "maker", To: 1}
		for i := range jobs {
			step.Jobs = append(step.Jobs, store.Job{Queue: "q", ID: fmt.Sprint(i), Due: 1})
		}
		began := time.Now()
		if err := s.Advance(b.Context(), step); err != nil {
			b.Fatal(err)
		}
		<-ended
		b.ReportMetric(jobs/time.Since(began).Seconds(), "jobs/s")
	}
}
