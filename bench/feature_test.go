package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock"
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
	codec := store.NewCodec(app.Kinds())
	named := func(names ...string) []reader.Reader {
		list := slices.DeleteFunc(app.Readers(), func(r reader.Reader) bool { return !slices.Contains(names, r.Name) })
		if len(list) != len(names) {
			b.Fatalf("not all of %q are readers", names)
		}
		return list
	}
	base := []string{"audit", "timer", "webhook"} // of every server
	pushes := []reader.Reader{push.Alerting(inbox.Reader(app.Kinds()), true, time.Hour), push.Planner(true, time.Hour)}
	for _, f := range []struct {
		name    string
		readers []reader.Reader
	}{
		{"none", named(base...)}, {"inbox", named(append(base, "inbox")...)}, {"search", named(append(base, "search")...)},
		{"moderation", named(append(base, "moderation")...)}, {"files", named(append(base, "files")...)},
		{"push", append(named(base...), pushes...)},
		{"all", append(named(append(base, "search", "moderation", "files")...), pushes...)},
	} {
		b.Run("feature="+f.name, func(b *testing.B) { postWithFeature(b, codec, f.readers) })
	}
}

func postWithFeature(b *testing.B, codec *store.Codec, readers []reader.Reader) {
	b.Helper()
	s, r := running(b, readers)
	e := engine.New(engine.Options{Store: s, Codec: codec, Committed: func(_ context.Context, rows []store.Event) { r.Committed(rows) }})
	defer func() { _ = e.Close(context.Background()) }()
	run := func(request, typ string, data any) {
		_, err := e.Execute(b.Context(), gotong.Command{
			Stream: "thread/a", Type: typ, Data: data, RequestID: request, CorrelationID: "c",
			Actor: gotong.Actor{UserID: "owner", Role: gotong.RoleUser}, At: clock.System().Now(),
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	run("create", thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	for i := range 20 {
		run(fmt.Sprint("add", i), "member.add", thread.Add{UserID: fmt.Sprint("user", i)})
	}
	took, began := make([]time.Duration, 0, b.N), cpuTime()
	b.ResetTimer()
	for i := range b.N {
		text := "Air mulai surut di gang tiga; pompa kedua bisa dipindah ke balai warga sore ini, nomor " + fmt.Sprint(i)
		if i%10 == 0 {
			text = "@user3 " + text
		}
		began := time.Now()
		run(fmt.Sprint(i), thread.CmdPost, thread.Post{Body: text})
		took = append(took, time.Since(began))
	}
	behind := func(s reader.Status) bool { return s.Cursor < s.End }
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for slices.ContainsFunc(r.Status(), behind) {
		<-tick.C
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(float64((cpuTime()-began).Microseconds())/float64(b.N), "cpu-µs/post")
	b.ReportMetric(0, "ns/op")
}
