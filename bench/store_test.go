package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/bench/bare"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/storetest"
)

// A post of this benchmark: a body of some 110 characters, in a thread, by one
// of 64 users, with a request id that sorts by time.
const postBody = "Halo semua, besok kita kerja bakti membersihkan selokan jam tujuh pagi di depan balai RW. Bawa cangkul ya."

// load is one setting of both benchmarks. Threads of the same home are in one
// partition.
type load struct{ batch, streams, homes int }

var loads = []load{{1, 1, 1}, {64, 1, 1}, {64, 8, 1}, {64, 64, 1}, {64, 256, 1}, {64, 256, 64}, {64, 10_000, 64}, {200, 1, 1}, {200, 64, 1}}

func (l load) name() string {
	return fmt.Sprintf("batch=%d/threads=%d/homes=%d", l.batch, l.streams, l.homes)
}

// posts makes commits of one event each, batch by batch.
type posts struct {
	maker *storetest.Maker
	load  load
	n     int
}

func (p *posts) next(batch []store.Commit) {
	for i := range batch {
		p.n++
		batch[i] = p.maker.Next(storetest.Draft{
			Stream: gotong.Stream("thread/019ab697-e800-7000-80e6-" + fmt.Sprintf("%012d", p.n%p.load.streams)),
			Home:   gotong.Stream(fmt.Sprintf("group/ent-rt%02d", p.n%p.load.streams%p.load.homes)), Actor: fmt.Sprintf("019ab697-e800-7000-8000-%012d", p.n%64), Events: 1, Body: postBody,
			RequestID: gotong.NewEventID(gotong.Instant(1_764_000_000_000_000+p.n), uint64(p.n)*0x9e3779b97f4a7c15).String(),
			At:        gotong.Instant(1_764_000_000_000_000 + p.n),
		})
	}
}

// meter adds up only the time of one writer's calls.
type meter struct {
	write     func([]store.Commit)
	posts     posts
	took, cpu time.Duration
	calls     []time.Duration
}

func newMeter(l load, epoch gotong.Epoch, write func([]store.Commit)) *meter {
	m := &meter{write: write, posts: posts{maker: storetest.NewMaker(epoch), load: l}}
	for range (l.streams + l.batch - 1) / l.batch { // so that no thread has to be made later
		m.batch()
	}
	m.took, m.cpu, m.calls = 0, 0, nil
	return m
}

func (m *meter) batch() {
	batch := make([]store.Commit, m.posts.load.batch)
	m.posts.next(batch)
	from, cpu := time.Now(), cpuTime()
	m.write(batch)
	call := time.Since(from)
	m.took, m.cpu, m.calls = m.took+call, m.cpu+cpuTime()-cpu, append(m.calls, call)
}

// run measures n posts and reports them.
func (m *meter) run(b *testing.B) {
	b.Helper()
	b.ResetTimer()
	n, before := 0, ioOf(b)
	for ; n < b.N; n += m.posts.load.batch {
		m.batch()
	}
	after := ioOf(b)
	b.ReportMetric(float64(after["syscw"]-before["syscw"])/float64(n), "syscalls-w/commit")
	b.ReportMetric(float64(after["wchar"]-before["wchar"])/1000/float64(n), "KB-written/commit")
	b.ReportMetric(float64(n)/m.took.Seconds(), "commits/s")
	b.ReportMetric(float64(m.cpu.Microseconds())/float64(n), "cpu-µs/commit")
	slices.Sort(m.calls)
	for name, part := range map[string]float64{"p50-ms": 0.5, "p99-ms": 0.99, "max-ms": 1} {
		b.ReportMetric(float64(m.calls[int(part*float64(len(m.calls)-1))].Microseconds())/1000, name)
	}
	b.ReportMetric(0, "ns/op")
}

