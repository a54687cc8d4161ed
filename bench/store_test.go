package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/storetest"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// What a post is here: a body of some 110 characters, in a thread, by one of 64
// people, with a request id that sorts by time.
const postBody = "Halo semua, besok kita kerja bakti membersihkan selokan jam tujuh pagi di depan balai RW. Bawa cangkul ya."

// load is one setting of both benchmarks.
type load struct{ batch, streams int }

var loads = []load{{1, 1}, {64, 1}, {64, 8}, {64, 64}, {200, 1}, {200, 64}}

func (l load) name() string { return fmt.Sprintf("batch=%d/threads=%d", l.batch, l.streams) }

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
			Home:   "group/ent-rt05", Actor: fmt.Sprintf("019ab697-e800-7000-8000-%012d", p.n%64), Events: 1, Body: postBody,
			RequestID: gotong.NewEventID(gotong.Instant(1_764_000_000_000_000+p.n), uint64(p.n)*0x9e3779b97f4a7c15).String(),
			At:        gotong.Instant(1_764_000_000_000_000 + p.n),
		})
	}
}

// meter adds up what the calls of one writer take, and nothing else.
type meter struct {
	write     func([]store.Commit)
	posts     posts
	took, cpu time.Duration
	calls     []time.Duration
}

func newMeter(l load, epoch gotong.Epoch, write func([]store.Commit)) *meter {
	m := &meter{write: write, posts: posts{maker: storetest.NewMaker(epoch), load: l}}
	for range l.streams { // so that no thread has to be made later
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
	n := 0
	for ; n < b.N; n += m.posts.load.batch {
		m.batch()
	}
	b.ReportMetric(float64(n)/m.took.Seconds(), "commits/s")
	b.ReportMetric(float64(m.cpu.Microseconds())/float64(n), "cpu-µs/commit")
	slices.Sort(m.calls)
	for name, part := range map[string]float64{"p50-ms": 0.5, "p99-ms": 0.99, "max-ms": 1} {
		b.ReportMetric(float64(m.calls[int(part*float64(len(m.calls)-1))].Microseconds())/1000, name)
	}
	b.ReportMetric(0, "ns/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSQLiteStore is Store.Commit: every promise of the port.
func BenchmarkSQLiteStore(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name(), func(b *testing.B) { openStore(b, l).run(b) })
	}
}

// BenchmarkBareSQLite is the limit: the same rows by the same driver in the
// same tables and files, without the port, its checks and its caches. A write
// is a row of a table or an entry of an index.
func BenchmarkBareSQLite(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name(), func(b *testing.B) {
			m, w := openBare(b, l)
			m.run(b)
			b.ReportMetric(float64(w.writes)/float64(w.posts), "writes/commit")
		})
	}
}

// BenchmarkSQLiteRatio takes turns between the store and the limit, batch by
// batch, so that what disturbs the machine disturbs both: the part of the
// limit's speed that the store reaches, in time and in CPU.
func BenchmarkSQLiteRatio(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name(), func(b *testing.B) {
			s := openStore(b, l)
			bare, _ := openBare(b, l)
			b.ResetTimer()
			for n := 0; n < b.N; n += l.batch {
				s.batch()
				bare.batch()
			}
			b.ReportMetric(bare.took.Seconds()/s.took.Seconds(), "of-limit")
			b.ReportMetric(bare.cpu.Seconds()/s.cpu.Seconds(), "of-limit-cpu")
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
		out, err := s.Commit(context.Background(), batch)
		if err != nil || out[len(out)-1].Status != store.Committed {
			b.Fatal(out, err)
		}
	})
}

// bare writes rows of the store's own schema, which Open has made.
type bare struct {
	tb            testing.TB
	db            *zombiezen.Conn
	streams       map[gotong.Stream]int64
	position      int64
	writes, posts int
}

