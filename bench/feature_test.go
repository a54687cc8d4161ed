package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/push"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// BenchmarkPostWithFeature measures what the readers of each feature add to a post.
// No post waits for a reader, so what remains is their share of the processors and
// of the disk. Posts come one after the other; every tenth mentions a member. The CPU
// includes that of the readers until they have read the last post.
func BenchmarkPostWithFeature(b *testing.B) {
	for _, f := range []struct {
		name    string
		readers []reader.Reader
	}{
		{"none", named(b)}, {"inbox", named(b, "inbox")}, {"search", named(b, "search")},
		{"moderation", named(b, "moderation")}, {"files", named(b, "files")},
		{"push", append(named(b), pushReaders()...)}, {"all", allReaders(b)},
	} {
		b.Run("feature="+f.name, func(b *testing.B) { postWithFeature(b, f.readers) })
	}
}

// named returns the readers of every server, and others.
func named(b *testing.B, others ...string) []reader.Reader {
	b.Helper()
	names := append([]string{"audit", "timer", "webhook"}, others...)
	list := slices.DeleteFunc(app.Readers(), func(r reader.Reader) bool { return !slices.Contains(names, r.Name) })
	if len(list) != len(names) {
		b.Fatalf("not all of %q are readers", names)
	}
	return list
}

// pushReaders returns those of push, with the inbox.
func pushReaders() []reader.Reader {
	return []reader.Reader{push.Alerting(inbox.Reader(app.Kinds()), true, time.Hour), push.Planner(true, time.Hour)}
}

func allReaders(b *testing.B) []reader.Reader {
	b.Helper()
	return append(named(b, "search", "moderation", "files"), pushReaders()...)
}

func postWithFeature(b *testing.B, readers []reader.Reader) {
	b.Helper()
	codec := store.NewCodec(app.Kinds())
	s, r := running(b, readers)
	e := engine.New(engine.Options{Store: s, Codec: codec, Committed: func(_ context.Context, rows []store.Event) { r.Committed(rows) }})
	defer func() { _ = e.Close(context.Background()) }()
	run := postsTo(b, e)
	took, began := make([]time.Duration, 0, b.N), cpuTime()
	b.ResetTimer()
	for i := range b.N {
		text := "Air mulai surut di gang tiga; pompa kedua bisa dipindah ke balai warga sore ini, nomor " + fmt.Sprint(i)
		if i%10 == 0 {
			text = "@" + neighbour(0) + " " + text
		}
		began := time.Now()
		run(fmt.Sprint(i), thread.CmdPost, thread.Post{Body: text})
		took = append(took, time.Since(began))
	}
	follow(r)
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(float64((cpuTime()-began).Microseconds())/float64(b.N), "cpu-µs/post")
	b.ReportMetric(0, "ns/op")
}
