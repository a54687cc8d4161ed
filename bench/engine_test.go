package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

// BenchmarkEngine posts messages through the whole write path, without a
// network: rules, chain, group commit, sync.
func BenchmarkEngine(b *testing.B) {
	kinds := []gotong.Kind{thread.Kind(group.Kind()), group.Kind()}
	now := func() gotong.Instant { return gotong.InstantOf(time.Now()) }
	stores := map[string]func(*testing.B) engine.Store{
		"memory": func(b *testing.B) engine.Store {
			b.Helper()
			s := memory.New("", memory.Options{Now: now})
			b.Cleanup(func() { _ = s.Close() })
			return s
		},
		"sqlite": func(b *testing.B) engine.Store {
			b.Helper()
			return openSQLite(b)
		},
		"postgres": func(b *testing.B) engine.Store {
			b.Helper()
			return openPostgres(b, postgrestest.Start(b).Schema())
		},
	}
	for _, name := range []string{"memory", "sqlite", "postgres"} {
		for _, callers := range []int{1, 64} {
			for _, threads := range []int{1, 64} {
				if callers == 1 && threads > 1 {
					continue
				}
				b.Run(fmt.Sprintf("store=%s/callers=%d/threads=%d", name, callers, threads), func(b *testing.B) {
					postAll(b, stores[name](b), kinds, callers, threads)
				})
			}
		}
	}
}

func postAll(b *testing.B, s engine.Store, kinds []gotong.Kind, callers, threads int) {
	b.Helper()
	e := engine.New(engine.Options{Store: s, Codec: store.NewCodec(kinds)})
	defer func() { _ = e.Close(context.Background()) }()
	owner := gotong.Actor{UserID: "owner", Role: gotong.RoleUser}
	streams := make([]gotong.Stream, threads)
	for i := range streams {
		request := fmt.Sprint("create", i)
		streams[i] = gotong.NewStream(thread.Name, gotong.DeriveID(thread.Name, owner.UserID, request))
		_, err := e.Execute(b.Context(), gotong.Command{
			Stream: streams[i], Type: thread.CmdCreate, Actor: owner, RequestID: request,
			Data: thread.Create{ScopeID: fmt.Sprint("rt", i), Privacy: thread.Public},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	const text = "Air mulai surut di gang tiga; pompa kedua bisa dipindah ke balai warga sore ini."
	var next atomic.Int64
	b.SetParallelism((callers + 1) / 2) // times GOMAXPROCS
	b.ResetTimer()
	began := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := next.Add(1)
			_, err := e.Execute(context.Background(), gotong.Command{
				Stream: streams[int(n)%threads], Type: thread.CmdPost, Actor: owner, RequestID: fmt.Sprint(n),
				Data: thread.Post{Body: text}, Raw: []byte(text),
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "posts/s")
}