func openBare(b *testing.B, l load) (*meter, *bare) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "bare.db")
	s, err := sqlite.Open(b.Context(), path, sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	db, err := zombiezen.OpenConn(path, zombiezen.OpenReadWrite)
	if err != nil {
		b.Fatal(err)
	}
	for _, q := range []string{"PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 4000", "PRAGMA cache_size = -65536"} {
		if err := sqlitex.ExecuteTransient(db, q, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { _ = db.Close() })
	w := &bare{tb: b, db: db, streams: map[gotong.Stream]int64{}}
	m := newMeter(l, "bare", w.write)
	w.writes, w.posts = 0, 0
	return m, w
}

func (w *bare) run(sql string, args ...any) {
	stmt, err := w.db.Prepare(sql)
	if err != nil {
		w.tb.Fatal(err)
	}
	for i, arg := range args {
		switch v := arg.(type) {
		case int64:
			stmt.BindInt64(i+1, v)
		case string:
			stmt.BindText(i+1, v)
		case []byte:
			stmt.BindBytes(i+1, v)
		}
	}
	if _, err := stmt.Step(); err != nil {
		w.tb.Fatal(err)
	}
	if err := stmt.Reset(); err != nil {
		w.tb.Fatal(err)
	}
}

func (w *bare) write(batch []store.Commit) {
	w.run("BEGIN IMMEDIATE")
	last := map[gotong.Stream]*store.Event{}
	for i := range batch {
		c := &batch[i]
		e := &c.Events[0]
		last[e.Stream] = e
		no := w.streams[e.Stream]
		if no == 0 {
			no = int64(len(w.streams) + 1)
			w.streams[e.Stream] = no
			w.run("INSERT INTO streams VALUES (?, ?, ?, ?, 0, zeroblob(32), 0, 0)", no, string(e.Stream), string(c.Home), int64(e.Partition))
		}
		w.position++
		w.run("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
			no<<32|int64(e.Seq), int64(e.Partition), w.position, e.ID[:], e.Type, int64(e.At), string(e.Audience), int64(e.Count),
			string(e.Data), string(e.Content), e.DataSalt[:], e.ContentSalt[:], e.ContentCommit[:], e.Prev[:], e.Chain[:])
		w.run("INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", c.Request.RequestID, no, c.Request.Actor,
			c.Salt, c.Fingerprint, int64(e.Partition), w.position, int64(e.Seq), int64(e.Seq), int64(c.At))
	}
	for stream, e := range last {
		w.run("UPDATE streams SET home = ?, partition = ?, seq = ?, chain = ?, at = ?, count = ? WHERE no = ?",
			"group/ent-rt05", int64(e.Partition), int64(e.Seq), e.Chain[:], int64(e.At), int64(e.Count), w.streams[stream])
	}
	w.run("INSERT OR REPLACE INTO partitions VALUES (?, ?)", int64(batch[0].Events[0].Partition), w.position)
	w.run("COMMIT")
	w.writes += 3*len(batch) + len(last) + 1
	w.posts += len(batch)
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
	p := posts{maker: storetest.NewMaker(s.Epoch()), load: load{batch: 200, streams: 10}}
	batch := make([]store.Commit, 200)
	for range 100 {
		p.next(batch)
		if _, err := s.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	stream := batch[0].Request.Stream
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
			rows, err := s.ReadPartition(b.Context(), gotong.PartitionOf("group/ent-rt05"), from, from+500, 500)
			if err != nil || len(rows) != 500 {
				b.Fatal(len(rows), err)
			}
		}
		b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkVerify is the hashing of one event that every read pays.
func BenchmarkVerify(b *testing.B) {
	p := posts{maker: storetest.NewMaker("bench"), load: load{batch: 1, streams: 1}}
	batch := make([]store.Commit, 1)
	p.next(batch)
	for range b.N {
		if err := batch[0].Events[0].Verify("bench"); err != nil {
			b.Fatal(err)
		}
	}
}
