package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/advice"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
)

// BenchmarkPostWithAdvice measures what advice adds to a post. No post waits for
// it, so what remains is its share of the processors and of the disk. Posts come
// one after the other; asked/post shows that advice was given on them.
func BenchmarkPostWithAdvice(b *testing.B) {
	for _, provider := range []edgepod.Provider{nil, edgepod.Rules{}} {
		pod := edgepod.New(edgepod.Options{Provider: provider, Clock: clock.System()})
		b.Run("provider="+pod.Provider(), func(b *testing.B) { postWithAdvice(b, pod) })
	}
}

func postWithAdvice(b *testing.B, pod *edgepod.Boundary) {
	b.Helper()
	var s *sqlite.Store
	var r *reader.Runner
	var e *engine.Engine
	codec, ready := store.NewCodec(app.Kinds()), make(chan struct{})
	asked := make(chan string, b.N)
	s, r = running(b, []reader.Reader{advice.Reader(pod.Asks())}, reader.Handler{
		Queue: "advice", Run: func(ctx context.Context, job store.Job) (reader.Result, error) {
			<-ready
			return advice.Handler(advice.Options{
				Boundary: pod, Store: s, Codec: codec, Engine: e, Now: clock.System().Now, Ended: func(outcome string) { asked <- outcome },
			}).Run(ctx, job)
		},
	})
	e = engine.New(engine.Options{Store: s, Codec: codec, Committed: func(_ context.Context, rows []store.Event) { r.Committed(rows) }})
	close(ready)
	defer func() { _ = e.Close(context.Background()) }()
	run := func(request, typ string, data any) {
		_, err := e.Execute(b.Context(), gotong.Command{
			Stream: "thread/a", Type: typ, Data: data, RequestID: request, CorrelationID: "c",
			Actor: gotong.Actor{UserID: "owner", Role: gotong.RoleUser},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	run("create", thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		run(fmt.Sprint(i), thread.CmdPost, thread.Post{Body: "Air mulai surut di gang tiga; pompa kedua bisa dipindah ke balai warga sore ini."})
		took = append(took, time.Since(began))
	}
	b.StopTimer()
	n := 0
	for ; pod.Asks() && n < b.N; n++ {
		if outcome := <-asked; outcome != "nothing" {
			b.Fatal(outcome)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(float64(n)/float64(b.N), "asked/post")
}
