package bench

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/search"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/view"
)

// BenchmarkSearch posts messages to a thousand threads on SQLite, has the reader of
// the search index them, and measures its rate, the size of the index, and how long
// searches take for a member of 500 threads and for one of 20, each with reading what
// they may see. GOTONG_SEARCH_MESSAGES is how many messages; by default 20,000.
func BenchmarkSearch(b *testing.B) {
	n, _ := strconv.Atoi(cmp.Or(os.Getenv("GOTONG_SEARCH_MESSAGES"), "20000"))
	kinds := []gotong.Kind{user.Kind(), group.Kind()}
	kinds = append(kinds, thread.Rules{Lenders: gotong.LendersOf(kinds), Claim: user.NameClaim}.Kind())
	codec := store.NewCodec(kinds)
	index := search.Reader(codec)
	path := filepath.Join(b.TempDir(), "gotong.db")
	s, err := sqlite.Open(b.Context(), path, sqlite.Options{Collections: append(store.Collections(kinds), index.Collections...)})
	must(b, err)
	defer func() { must(b, s.Close()) }()
	e := engine.New(engine.Options{Store: s, Codec: codec})
	defer func() { must(b, e.Close(b.Context())) }()
	do := func(by string, in gotong.Stream, id, name string, data any) {
		_, err := e.Execute(b.Context(), gotong.Command{
			Stream: in, Type: name, Actor: gotong.Actor{UserID: by, Role: gotong.RoleUser}, RequestID: id, CorrelationID: id, Data: data, Raw: []byte(id),
		})
		must(b, err)
	}
	const threads = 1000
	streams := make([]gotong.Stream, threads)
	for i := range streams {
		streams[i] = gotong.NewStream(thread.Name, gotong.DeriveID("bench", "owner", fmt.Sprint(i)))
		do("owner", streams[i], "c", thread.CmdCreate, thread.Create{ScopeID: fmt.Sprint("rt", i%50), Privacy: thread.Private, History: thread.All})
		if i%2 == 0 {
			do("owner", streams[i], "w", thread.CmdAdd, thread.Add{UserID: "wati"})
		}
		if i%50 == 0 {
			do("owner", streams[i], "j", thread.CmdAdd, thread.Add{UserID: "joko"})
		}
	}
	var at atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for g := range 64 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 7))
			words := rand.NewZipf(r, 1.1, 8, 30_000)
			for i := at.Add(1); i <= int64(n); i = at.Add(1) {
				text := make([]string, 6+r.IntN(8))
				for j := range text {
					text[j] = benchWord(words.Uint64())
				}
				do("owner", streams[r.IntN(threads)], fmt.Sprint("m", i), thread.CmdPost, thread.Post{Body: strings.Join(text, " ")})
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "posts/s")
	before := sizeOf(b, path)
	run, err := reader.New(reader.Options{Store: s, Clock: clock.System(), Log: slog.New(slog.DiscardHandler)}, []reader.Reader{index}, nil)
	must(b, err)
	start = time.Now()
	must(b, run.CatchUp(b.Context()))
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "indexed/s")
	b.ReportMetric(float64(sizeOf(b, path)-before)/float64(n), "index-B/message")
	find := search.Search{Store: s, Views: view.New(view.Options{Store: s, Codec: codec})}
	for _, who := range []string{"wati", "joko"} {
		took := searches(b, find, s, streams, who)
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2].Seconds()*1000, who+"-p50-ms")
		b.ReportMetric(took[len(took)*95/100].Seconds()*1000, who+"-p95-ms")
		b.ReportMetric(took[len(took)-1].Seconds()*1000, who+"-max-ms")
	}
	b.ReportMetric(0, "ns/op")
}

// searches returns how long searches of many sorts took.
func searches(b *testing.B, find search.Search, s *sqlite.Store, streams []gotong.Stream, who string) (took []time.Duration) {
	b.Helper()
	r, places := rand.New(rand.NewPCG(5, 6)), store.Places{}
	me := gotong.Viewer{UserID: who, Role: gotong.RoleUser}
	for i := range 200 {
		word := func(most uint64) string { return benchWord(r.Uint64N(most)) }
		query := [...]string{
			word(10), word(300), word(30_000), word(100) + " " + word(100), `"` + word(20) + " " + word(20) + `"`,
			"from:owner " + word(3000), word(1000) + " has:link",
		}[i%7]
		q, err := search.Parse(query)
		must(b, err)
		start := time.Now()
		var extents []search.Extent
		for part := range slices.Chunk(streams, store.MaxOwners) {
			looks, _, err := find.Views.Look(b.Context(), me, part, nil, nil)
			must(b, err)
			for _, l := range looks {
				if l.Grant.Readable {
					a, err := places.Resolve(b.Context(), s, l.Stream, []gotong.Viewer{me}, []gotong.Grant{l.Grant})
					must(b, err)
					extents = append(extents, search.Extent{Stream: l.Stream, Partition: gotong.PartitionOf(l.Head.Home), Access: a[0]})
				}
			}
		}
		_, err = find.Find(b.Context(), q, q.From, extents, gotong.EventID{}, 20)
		must(b, err)
		took = append(took, time.Since(start))
	}
	return took
}

// benchWord returns word n of a made-up language, common ones first.
func benchWord(n uint64) string {
	const first, second = "bcdfghjklmnprstw", "aiueo"
	word := ""
	for n += 80; n > 0; n /= 80 {
		word += string(first[n%80/5]) + string(second[n%5])
	}
	return word
}

func sizeOf(b *testing.B, path string) (n int64) {
	b.Helper()
	for _, end := range []string{"", "-wal"} {
		if info, err := os.Stat(path + end); err == nil {
			n += info.Size()
		}
	}
	return n
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