// ioOf returns the kernel's counts of what this process has read and written:
// syscw counts calls that write, wchar their bytes. It is empty if the kernel
// has none.
func ioOf(b *testing.B) map[string]int64 {
	b.Helper()
	io := map[string]int64{}
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return io
	}
	for line := range strings.Lines(string(text)) {
		var name string
		var n int64
		if _, err := fmt.Sscanf(line, "%s %d", &name, &n); err == nil {
			io[strings.TrimSuffix(name, ":")] = n
		}
	}
	return io
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSQLiteStore measures Store.Commit, with every promise of the port.
func BenchmarkSQLiteStore(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name(), func(b *testing.B) { openStore(b, l).run(b) })
	}
}

// BenchmarkBareSQLite measures the limit: the same rows by the same driver in
// the same tables and files, without the port, its checks and its caches. A
// write is a row of a table or an entry of an index.
func BenchmarkBareSQLite(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name(), func(b *testing.B) {
			m, w := openBare(b, l)
			m.run(b)
			b.ReportMetric(float64(w.Writes)/float64(w.Posts), "writes/commit")
		})
	}
}

// BenchmarkSQLiteRatio alternates between the store and the limit, batch by
// batch, so that disturbances of the machine affect both. It reports the part
// of the limit's speed that the store reaches, in time and in CPU.
func BenchmarkSQLiteRatio(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name(), func(b *testing.B) {
			s := openStore(b, l)
			limit, _ := openBare(b, l)
			b.ResetTimer()
			for n := 0; n < b.N; n += l.batch {
				s.batch()
				limit.batch()
			}
			b.ReportMetric(limit.took.Seconds()/s.took.Seconds(), "of-limit")
			b.ReportMetric(limit.cpu.Seconds()/s.cpu.Seconds(), "of-limit-cpu")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func openStore(b *testing.B, l load) *meter {
	b.Helper()
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gotong.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return newMeter(l, s.Epoch(), func(batch []store.Commit) {
		out, err := store.CommitAll(context.Background(), s, batch)
		if err != nil || out[len(out)-1].Status != store.Committed {
			b.Fatal(out, err)
		}
	})
}

func openBare(b *testing.B, l load) (*meter, *bare.DB) {
	b.Helper()
	w, err := bare.Open(b.Context(), filepath.Join(b.TempDir(), "bare.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = w.Close() })
	m := newMeter(l, "bare", func(batch []store.Commit) {
		if err := w.Write(batch); err != nil {
			b.Fatal(err)
		}
	})
	w.Writes, w.Posts = 0, 0
	return m, w
}

// BenchmarkSQLiteRead reads pages of a thread and of a partition from a log of
// 20,000 events in ten threads; every event is verified. For the share of the
// hashing, see BenchmarkVerify.
func BenchmarkSQLiteRead(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gotong.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	stream := fill(b, s)
	for _, n := range []uint64{1, 100, 500} {
		b.Run(fmt.Sprintf("thread/events=%d", n), func(b *testing.B) {
			for i := range b.N {
				from := uint64(i) * 97 % 1500
				snap, err := s.Load(b.Context(), store.Need{
					Heads: []gotong.Stream{stream}, Events: []store.EventRange{{Stream: stream, From: from, To: from + n}},
				})
				if err != nil || len(snap.Events[0]) != int(n) {
					b.Fatal(len(snap.Events[0]), err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
	b.Run("partition/events=500", func(b *testing.B) {
		for i := range b.N {
			from := uint64(i) * 997 % 19000
			rows, err := s.ReadPartition(b.Context(), gotong.PartitionOf("group/ent-rt00"), from, from+500, 500)
			if err != nil || len(rows) != 500 {
				b.Fatal(len(rows), err)
			}
		}
		b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkVerify measures the hashing of one event, which every read includes.
func BenchmarkVerify(b *testing.B) {
	p := posts{maker: storetest.NewMaker("bench"), load: load{batch: 1, streams: 1, homes: 1}}
	batch := make([]store.Commit, 1)
	p.next(batch)
	for range b.N {
		if err := batch[0].Events[0].Verify("bench"); err != nil {
			b.Fatal(err)
		}
	}
}
